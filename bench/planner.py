"""What does a planning decision cost, and does a tick grow with what is due or with all leads?

Each size has a database and a process of its own: so its peak memory is its own, too. Planning is all of
it: consent, suppression, caps and goals asked, decisions, messages and batches stored, enrolments moved on,
committed as durably as in production.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from bench._databases import databases
from bench._people import AT
from bench._unsealed import gather, moment
from nurture.sequences import definition
from nurture.sequences.planner import enrol, plan
from nurture.settings import Settings
from nurture.store.tables import decision, message
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nurture.delivery.content.library import MailKey
    from nurture.sequences.definition import Sequence
    from nurture.store.workspace import Workspace

ROUNDS = 5
LIMIT = 10_000
"""Enrolments in one transaction."""
SIZES = {True: (2_000, 20_000), False: (10_000, 100_000, 1_000_000)}
"""Leads, quick or not."""
SEQUENCE = """\
sequence: bench
version: 1
purpose: newsletter.product
goal: {event: demo_requested}
enrol: {when: consent_confirmed, again: never}
window: {days: mon-sun, from: "00:00", to: "24:00"}
late: {after: 30d, then: skip}
steps:
  - {kind: mail, id: hello}
  - {kind: wait, id: rest, for: 300d}
  - {kind: mail, id: bye}
