"""How interested is a lead at a moment, and why? A pure function of what happened, the facts and the rules.

Order and repetition of the events do not matter: they are sorted by time and key, and counted once
by key. Times are aware; between two happenings a score can only fall (awards decay, deductions stand
still), so the moment when time alone changes the temperature is found by bisection.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING

from nurture.scoring.policy import (
    UNSET,
    Explicit,
    Freemail,
    Ignored,
    OpensWithoutClick,
    OutsideMarket,
    Withdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nurture.scoring.policy import Bands, Cap, ScoringPolicy

FAR = timedelta(days=36500)
"""What happens later than this does not concern anybody."""
NOTHING = timedelta(0)
HUMAN = "human"
MACHINE = "machine"


class Temperature(StrEnum):
    """The band a score falls into."""

    COLD = "cold"
    """Curious, far from a decision."""
    WARM = "warm"
    """Informs itself, compares, comes back."""
    HOT = "hot"
    """Near the decision."""


ORDER = (Temperature.COLD, Temperature.WARM, Temperature.HOT)
RANK = {temperature: rank for rank, temperature in enumerate(ORDER)}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as far as scoring reads it."""

    key: str
    kind: str
    at: datetime
    verdict: str = HUMAN
    message_id: int | None = None
    tracked: bool = False
    """May we measure opens and clicks of its message?"""
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the person and company. None is unknown, and never counts against anybody."""

    role: str | None = None
    company_size: int | None = None
    industry: str | None = None
    country: str | None = None
    freemail: bool = False
    withdrawn_at: datetime | None = None
    """Since when consent to mail is withdrawn."""
    untracked_since: datetime | None = None
    """Since when consent to tracking is withdrawn: silence after it means nothing."""
    unprofiled: bool = False
    """Restricted, or objected to direct marketing: nothing may be made of what is known (Art. 18, 21 GDPR)."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """One award or deduction, with its cause."""

    rule: str
    axis: str
    """engagement or fit."""
    points: int
    """As given, after the cap; 0 shows that the cap was reached."""
    at: datetime
    reason: str
    event_id: int | None = None
    event_key: str | None = None
    half_life: timedelta | None = None
    until: datetime | None = None
    """When a deduction ends."""

    def worth(self, at: datetime) -> float:
        """Give what is left of it at a moment not before its own."""
        if self.until is not None and at >= self.until:
            return 0.0
        if self.half_life is None:
            return float(self.points)
        return self.points * math.exp2((self.at - at) / self.half_life)


@dataclass(frozen=True, slots=True)
class Score:
    """The answer, with everything it rests on."""

    score: float
    """engagement + fit, never below 0."""
    engagement: float
    fit: float
    temperature: Temperature
    rules_version: int
    at: datetime
    contributions: tuple[Contribution, ...] = field(default=())
    """In order of time; facts first."""
    changes_at: datetime | None = None
    """When the temperature changes if nothing more happens."""

    @property
    def shown(self) -> int:
        """The whole number that people see and that the bands read."""
        return whole(self.score)


def whole(score: float) -> int:
    """Round half up, never below 0."""
    return max(0, math.floor(score + 0.5))


def band(score: float, bands: Bands) -> Temperature:
    """Give the band of a score, without looking at the past."""
    number = whole(score)
    if number >= bands.hot:
        return Temperature.HOT
    return Temperature.WARM if number >= bands.warm else Temperature.COLD


def settle(before: Temperature, score: float, bands: Bands) -> Temperature:
    """Give the temperature of a lead that had another one before: up at once, down past the hysteresis."""
    natural = band(score, bands)
    if RANK[natural] >= RANK[before]:
        return natural
    held = band(score + bands.hysteresis, bands)
    return before if RANK[held] >= RANK[before] else held


def fold(events: Iterable[Event], facts: Facts, policy: ScoringPolicy, at: datetime) -> Score:
    """Give the score of one lead at a moment; events after it do not exist yet."""
    if facts.unprofiled:
        return Score(0.0, 0.0, 0.0, Temperature.COLD, policy.version, at)
    past = sorted({event.key: event for event in events if event.at <= at}.values(), key=attrgetter("at", "key"))
    fit = _fit(facts, policy, at)
    course = sorted(
        [*_awards(past, policy), *_negatives(past, facts, policy)], key=attrgetter("at", "rule", "event_key")
    )
    given = [each for each in course if each.at <= at]
    fit_sum = float(min(max(sum(each.points for each in fit), policy.fit.floor), policy.fit.ceiling))
    engagement = math.fsum(each.worth(at) for each in given)
    temperature, changes_at = _Walk(course, fit_sum, policy.bands).to(at)
    return Score(
        score=max(0.0, engagement + fit_sum),
        engagement=engagement,
        fit=fit_sum,
        temperature=temperature,
        rules_version=policy.version,
        at=at,
        contributions=(*fit, *given),
        changes_at=changes_at,
    )


class _Capped:
    """How much a rule may still give at a moment: a sliding window over what it gave."""

    def __init__(self, cap: Cap | None) -> None:
        self.cap = cap
        self.given: deque[tuple[datetime, int]] = deque()
        self.used = 0

    def take(self, points: int, at: datetime) -> int:
        """Cut an award (or a deduction, negative) to what the cap leaves; moments must not go back."""
        if self.cap is None:
            return points
        while self.given and self.given[0][0] <= at - self.cap.per:
            self.used -= self.given.popleft()[1]
        size = min(abs(points), max(0, self.cap.points - self.used))
        if size:
            self.given.append((at, size))
            self.used += size
        return int(math.copysign(size, points)) if size else 0


def _reason(cause: str, wanted: int, given: int) -> str:
    if given == wanted:
        return cause
    return f"{cause}, cap reached" if given == 0 else f"{cause}, cut by the cap"


def _awards(past: Sequence[Event], policy: ScoringPolicy) -> Iterable[Contribution]:
    windows: dict[str, _Capped] = {}
    for event in past:
        if event.verdict != HUMAN:
            continue
        for rule in policy.by_event.get(event.kind, ()):
            if rule.points == UNSET or not isinstance(rule.points, int):
                continue
            window = windows.get(rule.id) or windows.setdefault(rule.id, _Capped(rule.cap))
            points = window.take(rule.points, event.at)
            yield Contribution(
                rule.id,
                "engagement",
                points,
                event.at,
                _reason(event.kind, rule.points, points),
                event.id,
                event.key,
                half_life=rule.half_life or policy.half_life,
            )


def _negatives(past: Sequence[Event], facts: Facts, policy: ScoringPolicy) -> Iterable[Contribution]:
    for rule in policy.rules:
        if isinstance(rule, Ignored):
            yield from _ignored(past, facts, rule)
        elif isinstance(rule, OpensWithoutClick):
            yield from _opens_only(past, rule)
        elif isinstance(rule, Withdrawn) and facts.withdrawn_at is not None:
            since = facts.withdrawn_at
            yield Contribution(rule.id, "engagement", rule.points, since, "withdrawn", until=since + rule.lasts)


def _ignored(past: Sequence[Event], facts: Facts, rule: Ignored) -> Iterable[Contribution]:
    """Ask each measured mail whether anybody reacted in time; the answer may lie in the future."""
    # An open of unknown origin is no interest, but it is no silence either.
    reactions: dict[int, list[datetime]] = defaultdict(list)
    for event in past:
        if event.message_id is not None and event.kind in {"opened", "clicked"} and event.verdict != MACHINE:
            reactions[event.message_id].append(event.at)
    window = _Capped(rule.cap)
    asked: set[int] = set()
    for event in past:
        if event.kind != "delivered" or not event.tracked or event.message_id is None or event.message_id in asked:
            continue
        asked.add(event.message_id)
        decided = event.at + rule.after
        if facts.untracked_since is not None and facts.untracked_since < decided:
            continue
        if any(moment < decided for moment in reactions[event.message_id]):
            continue
        points = window.take(rule.points, decided)
        yield Contribution(
            rule.id,
            "engagement",
            points,
            decided,
            _reason("ignored", rule.points, points),
            event.id,
            event.key,
            until=decided + rule.lasts,
        )


def _opens_only(past: Sequence[Event], rule: OpensWithoutClick) -> Iterable[Contribution]:
    """Watch for mails opened again and again with nothing else done in the same span."""
    opens: deque[tuple[datetime, int | str]] = deque()
    acted: datetime | None = None
    window = _Capped(rule.cap)
    for event in past:
        if event.verdict != HUMAN or event.kind == "delivered":
            continue
        if event.kind != "opened":
            acted = event.at
            continue
        opens.append((event.at, event.message_id if event.message_id is not None else event.key))
        while opens[0][0] <= event.at - rule.within:
            opens.popleft()
        if acted is not None and acted > event.at - rule.within:
            continue
        if len({mail for _, mail in opens}) < rule.opens:
            continue
        points = window.take(rule.points, event.at)
        if points:
            yield Contribution(
                rule.id,
                "engagement",
                points,
                event.at,
                "opens without a click",
                event.id,
                event.key,
                until=event.at + rule.lasts,
            )


def _fit(facts: Facts, policy: ScoringPolicy, at: datetime) -> list[Contribution]:
    found = []
    for rule in policy.rules:
        if isinstance(rule, Explicit):
            reason = _explicit(facts, rule)
        elif isinstance(rule, Freemail):
            reason = "private address" if facts.freemail else None
        elif isinstance(rule, OutsideMarket):
            reason = _outside(facts, rule)
        else:
            continue
        if reason is not None:
            found.append(Contribution(rule.id, "fit", rule.points, at, reason))
    return found


def _explicit(facts: Facts, rule: Explicit) -> str | None:
    value = getattr(facts, rule.field)
    if value is None:
        return None
    if rule.field == "company_size":
        low, high = rule.at_least or 0, rule.at_most if rule.at_most is not None else math.inf
        return f"company_size {value}" if low <= value <= high else None
    return f"{rule.field} {value}" if value in rule.any_of else None


def _outside(facts: Facts, rule: OutsideMarket) -> str | None:
    if facts.country and rule.countries and facts.country not in rule.countries:
        return f"country {facts.country}"
    if facts.industry and facts.industry in rule.not_industries:
        return f"industry {facts.industry}"
    return f"role {facts.role}" if facts.role and facts.role in rule.not_roles else None


class _Walk:
    """Go through a lead's life from happening to happening, carrying the temperature along."""

    def __init__(self, course: Sequence[Contribution], fit: float, bands: Bands) -> None:
        self.bands = bands
        self.flat = fit
        self.decaying: dict[timedelta, float] = {}
        self.jumps: dict[datetime, list[tuple[timedelta | None, int]]] = defaultdict(list)
        for each in course:
            if each.points:
                self.jumps[each.at].append((each.half_life, each.points))
                if each.until is not None:
                    self.jumps[each.until].append((None, -each.points))
        self.moments = sorted(self.jumps)

    def level(self, past: timedelta) -> float:
        """Give the score so long after the present moment, if nothing happens in between."""
        return self.flat + sum(value * math.exp2(-(past / half)) for half, value in self.decaying.items())

    def advance(self, past: timedelta) -> None:
        """Let time go by."""
        for half in self.decaying:
            self.decaying[half] *= math.exp2(-(past / half))

    def jump(self, moment: datetime) -> None:
        """Let happen what happens at a moment."""
        for half, points in self.jumps[moment]:
            if half is None:
                self.flat += points
            else:
                self.decaying[half] = self.decaying.get(half, 0.0) + points

    def to(self, at: datetime) -> tuple[Temperature, datetime | None]:
        """Give the temperature at a moment and when it changes next."""
        temperature = band(self.flat, self.bands)
        now = min([at, *self.moments[:1]])
        for moment in self.moments:
            if moment > at:
                break
            temperature = settle(temperature, self.level(moment - now), self.bands)
            self.advance(moment - now)
            now = moment
            self.jump(moment)
            temperature = settle(temperature, self.level(NOTHING), self.bands)
        temperature = settle(temperature, self.level(at - now), self.bands)
        self.advance(at - now)
        return temperature, self._next(temperature, at)

    def _next(self, temperature: Temperature, now: datetime) -> datetime | None:
        for moment in self.moments:
            if moment <= now:
                continue
            fallen = self._fall(temperature, moment - now)
            if fallen is not None:
                return now + fallen
            self.advance(moment - now)
            now = moment
            self.jump(moment)
            if settle(temperature, self.level(NOTHING), self.bands) is not temperature:
                return moment
        fallen = self._fall(temperature, FAR)
        return None if fallen is None else now + fallen

    def _fall(self, temperature: Temperature, within: timedelta) -> timedelta | None:
        """Find after how many whole seconds decay alone cools the lead; None if not within a span."""
        if temperature is Temperature.COLD:
            return None
        begins = self.bands.hot if temperature is Temperature.HOT else self.bands.warm
        # `settle` lets go where the rounded score plus the hysteresis falls below the band.
        held = begins - 0.5 - self.bands.hysteresis
        parts = [(value, half.total_seconds()) for half, value in self.decaying.items()]
        low, high = 0, int(within.total_seconds())
        if self._after(high, parts) >= held:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self._after(middle, parts) >= held:
                low = middle
            else:
                high = middle
        return timedelta(seconds=high)

    def _after(self, seconds: int, parts: Sequence[tuple[float, float]]) -> float:
        left = self.flat
        for value, half in parts:
            left += value * math.exp2(-seconds / half)
        return left
