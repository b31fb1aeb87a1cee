"""What do many seeds add up to? Runs them on several processors, counts, and says what was never reached."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulation import installation
from tests.simulation.checker import LEGAL, BrokenPromiseError
from tests.simulation.installation import STEPS, Ground

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.simulation.installation import Outcome

POINTS = {
    "plan.before_commit", "plan.after_commit", "claim.before_commit", "claim.after_commit", "render.mid",
    "intent.before_commit", "intent.after_commit", "http.connected", "http.body_half_written", "http.before_accept",
    "http.after_accept", "http.headers_read", "result.before_tx", "result.before_commit", "result.after_commit",
    "webhook.raw_before_commit", "webhook.raw_after_commit", "webhook.apply_mid", "reconcile.before_commit",
    "reconcile.after_commit", "consent.revoke_mid", "killswitch.before_commit",
}  # fmt: skip
"""The failpoints of the sending path and what crosses it; the others have tests of their own."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  only a faster place for a temporary folder
SEEDS = 25
"""Seeds in one errand of a process."""


@dataclass
class Total:
    """The sums."""

    seeds: int = 0
    crossings: int = 0
    crashes: int = 0
    requests: int = 0
    taken: int = 0
    withdrawals: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    transitions: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    """Seeds that broke a promise, with what it was."""

    def add(self, one: Outcome) -> None:
        """Count a seed in."""
        self.seeds += 1
        for name in ("crossings", "crashes", "requests", "taken", "withdrawals"):
            setattr(self, name, getattr(self, name) + getattr(one, name))
        self.reached.update(one.reached)
        self.states.update(one.states.keys())
        self.transitions.update({f"{old} -> {new}": count for (old, new), count in one.transitions.items()})
        self.faults.update(one.faults)
        self.fates.update(one.fates)

    def merge(self, other: Total) -> None:
        """Count another total in."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if isinstance(mine, Counter):
                mine.update(value)
            elif isinstance(mine, list):
                mine.extend(value)
            else:
                setattr(self, name, mine + value)

    def never(self) -> list[str]:
        """What was not reached even once, although it can be: then the zeros mean nothing."""
        points = [f"point {name}" for name in sorted(POINTS - set(self.reached))]
        wanted = {f"{old} -> {new}" for old, new in LEGAL}
        return points + [f"change {name}" for name in sorted(wanted - set(self.transitions))]

    def as_dict(self) -> dict[str, Any]:
        """Give plain data."""
        plain = {name: dict(sorted(value.items())) if isinstance(value, Counter) else value
                 for name, value in vars(self).items()}  # fmt: skip
        return {**plain, "never_reached": self.never()}

    def table(self) -> str:
        """Say it to people."""
        lines = [
            f"seeds              {self.seeds:>10,}",
            f"failpoints crossed {self.crossings:>10,}",
            f"crashes            {self.crashes:>10,}",
            f"requests           {self.requests:>10,}",
            f"mails taken        {self.taken:>10,}",
            f"withdrawals        {self.withdrawals:>10,}",
            f"broken promises    {len(self.broken):>10,}",
            "messages by fate   " + ", ".join(f"{name} {count:,}" for name, count in sorted(self.fates.items())),
            "",
            *(f"  {name:<28}{count:>10,}" for name, count in sorted(self.reached.items())),
            "",
            *(f"  {name:<28}{count:>10,}" for name, count in sorted(self.transitions.items())),
        ]
        return "\n".join([*lines, *(f"NEVER REACHED: {what}" for what in self.never()), *self.broken])


@contextmanager
def ground() -> Iterator[Ground]:
    """Make the shared ground in memory where there is such a place."""
    folder = Path(tempfile.mkdtemp(prefix="nurture-sim-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
    made = Ground.prepare(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def several(here: Ground, seeds: Iterable[int], *, steps: int = STEPS) -> Total:
    """Run seeds one after the other; one that breaks a promise is noted, and the next goes on."""
    total = Total()
    for seed in seeds:
        try:
            total.add(installation.run(here, seed, steps=steps))
        except Exception as error:  # noqa: BLE001  whatever the code under test raises is a finding
            kind = "" if isinstance(error, BrokenPromiseError) else f"{type(error).__name__}: "
            total.broken.append(f"--seed {seed} --steps {steps}: {kind}{error}")
    return total


def _errand(first: int) -> Total:
    """Run some seeds in a process of its own."""
    with ground() as here:
        return several(here, range(first, first + SEEDS))


def campaign(*, crossings: int, first: int, processes: int, seconds: float, patience: float = 3.0) -> Total:
    """Run seeds from `first` on until so many failpoints were crossed or the time is over; tell on stderr."""
    total, began, told = Total(), time.monotonic(), 0.0

    def goes_on() -> bool:
        return total.crossings < crossings and time.monotonic() - began < seconds

    with ProcessPoolExecutor(processes) as pool:
        running: set[Future[Total]] = set()
        following = first
        while running or goes_on():
            while len(running) < processes and goes_on():
                running.add(pool.submit(_errand, following))
                following += SEEDS
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for one in finished:
                total.merge(one.result())
            spent = time.monotonic() - began
            if spent - told > patience:
                told = spent
                say(progress(total, crossings, spent))
    return total


def progress(total: Total, crossings: int, spent: float) -> str:
    """Say how far a campaign is after so many seconds."""
    rate = total.crossings / spent
    left = max(0, crossings - total.crossings) / max(rate, 1)
    done = f"{total.crossings:,} of {crossings:,} crossings, {total.seeds:,} seeds, {total.crashes:,} crashes"
    return f"{done}, {len(total.broken)} broken; {rate:,.0f}/s, about {left:,.0f} s left"


def say(text: str) -> None:
    """Speak on stderr; stdout is for the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