"""


@dataclass(frozen=True)
class _Mail:
    key: str
    sha256: str = "0" * 64
    links: tuple[Any, ...] = ()
    message_class: str = "educational"


class _Mails:
    """Every mail there could be, without a text."""

    def has(self, key: MailKey) -> bool:
        return bool(key)

    def mail(self, key: MailKey) -> _Mail:
        return _Mail(str(key))


def run(*, quick: bool = False) -> dict[str, object]:
    """Give the figures of both databases, by `<database>: <figure>`."""

    def progress(text: str) -> None:
        print(f"bench: planner, {text} ...", file=sys.stderr, flush=True)

    return {
        f"{database}: {what}": value
        for database in ("sqlite", "postgresql")
        for what, value in figures(database, quick=quick, progress=progress).items()
    }


def figures(database: str, *, quick: bool, progress: Callable[[str], None]) -> dict[str, float]:
    """Give the figures of the largest size on one database, and how they grew from the smallest."""
    found = {}
    for size in SIZES[quick]:
        progress(f"{database}, {size:,} leads")
        found[size] = alone(database, size)
    return _together(found)


def _together(found: dict[int, dict[str, float]]) -> dict[str, float]:
    few, many = found[min(found)], found[max(found)]
    return {
        "leads": max(found),
        "decisions_per_second": many["decisions_per_second"],
        "decisions_per_second_scattered": many["decisions_per_second_scattered"],
        "mails_per_second": many["mails_per_second"],
        "cpu_us_per_mail": many["cpu_us_per_mail"],
        "server_cpu_us_per_mail": many["server_cpu_us_per_mail"],
        "due": many["due"],
        "tick_growth_10k_to_1m": many["tick_ms"] / few["tick_ms"],
        "tick_ms": many["tick_ms"],
        "idle_tick_ms": many["idle_tick_ms"],
        "memory_growth_10k_to_1m": many["peak_mb"] / few["peak_mb"],
        "peak_mb": many["peak_mb"],
    }


def alone(kind: str, leads: int) -> dict[str, float]:
    """Measure one size in a fresh database, by a process of its own."""
    with databases(kind) as address, tempfile.TemporaryDirectory() as home:
        settings = {"NURTURE_HOME": home, "NURTURE_DATABASE_URL": address}
        for what in ("gather", "measure"):
            command = [sys.executable, "-m", "bench.planner", what, str(leads)]
            done = subprocess.run(command, env=os.environ | settings, check=True, stdout=subprocess.PIPE)
        found: dict[str, float] = json.loads(done.stdout)
        return found


@contextmanager
def _workspace() -> Iterator[tuple[Workspace, dict[str, Sequence]]]:
    """Open what the environment names, with the sequence of the benchmark."""
    home = Path(os.environ["NURTURE_HOME"])
    path = home / "templates" / "bench" / "sequence.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SEQUENCE, "utf-8")
    with open_workspace(Settings()) as ws:
        yield ws, definition.load(home / "templates")


def _gather(leads: int) -> None:
    with _workspace() as (ws, definitions):
        with ws.store.write() as conn:
            [version] = definition.register(conn, definitions, at=AT).values()
            gather(conn, leads, sequence="bench", version=version, step="hello")
        if ws.store.dialect == "sqlite":
            with ws.store.engine.connect() as conn:
                conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            with ws.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                conn.exec_driver_sql("vacuum analyze")


def _measure(leads: int) -> dict[str, float]:
    """Idle ticks, ticks with a few due, then everybody: a half in the order of ids, a half scattered."""
    due = min(1_000, leads // 10)
    with _workspace() as (ws, definitions):
        _tick(ws, definitions, AT)
        idle = [_tick(ws, definitions, AT + timedelta(seconds=n))[0] for n in range(1, ROUNDS + 1)]
        ticks = []
        for number in range(1, ROUNDS + 1):
            at = AT + timedelta(hours=number)
            _let_come_due(ws, random.Random(number).sample(range(1, leads + 1), due), at)  # noqa: S311  repeatable
            ticks.append(_tick(ws, definitions, at)[0])
        at = AT + timedelta(days=1)
        _let_half_come_due(ws, at, scattered=False)
        clustered = _crowd(ws, definitions, at)
        _let_half_come_due(ws, at, scattered=True)
        scattered = _crowd(ws, definitions, at)
        return {
            "due": due,
            "idle_tick_ms": median(idle) * 1e3,
            "tick_ms": median(ticks) * 1e3,
            "decisions_per_second": clustered["decisions"] / clustered["wall"],
            "decisions_per_second_scattered": scattered["decisions"] / scattered["wall"],
            "mails_per_second": clustered["mails"] / clustered["wall"],
            "cpu_us_per_mail": clustered["cpu"] / clustered["mails"] * 1e6,
            "server_cpu_us_per_mail": clustered["server"] / clustered["mails"] * 1e6,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def _let_come_due(ws: Workspace, ids: list[int], at: datetime) -> None:
    with ws.store.write() as conn:
        rows = [{"id": number, "at": moment(conn, at)} for number in ids]
        conn.execute(text("update enrolment set due_at = :at where id = :id and step = 'hello'"), rows)


def _let_half_come_due(ws: Workspace, at: datetime, *, scattered: bool) -> None:
    """Let every second waiting lead come due at one moment; or the others at one of 60 minutes, in no order of ids."""
    minutes = [at - timedelta(minutes=n) for n in range(60)] if scattered else [at]
    with ws.store.write() as conn:
        values = ", ".join(f"({n}, :m{n})" for n in range(len(minutes)))
        rank = "(id * 7919) % 60" if scattered else "0"
        conn.execute(
            text(
                f"with minute (n, at) as (values {values}) update enrolment set due_at = "
                f"(select {'cast(at as timestamptz)' if conn.dialect.name == 'postgresql' else 'at'} from minute "
                f"where n = {rank}) where step = 'hello' and state = 'active' and id % 2 = {int(scattered)}"
            ),
            {f"m{n}": moment(conn, one) for n, one in enumerate(minutes)},
        )
    if ws.store.dialect == "sqlite":
        with ws.store.engine.connect() as conn:
            conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _crowd(ws: Workspace, definitions: dict[str, Sequence], at: datetime) -> dict[str, float]:
    """Plan until nothing is due, a transaction for each LIMIT."""
    before = _stored(ws)
    cpu, server, start = time.process_time(), _server_seconds(ws), time.perf_counter()
    while _plan(ws, definitions, at):
        pass
    spent = {
        "wall": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "server": _server_seconds(ws) - server,
    }
    after = _stored(ws)
    return {**spent, "decisions": after[0] - before[0], "mails": after[1] - before[1]}


def _server_seconds(ws: Workspace) -> float:
    """Give the CPU time of our one PostgreSQL backend so far, where it runs on this machine (Linux); else 0."""
    if ws.store.dialect == "sqlite":
        return 0.0
    with ws.store.read() as conn:
        backend = conn.execute(select(func.pg_backend_pid())).scalar_one()
    try:
        fields = Path(f"/proc/{backend}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _stored(ws: Workspace) -> tuple[int, int]:
    with ws.store.read() as conn:
        counts = [conn.execute(select(func.count()).select_from(table)).scalar_one() for table in (decision, message)]
        return counts[0], counts[1]


def _tick(ws: Workspace, definitions: dict[str, Sequence], at: datetime) -> tuple[float, bool]:
    """Enrol and plan; give the seconds."""
    start = time.perf_counter()
    with ws.store.write() as conn:
        enrol(conn, definitions, at=at, limit=LIMIT)
    more = _plan(ws, definitions, at)
    return time.perf_counter() - start, more


def _plan(ws: Workspace, definitions: dict[str, Sequence], at: datetime) -> bool:
    with ws.store.write() as conn:
        return plan(
            conn, ws, definitions, _Mails(), provider_name="outbox", batch_limit=500, sequence=None, at=at,
            limit=LIMIT,
        ).more  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1] == "gather":
        _gather(int(sys.argv[2]))
    else:
        print(json.dumps(_measure(int(sys.argv[2]))))
