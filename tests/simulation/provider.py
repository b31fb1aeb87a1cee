"""Who takes the mails? A provider that fails in every way providers fail, by the dice of one seed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from nurture.delivery.provider import Accepted, Outcome, Outgoing, Refused, Rejected, Unknown
from nurture.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from random import Random

FAULTS: dict[str, tuple[Outcome, bool]] = {
    "429": (Refused("http 429", retry_after=30), False),
    "401": (Refused("http 401", opens_circuit=True), False),
    "400": (Rejected("http 400"), False),
    "500 not taken": (Unknown("http 500"), False),
    "500 taken": (Unknown("http 500"), True),
    "timeout, not taken": (Unknown("timeout"), False),
    "timeout, taken": (Unknown("timeout"), True),
    "reset": (Unknown("reset"), False),
    "taken late": (Unknown("timeout"), False),
}
"""What the worker is told, and whether the provider took the mails (`taken late`: some minutes after that)."""
LATE = (timedelta(seconds=20), timedelta(minutes=40))


@dataclass(frozen=True)
class Odds:
    """How often what goes wrong; drawn anew for each seed."""

    fault: float
    bad_recipient: float
    event_lost: float
    event_twice: float
    log_silent: float


@dataclass
class Taken:
    """What the provider accepted, ever. It outlives every crash of ours."""

    times: Counter[str] = field(default_factory=Counter)
    """Acceptances by public id."""
    order: list[str] = field(default_factory=list)


class SimulatedProvider:
    """The transport port: walks through the failpoints of a request as a real transport does."""

    name = "outbox"
    batch_limit = 500

    def __init__(self, rng: Random, odds: Odds, clock: Callable[[], datetime]) -> None:
        """Roll the dice of `rng`; `clock` gives the provider's own time."""
        self.rng, self.odds, self.clock = rng, odds, clock
        self.taken = Taken()
        self.calm = False
        self.seen: Callable[[Sequence[Outgoing]], None] = lambda _batch: None
        """Told of every request, for the checker."""
        self.late: list[tuple[datetime, tuple[str, ...]]] = []
        self.mailbag: list[tuple[datetime, dict[str, object]]] = []
        """Events on their way to us: when, what."""
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self.posted: list[tuple[datetime, dict[str, object]]] = []

    def submit(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """Take a batch in one request or several, as a provider may."""
        outcomes: list[Outcome] = []
        size = self.rng.choice((len(batch), 1, 1, 2))
        for start in range(0, len(batch), max(1, size)):
            part = batch[start : start + max(1, size)]
            if outcomes and isinstance(outcomes[-1], Refused | Unknown):
                outcomes += [Refused("not tried")] * len(part)
            else:
                outcomes += self._request(part)
        return outcomes

    def _request(self, part: Sequence[Outgoing]) -> list[Outcome]:
        """One request. A crash on the way leaves what had happened on the other side by then."""
        self.requests += 1
        fault = self._roll()
        self.faults[fault or "none"] += 1
        if fault in {"429", "401"} and self.rng.random() < 0.3:
            # Not even a connection.
            return [Refused("connect ConnectionRefusedError")] * len(part)
        reach("http.connected")
        reach("http.body_half_written")
        # From here on the other side has all of it. Whether it takes it does not depend on whether we live.
        self.seen(part)
        bad = [fault is None and not self.calm and self.rng.random() < self.odds.bad_recipient for _ in part]
        good = [mail.public_id for mail, is_bad in zip(part, bad, strict=True) if not is_bad]
        outcome, takes = FAULTS[fault] if fault else (Accepted(f"sim-{self.requests}"), True)
        due = self.clock() + timedelta(seconds=self.rng.uniform(*(one.total_seconds() for one in LATE)))
        try:
            reach("http.before_accept")
        except BaseException:
            # We died; the bytes were out. The other side takes them as it would have, now or a while later.
            if takes or fault == "taken late":
                self.late.append((self.clock() if self.rng.random() < 0.5 else due, tuple(good)))
            raise
        if takes:
            self._take(good)
        elif fault == "taken late":
            self.late.append((due, tuple(good)))
        reach("http.after_accept")
        reach("http.headers_read")
        return [Rejected("http 400 to") if is_bad else outcome for is_bad in bad]

    def _roll(self) -> str | None:
        if self.calm or self.rng.random() >= self.odds.fault:
            return None
        return self.rng.choice(list(FAULTS))

    def _take(self, public_ids: Sequence[str]) -> None:
        for public_id in public_ids:
            self.taken.times[public_id] += 1
            self.taken.order.append(public_id)
            self._tell(public_id)

    def _tell(self, public_id: str) -> None:
        """Put events about a mail on their way: late, in any order, twice, or never."""
        number = len(self.taken.order)
        for name in ("processed", "delivered"):
            if self.rng.random() < self.odds.event_lost:
                continue
            told = {
                "email": "somebody@example.org",
                "timestamp": int(self.clock().timestamp()),
                "event": name,
                "sg_event_id": f"{number:08d}{name}",
                "sg_message_id": f"sim.{public_id}",
                "smtp-id": f"<{public_id}@example.org>",
                "response": "250 OK",
                "nurture_message_id": public_id,
            }
            for _ in range(2 if self.rng.random() < self.odds.event_twice else 1):
                # Most come soon: else a short life ends before it hears any.
                underway = timedelta(seconds=self.rng.uniform(1, self.rng.choice((60, 60, 7200))))
                self.mailbag.append((self.clock() + underway, told))

    def go_on(self) -> None:
        """Do what comes due by itself: acceptances that were late."""
        now = self.clock()
        due = [one for one in self.late if one[0] <= now]
        self.late = [one for one in self.late if one[0] > now]
        for _, public_ids in due:
            self._take(public_ids)

    def post(self) -> bytes | None:
        """Give the body of the next webhook post, some of what is due in any order; None when nothing is."""
        now = self.clock()
        due = [one for one in self.mailbag if one[0] <= now]
        if not due:
            return None
        self.rng.shuffle(due)
        self.posted = due[: self.rng.randint(1, 8)]
        return json.dumps([told for _, told in self.posted]).encode()

    def acknowledged(self) -> None:
        """Forget what the last post held: its 2xx arrived."""
        for one in self.posted:
            if one in self.mailbag:
                self.mailbag.remove(one)

    def proofs(self, public_ids: Collection[str]) -> set[str]:
        """Its log: proves what it took, or says nothing at all."""
        if self.rng.random() < self.odds.log_silent:
            return set()
        return {public_id for public_id in public_ids if self.taken.times[public_id]}
