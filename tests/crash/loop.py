"""How often can our processes be killed, and where, before a promise breaks? A loop of real SIGKILLs.

The loop forks a process for each life: what was imported and compiled is there already, what matters (database
connections, HTTP, locks) is the child's own, and SIGKILL is SIGKILL. Besides the named failpoints, processes
are killed from outside at random instants, and some are stopped (SIGSTOP) until their lease is long over.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.crash.installation import CAP, START, TIMEOUT, Day, Installation, events
from tests.crash.verdict import Verdict, judge, read_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

ROOT = Path(__file__).resolve().parent.parent.parent
SENDING = (
    "plan.before_commit", "plan.after_commit", "claim.before_commit", "claim.after_commit", "render.mid",
    "intent.before_commit", "intent.after_commit", "http.connected", "http.body_half_written", "http.before_accept",
    "http.after_accept", "http.headers_read", "result.before_tx", "result.before_commit", "result.after_commit",
    "webhook.raw_before_commit", "webhook.raw_after_commit", "webhook.apply_mid", "reconcile.before_commit",
    "reconcile.after_commit", "consent.revoke_mid", "killswitch.before_commit",
)  # fmt: skip
"""The failpoints of the sending path and of what crosses it."""
PATIENCE = 120.0
"""Seconds after which a life counts as stuck."""
LONG_AFTER = (timedelta(hours=1), timedelta(hours=60), timedelta(days=15))
EVENT_LOST = 0.02
EVENT_TWICE = 0.1


class StuckError(AssertionError):
    """A process did not end."""


@dataclass
class Figures:
    """What a campaign did."""

    database: str
    lives: int = 0
    failed: int = 0
    """Lives that ended with an exception of their own."""
    stopped: int = 0
    """Lives that were held up (SIGSTOP) beyond their lease."""
    at_random: int = 0
    """Kills from outside, at no particular instant."""
    kills: Counter[str] = field(default_factory=Counter)
    """Kills at failpoints, by name."""
    withdrawals: int = 0
    seconds: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def killed(self) -> int:
        """All kills."""
        return self.at_random + sum(self.kills.values())

    def as_dict(self) -> dict[str, Any]:
        """Give plain data."""
        return {**vars(self), "kills": dict(sorted(self.kills.items())), "killed": self.killed,
                "verdict": vars(self.verdict)}  # fmt: skip

    def table(self) -> str:
        """Say it to people, in the words of `delivery.md` 3.10."""
        found = self.verdict
        rows = {
            "database": self.database, "processes": self.lives, "of these failed by themselves": self.failed,
            "of these stopped beyond their lease": self.stopped, "kills": self.killed,
            "  at random instants": self.at_random,
            "messages": found.messages, "accepted by the provider": found.taken, "withdrawals": self.withdrawals,
            "mailed twice": found.twice, "silently lost": found.lost, "sent after withdrawal": found.after_withdrawal,
            "over the cap": found.over_cap, "shown as unknown": found.unknown,
            "  of these accepted": found.unknown_taken, "counted wrongly in the report": found.misreported,
            "integrity": found.integrity, "seconds": round(self.seconds),
        }  # fmt: skip
        lines = [f"{name:<38}{value!s:>12}" for name, value in rows.items()]
        lines.append("by fate: " + ", ".join(f"{name} {count}" for name, count in found.fates.items()))
        return "\n".join([*lines, "", *(f"  {name:<36}{count:>12}" for name, count in sorted(self.kills.items()))])


@contextmanager
def provider(log: Path, seed: int, faults: float) -> Iterator[int]:
    """Start the provider in a process of its own; give its port."""
    command = [sys.executable, "-m", "tests.crash.provider", str(log), str(seed), str(TIMEOUT), str(faults)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


class Loop:
    """Forks, kills, waits, and keeps the provider's events coming."""

    def __init__(self, here: Installation, seed: int) -> None:
        """Roll the dice of `seed`; what the processes do at which instant no seed can fix."""
        self.here, self.seed = here, seed
        self.rng = random.Random(seed)  # noqa: S311  dice of a test
        self.at = START + timedelta(minutes=1)
        self.figures = Figures(here.ws.store.dialect)
        self.step = 1
        self.told: Counter[str] = Counter()
        self.mailbag: list[tuple[datetime, bytes]] = []
        self.expected = False
        """Are processes to fail, since something else is broken on purpose?"""

    def run(
        self,
        *,
        kills: int,
        each: int,
        points: tuple[str, ...] = SENDING,
        seconds: float = 86400,
        progress: float = 10.0,
    ) -> Figures:
        """Kill until there were so many kills, and so many at each point, or the time is over; then judge at rest."""
        began = told = time.monotonic()
        while self.figures.killed < kills or any(self.figures.kills[one] < each for one in points):
            if self.figures.lives > 30 * (kills + each * len(points)) + 100:
                missing = [one for one in points if self.figures.kills[one] < each]
                raise StuckError(f"these points are hardly ever reached: {missing}")
            if time.monotonic() - began > seconds:
                break
            self._round(points)
            if time.monotonic() - told > progress:
                told = time.monotonic()
                rarest = min(self.figures.kills[one] for one in points)
                done = f"{self.figures.killed} of {kills} kills, each point at least {rarest} of {each} times"
                sys.stderr.write(f"{done}, {told - began:.0f} s\n")
        self._come_to_rest()
        self.figures.seconds = time.monotonic() - began
        self.figures.verdict = judge(self.here.url, self.here.ws.store, read_log(self.here.log), cap=CAP)
        self.here.ws.store.close()
        return self.figures

    def _round(self, points: tuple[str, ...]) -> None:
        """Some processes at once, one of them told to die."""
        self.step += 1
        target = self._target(points)
        bodies = self._due()
        days = [self._day(target, f"kill:{target}@{self.rng.choice((1, 1, 1, 2, 3))}", bodies)]
        days += [self._day("", "", ()) for _ in range(self.rng.choice((0, 1, 1)))]
        running = {self._fork(day): day for day in days}
        killed = self._kill_at_random(list(running)) if self.rng.random() < 0.2 else None
        held = None
        if killed is None and self.rng.random() < 0.1:
            held = self._hold(list(running))
        if held is not None:
            self._rescue()
            with suppress(ProcessLookupError):
                os.kill(held, signal.SIGCONT)
        for pid, day in running.items():
            status = self._wait(pid)
            self._note(status, day, target, outside=pid == killed)
            if day.bodies and status == 0:
                self.mailbag = [one for one in self.mailbag if one[1] not in day.bodies]
        self._advance()

    def _advance(self) -> None:
        self.at += timedelta(seconds=self.rng.choice((30, 100, 400)))

    def _note(self, status: int, day: Day, target: str, *, outside: bool) -> None:
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            if outside:
                self.figures.at_random += 1
            elif day.orders:
                self.figures.kills[target] += 1
        elif status != 0:
            self.figures.failed += 1

    def _target(self, points: tuple[str, ...]) -> str:
        """Prefer what was hit least."""
        least = min(self.figures.kills[one] for one in points)
        return self.rng.choice([one for one in points if self.figures.kills[one] <= least + 1])

    def _day(self, target: str, orders: str, bodies: tuple[bytes, ...]) -> Day:
        withdraws = target == "consent.revoke_mid" or self.rng.random() < 0.03
        self.figures.withdrawals += withdraws
        return Day(
            self.at, self.rng.randrange(1 << 30), self.step, orders, bodies,
            self.rng.randrange(len(self.here.subjects)) if withdraws else None,
            switches=target == "killswitch.before_commit",
        )  # fmt: skip

    def _fork(self, day: Day) -> int:
        self.figures.lives += 1
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            self.here.live(day)
            code = 0
        except Exception as error:  # noqa: BLE001  a life that fails is counted by its exit code
            if not self.expected:
                sys.stderr.write(f"a process failed: {type(error).__name__}: {error}\n"[:500])
        finally:
            os._exit(code)
        return 0

    def _kill_at_random(self, pids: list[int]) -> int:
        time.sleep(self.rng.uniform(0, 0.25))
        victim = self.rng.choice(pids)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        return victim

    def _hold(self, pids: list[int]) -> int:
        """Stop a process somewhere, without killing it."""
        time.sleep(self.rng.uniform(0, 0.2))
        held = self.rng.choice(pids)
        os.kill(held, signal.SIGSTOP)
        self.figures.stopped += 1
        return held

    def _rescue(self) -> None:
        """Much later another process finds what the stopped one left. If that one holds the lock, it has to wait."""
        self.at += timedelta(minutes=11)
        pid = self._fork(self._day("", "", ()))
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.01)
        # It waits for a lock of the stopped one: that is legal, so let it go.
        os.kill(pid, signal.SIGKILL)
        self.figures.at_random += 1
        os.waitpid(pid, 0)

    def _wait(self, pid: int) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return status
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise StuckError("a process did not end")

    def _due(self) -> tuple[bytes, ...]:
        """Which webhook posts come now? What the provider took is told late, some twice, some never."""
        taken = read_log(self.here.log)
        fresh = sorted(taken - self.told)
        self.told = taken
        kept = [one for one in fresh if self.rng.random() >= EVENT_LOST]
        for start in range(0, len(kept), 4):
            body = events(kept[start : start + 4], self.at)
            for _ in range(2 if self.rng.random() < EVENT_TWICE else 1):
                self.mailbag.append((self.at + timedelta(minutes=self.rng.uniform(0, 60)), body))
        return tuple(body for due, body in self.mailbag if due <= self.at)[:5]

    def _come_to_rest(self) -> None:
        """No more kills: everything comes to an end by what our flows do anyway."""
        for wait in LONG_AFTER:
            self.at += wait
            self.step += 1
            while bodies := self._due():
                self.here.live(Day(self.at, self.step, self.step, "", bodies))
                self.mailbag = [one for one in self.mailbag if one[1] not in bodies]
            for _ in range(2):
                self.here.live(Day(self.at, self.step, self.step))
                self.at += timedelta(minutes=20)
        for wait in LONG_AFTER:
            self.at += wait
            self.here.live_down(self.at)
