"""What did something cost? Wall time, CPU of each process that took part, statements, commits, memory."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nurture.store.engine import Store

PROC = Path("/proc")


@dataclass
class Cost:
    """Seconds, of one repetition of one variant that handled `count` messages."""

    count: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    """Of this process."""
    server: float | None = None
    """CPU of the PostgreSQL server's processes, where it runs here."""
    sink: float | None = None
    """CPU of the stand-in for the provider."""

    @property
    def rate(self) -> float:
        """Messages per second of wall time."""
        return self.count / self.wall

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU of this process for each message."""
        return self.cpu / self.count * 1e6

    def __add__(self, other: Cost) -> Cost:
        """Do one after the other, with the same messages."""
        server = None if self.server is None or other.server is None else self.server + other.server
        return Cost(self.count, self.wall + other.wall, self.cpu + other.cpu, server, other.sink)


@contextmanager
def measured(*, server: Sequence[int] = (), sink: int | None = None) -> Iterator[Cost]:
    """Fill in a Cost when the block ends; the block sets its count."""
    cost = Cost()
    before = _cpu_of(server), _cpu_of([sink] if sink else ())
    wall, cpu = time.perf_counter(), time.process_time()
    yield cost
    cost.wall, cost.cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = _cpu_of(server), _cpu_of([sink] if sink else ())
    cost.server, cost.sink = _difference(before[0], after[0]), _difference(before[1], after[1])


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _cpu_of(processes: Sequence[int]) -> float | None:
    """Seconds of CPU that these single-threaded processes used so far; None where the system does not tell (Linux)."""
    if not processes or not (PROC / "self" / "schedstat").exists():
        return None
    nanoseconds = 0
    for process in processes:
        with suppress(OSError):
            nanoseconds += int((PROC / str(process) / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def server_processes(store: Store) -> list[int]:
    """Give the processes of the PostgreSQL server behind a store, where they are this machine's; none for SQLite."""
    if store.dialect != "postgresql" or not PROC.exists():
        return []
    with store.read() as conn:
        backend = int(conn.exec_driver_sql("select pg_backend_pid()").scalar_one())
    parents = {int(entry.name): _parent(entry) for entry in PROC.iterdir() if entry.name.isdigit()}
    postmaster = parents.get(backend)
    if not postmaster:
        return []
    return [postmaster, *(process for process, parent in parents.items() if parent == postmaster)]


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
    except (OSError, IndexError):
        return 0


def forget_peak() -> None:
    """Let the peak of this process's memory be counted from now on, where the system can (Linux)."""
    try:
        (PROC / "self" / "clear_refs").write_text("5")
    except OSError:
        return


def peak_mb() -> float | None:
    """Give the peak of resident memory since `forget_peak`, in MB."""
    try:
        status = (PROC / "self" / "status").read_text()
    except OSError:
        return None
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@dataclass
class Statements:
    """Which statements ran, how often, and how long the driver took for each kind."""

    count: int = 0
    commits: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)


@contextmanager
def counted(store: Store) -> Iterator[Statements]:
    """Count what goes to the database; BEGIN counts as no statement."""
    seen, began = Statements(), {"at": 0.0}

    def before(*_: Any) -> None:  # noqa: ANN401  what the library passes
        began["at"] = time.perf_counter()

    def after(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401  as above
        if statement.startswith("BEGIN"):
            return
        seen.count += 1
        text = " ".join(statement.split())
        seen.seconds[text] = seen.seconds.get(text, 0.0) + time.perf_counter() - began["at"]
        seen.times[text] = seen.times.get(text, 0) + 1

    def commit(_conn: Any) -> None:  # noqa: ANN401  as above
        seen.commits += 1

    listeners = (("before_cursor_execute", before), ("after_cursor_execute", after), ("commit", commit))
    for name, listener in listeners:
        event.listen(store.engine, name, listener)
    try:
        yield seen
    finally:
        for name, listener in listeners:
            event.remove(store.engine, name, listener)


def spread(values: Sequence[float]) -> float:
    """Give the largest over the smallest."""
    return max(values) / min(values)


def middle(costs: Sequence[Cost]) -> Cost:
    """Give the medians of a variant's repetitions, each number for itself."""

    def of(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return median(known) if known else None

    wall, cpu = median(one.wall for one in costs), median(one.cpu for one in costs)
    return Cost(
        round(median(one.count for one in costs)), wall, cpu, of([c.server for c in costs]), of([c.sink for c in costs])
    )
