"""Which rules can be read but cannot be meant? Warnings; none of them stops anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.scoring.policy import UNSET, Implicit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nurture.scoring.policy import ScoringPolicy

REQUESTS = ("demo_requested", "offer_requested", "price_requested", "appointment_requested", "trial_requested")
"""A person asks for something."""
PASSIVE = ("opened", "clicked", "page_visited", "pricing_visited", "page_dwelled", "social_engaged", "downloaded")
"""A person looks at something."""
SCORABLE = (*PASSIVE, *REQUESTS, "webinar_attended", "replied", "form_submitted", "trial_started")
"""What a policy should speak of, if only to say `unset`."""


def warnings(policy: ScoringPolicy) -> list[str]:
    """Give one line `rules: text` for each rule or lack of one that looks like a mistake."""
    return [*_relevance(policy), *_silence(policy), *_caps(policy), *_reach(policy), *_approvals(policy)]


def worth(policy: ScoringPolicy, kind: str) -> int:
    """How many points does one such event give?"""
    return sum(rule.points for rule in policy.by_event.get(kind, ()) if isinstance(rule.points, int))


def _relevance(policy: ScoringPolicy) -> Iterator[str]:
    """The more relevant an action, the higher its points."""
    for request in REQUESTS:
        for passive in PASSIVE:
            if worth(policy, request) < worth(policy, passive):
                yield (
                    f"{request} scores {worth(policy, request)}, less than {passive} ({worth(policy, passive)}); "
                    "asking for something shows more interest than looking"
                )


def _silence(policy: ScoringPolicy) -> Iterator[str]:
    named = {kind for rule in policy.rules if isinstance(rule, Implicit) for kind in rule.on}
    for kind in SCORABLE:
        if kind not in named:
            yield f"no rule reads {kind}; write a rule with `points: unset` if that is meant"


def _caps(policy: ScoringPolicy) -> Iterator[str]:
    for rule in policy.rules:
        if not isinstance(rule, Implicit) or rule.points == UNSET or not isinstance(rule.points, int):
            continue
        if rule.cap is None and rule.points:
            enough = -(-policy.bands.hot // rule.points)
            yield f"{rule.id} has no cap: {enough} such events alone make a lead hot"
        elif rule.cap is not None and "opened" in rule.on and rule.cap.points >= policy.bands.warm:
            yield f"{rule.id} alone makes a lead warm, and machines open mail; lower its cap"


def _reach(policy: ScoringPolicy) -> Iterator[str]:
    once = policy.counted_once()
    if once < policy.bands.hot:
        yield f"doing everything once gives {once} points; hot begins at {policy.bands.hot}"


def _approvals(policy: ScoringPolicy) -> Iterator[str]:
    for side in ("marketing", "sales"):
        if side not in policy.approvals:
            yield f"{side} has not approved version {policy.version}; add approvals.{side}"
