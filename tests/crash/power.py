"""What is on the disk when the power fails at this very write? Every legal image of a run, recovered and judged.

A write that was not synced may survive, vanish or be torn. At each operation of a recorded run three images are
made: nothing unsynced survives, a prefix does, a random torn subset does. Each is opened by our own code, which
goes on as after any start. `python -m tests.crash.power` takes all of them, the tests a sample.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from consent.keys import Keyring
from nurture.delivery import facts, sending
from nurture.delivery.provider import Accepted, Outcome, Outgoing
from nurture.failpoints import committing
from nurture.leads.rights import ending
from nurture.settings import Settings
from nurture.store.engine import open_store
from nurture.store.workspace import Workspace
from tests.crash.recorder import Op, recording
from tests.crash.verdict import Verdict, judge
from tests.nurture.delivery.world import World
from tests.simulation import population
from tests.simulation.population import START

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from nurture.store.engine import Store
    from tests.crash.recorder import Recording

SECTOR = 512
WAYS = ("nothing unsynced", "a prefix", "a torn subset")
DATABASE = "nurture.db"
CAP = 2


@dataclass
class Disk:
    """What is certainly on the disk, and what may be."""

    durable: dict[str, bytearray]
    pending: list[Op] = field(default_factory=list)

    def go_on(self, op: Op) -> None:
        """Take the next operation."""
        if op.kind == "sync":
            mine = [one for one in self.pending if one.name == op.name]
            self.pending = [one for one in self.pending if one.name != op.name]
            for one in mine:
                apply(self.durable, one)
            self.durable.setdefault(op.name, bytearray())
        else:
            self.pending.append(op)

    def image(self, way: str, rng: random.Random) -> dict[str, bytearray]:
        """Give the files after a power cut at this moment."""
        files = {name: bytearray(content) for name, content in self.durable.items()}
        if way == "a prefix":
            survivors: Iterable[Op] = self.pending[: rng.randint(0, len(self.pending))]
        elif way == "a torn subset":
            survivors = (part for one in self.pending for part in sectors(one) if rng.random() < 0.5)
        else:
            survivors = ()
        for one in survivors:
            apply(files, one)
        return files


def sectors(op: Op) -> list[Op]:
    """Cut a write into what a disk writes at once."""
    if op.kind != "write":
        return [op]
    parts, at = [], 0
    while at < len(op.data):
        size = min(SECTOR - (op.offset + at) % SECTOR, len(op.data) - at)
        parts.append(Op("write", op.name, op.offset + at, op.data[at : at + size]))
        at += size
    return parts


def apply(files: dict[str, bytearray], op: Op) -> None:
    """Let an operation have its effect."""
    if op.kind == "delete":
        files.pop(op.name, None)
        return
    content = files.setdefault(op.name, bytearray())
    if op.kind == "truncate":
        del content[op.offset :]
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data


@dataclass
class Taking:
    """A provider that takes everything and remembers at which operation of the disk."""

    ops: Sequence[Op] = ()
    taken: list[tuple[int, str]] = field(default_factory=list)
    name: str = "outbox"
    batch_limit: int = 500

    def submit(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """Take the batch."""
        self.taken += [(len(self.ops), mail.public_id) for mail in batch]
        return [Accepted("power")] * len(batch)

    def by(self, ops: int) -> Counter[str]:
        """What had it taken when so many operations were done?"""
        return Counter(public_id for moment, public_id in self.taken if moment <= ops)


@dataclass
class Run:
    """A recorded run."""

    start: dict[str, bytearray]
    recording: Recording
    provider: Taking
    keys: Path
    moments: list[tuple[int, datetime]] = field(default_factory=list)
    """From which operation on it was what time."""

    def time(self, ops: int) -> datetime:
        """What time was it when so many operations were done?"""
        return max((at for first, at in self.moments if first <= ops), default=START)


@dataclass
class Figures:
    """What the images showed."""

    synchronous: str
    operations: int = 0
    images: Counter[str] = field(default_factory=Counter)
    corrupt: int = 0
    """Images that cannot be opened, or whose check finds a fault."""
    double: int = 0
    """Images after which somebody was mailed twice."""
    most: int = 0
    """Most people mailed twice by one power cut."""
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Say it to people."""
        images = ", ".join(f"{way} {count}" for way, count in self.images.items())
        return "\n".join([
            f"WAL + {self.synchronous}: {self.operations} operations, {sum(self.images.values())} images ({images})",
            f"  corrupt {self.corrupt}, with a double send {self.double} (at most {self.most} mails), lost {self.lost}",
            *self.wrong[:5],
        ])  # fmt: skip


@contextmanager
def _workspace(folder: Path, keys: Path, synchronous: str) -> Iterator[Workspace]:
    settings = Settings(home=folder, database_url=f"sqlite:///{folder / DATABASE}")
    store = open_store(settings.database)
    if synchronous != "FULL":
        event.listen(store.engine, "connect", lambda wire, _: wire.execute(f"PRAGMA synchronous={synchronous}"))
    try:
        yield Workspace(settings, store, Keyring.load_or_create(keys))
    finally:
        store.close()


