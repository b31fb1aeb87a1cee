"""What does a planning decision cost, and does a tick grow with what is due or with all leads?"""

from __future__ import annotations

import random
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from bench._people import AT
from consent.schema import consent_state, identity
from consent.tokens import random_id
from nurture.sequences import definition
from nurture.sequences.planner import enrol, plan
from nurture.settings import Settings
from nurture.store.tables import decision, enrolment, lead
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nurture.delivery.content.library import MailKey
    from nurture.sequences.definition import Sequence
    from nurture.store.workspace import Workspace

ROUNDS = 5
FAR = AT + timedelta(days=400)
SEQUENCE = """\
sequence: bench
version: 1
purpose: newsletter.product
goal: {event: demo_requested}
enrol: {when: consent_confirmed, again: never}
window: {days: mon-sun, from: "00:00", to: "24:00"}
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
    """Give decisions per second and the growth of a tick with ten times the leads; one thread, SQLite."""
    few, many, due = (2_000, 20_000, 200) if quick else (10_000, 100_000, 1_000)
    with tempfile.TemporaryDirectory() as folder, open_workspace(Settings(home=Path(folder))) as ws:
        definitions = _definitions(Path(folder))
        with ws.store.write() as conn:
            [version] = definition.register(conn, definitions, at=AT).values()
            _people(conn, few, version)
        small = [_tick(ws, definitions, due, number) for number in range(ROUNDS)]
        with ws.store.write() as conn:
            _people(conn, many - few, version)
        large = [_tick(ws, definitions, due, number) for number in range(ROUNDS, 2 * ROUNDS)]
        idle = [_idle(ws, definitions) for _ in range(ROUNDS)]
        with ws.store.read() as conn:
            decisions = conn.execute(select(func.count()).select_from(decision)).scalar_one()
    per_round = decisions / (2 * ROUNDS)
    return {
        "leads": f"{few} and {many}, {due} due in each tick",
        "decisions/s, few leads": per_round / median(small),
        "decisions/s, many leads": per_round / median(large),
        "tick with ten times the leads / tick": median(large) / median(small),
        "idle tick with many leads / tick": median(idle) / median(large),
    }


def _definitions(folder: Path) -> dict[str, Sequence]:
    path = folder / "templates" / "bench" / "sequence.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(SEQUENCE, "utf-8")
    return definition.load(folder / "templates")


def _people(conn: Connection, count: int, version: int) -> None:
    """Add leads with consent, enrolled and due in the far future; without sealing, which is not measured here."""
    subjects = [random_id() for _ in range(count)]
    first: int = conn.execute(select(func.coalesce(func.max(lead.c.id), 0))).scalar_one() + 1
    common = {
        "language": "de", "zone": "Europe/Berlin", "freemail": False, "role_address": False, "source": "import",
        "created_at": AT, "stage": "confirmed", "stage_since": AT, "owner": "marketing",
    }  # fmt: skip
    conn.execute(insert(identity), [{"subject": one, "index_key": 1, "created_at": AT} for one in subjects])
    conn.execute(insert(lead), [{"id": first + n, "subject": one, **common} for n, one in enumerate(subjects)])
    given = {
        "controller": "default", "channel": "email", "purpose": "newsletter.product", "state": "given", "since": AT,
    }  # fmt: skip
    conn.execute(insert(consent_state), [{"subject": one, "seq": first + n, **given} for n, one in enumerate(subjects)])
    place = {
        "sequence": "bench", "sequence_version_id": version, "state": "active", "step": "hello", "occurrence": 1,
        "due_at": FAR, "entered_at": AT,
    }  # fmt: skip
    conn.execute(insert(enrolment), [{"lead_id": first + n, **place} for n in range(count)])


def _tick(ws: Workspace, definitions: dict[str, Sequence], due: int, number: int) -> float:
    """Let some leads, scattered over all, come due, and give the seconds of their tick."""
    at = AT + timedelta(hours=number)
    with ws.store.write() as conn:
        waiting = conn.execute(select(enrolment.c.id).where(enrolment.c.step == "hello")).scalars().all()
        chosen = random.Random(number).sample(waiting, due)  # noqa: S311  repeatable, not secret
        conn.execute(update(enrolment).where(enrolment.c.id.in_(chosen)).values(due_at=at))
    _enrol(ws, definitions, at)
    start = time.perf_counter()
    _plan(ws, definitions, at)
    return time.perf_counter() - start


def _idle(ws: Workspace, definitions: dict[str, Sequence]) -> float:
    """Give the seconds of a tick in which nothing is new and nothing is due."""
    at = AT + timedelta(days=1)
    _enrol(ws, definitions, at)
    start = time.perf_counter()
    _enrol(ws, definitions, at)
    _plan(ws, definitions, at)
    return time.perf_counter() - start


def _enrol(ws: Workspace, definitions: dict[str, Sequence], at: datetime) -> None:
    with ws.store.write() as conn:
        enrol(conn, definitions, at=at, limit=1_000_000)


def _plan(ws: Workspace, definitions: dict[str, Sequence], at: datetime) -> None:
    with ws.store.write() as conn:
        plan(
            conn, ws, definitions, _Mails(), provider_name="outbox", batch_limit=500, sequence=None, at=at,
            limit=100_000,
        )  # fmt: skip