def record(folder: Path, *, synchronous: str = "FULL", rounds: int = 4) -> Run:
    """Run everything that sends for some rounds, and note every write."""
    folder.mkdir(parents=True)
    template = population.build(folder / "template")
    population.copy(template, folder / DATABASE)
    run = Run({DATABASE: bytearray((folder / DATABASE).read_bytes())}, None, Taking(), template.keys)  # type: ignore[arg-type]
    with recording() as ops, _workspace(folder, template.keys, synchronous) as ws:
        run.recording, run.provider.ops = ops, ops.ops
        world = World(ws, START, sequence=template.sequence)
        for number in range(rounds):
            world = world.later(days=4)
            run.moments.append((len(ops.ops), world.at))
            _recover(ws.store, world)
            world.plan(*template.subjects, batch_limit=2, n=number + 2)
            _send(ws, world, run.provider)
            with committing("reconcile", ws.store.write()) as conn:
                facts.reconcile(conn, at=world.at)
            if number == 1:
                with ws.store.write() as conn:
                    ending.withdraw(conn, subject=template.subjects[0], controller="default", purposes=None,
                                    route="page", actor="subject", at=world.at)  # fmt: skip
    return run


def _recover(store: Store, world: World) -> None:
    with store.write() as conn:
        sending.recover(conn, at=world.at)


def _send(ws: Workspace, world: World, provider: Any) -> None:
    while sending.send_next(ws, world.library, provider, kind="marketing", owner="w", at=world.at) is not None:
        pass


def images(
    run: Run, folder: Path, *, seed: int = 1, every: int = 1, synchronous: str = "FULL", progress: float = 10.0
) -> Figures:
    """Recover the images at every `every`-th operation, in all three ways, and judge them."""
    rng = random.Random(seed)  # noqa: S311  dice of a test
    figures = Figures(synchronous, len(run.recording.ops))
    disk = Disk({name: bytearray(content) for name, content in run.start.items()})
    folder.mkdir(parents=True, exist_ok=True)
    told = time.monotonic()
    with _workspace(folder, run.keys, "OFF") as ws:
        for number, op in enumerate(run.recording.ops, start=1):
            disk.go_on(op)
            if number % every:
                continue
            for way in WAYS:
                figures.images[way] += 1
                _one(ws, folder, disk.image(way, rng), run, number, figures)
            if time.monotonic() - told > progress:
                told = time.monotonic()
                sys.stderr.write(f"{number} of {len(run.recording.ops)} operations\n")
    return figures


def _one(ws: Workspace, folder: Path, files: dict[str, bytearray], run: Run, number: int, figures: Figures) -> None:
    ws.store.close()
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        found = _afterwards(ws, folder, run.provider.by(number), run.time(number))
    except Exception as error:  # noqa: BLE001  a database that cannot be used is a finding
        figures.corrupt += 1
        figures.wrong.append(f"  operation {number}: {type(error).__name__}: {error}"[:200])
        return
    figures.corrupt += found.integrity != "ok"
    figures.double += found.twice > 0
    figures.most = max(figures.most, found.twice)
    figures.lost += found.lost
    if not found.good:
        figures.wrong.append(f"  operation {number}: {found}"[:300])


def _afterwards(ws: Workspace, folder: Path, before: Counter[str], at: datetime) -> Verdict:
    """Start as after any power cut: recover, send what is due, and wait until every doubt has ended."""
    provider = Taking()
    world = World(ws, START)
    for wait in (timedelta(minutes=6), timedelta(hours=1), timedelta(days=5)):
        world.at = moment = at + wait
        _recover(ws.store, world)
        _send(ws, world, provider)
        with ws.store.write() as conn:
            facts.reconcile(conn, at=moment)
    taken = before + provider.by(0)
    return judge(f"sqlite:///{folder / DATABASE}", ws.store, taken, cap=CAP)


def main() -> int:
    """Take every image, under FULL (ours) and under NORMAL (which has to be caught)."""
    asked = argparse.ArgumentParser(prog="python -m tests.crash.power", description=__doc__)
    asked.add_argument("--every", type=int, default=1, help="take the images at every N-th operation (1)")
    asked.add_argument("--rounds", type=int, default=4, help="rounds of planning and sending to record (4)")
    asked.add_argument("--synchronous", choices=["FULL", "NORMAL", "both"], default="both")
    asked.add_argument("--json", type=Path, help="write the figures here, too")
    chosen = asked.parse_args()
    good, told = True, {}
    for synchronous in ("FULL", "NORMAL") if chosen.synchronous == "both" else (chosen.synchronous,):
        folder = Path(tempfile.mkdtemp(prefix="nurture-power-"))
        try:
            run = record(folder / "run", synchronous=synchronous, rounds=chosen.rounds)
            done = images(run, folder / "image", every=chosen.every, synchronous=synchronous)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.write(done.table() + "\n")
        told[synchronous] = vars(done)
        bad = done.corrupt + done.double + done.lost
        good &= bad == 0 if synchronous == "FULL" else done.double > 0
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=1), "utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
