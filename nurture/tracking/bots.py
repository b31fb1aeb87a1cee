"""Was it a person? Judges all opens and clicks of a mail together, from what was kept of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from nurture.store.definitions import Length, Part
from nurture.store.definitions import load as load_file
from nurture.tracking.vocabulary import EventKind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

Judgement = tuple[Verdict, str]
AGENTS_KEPT = 4096


class AllLinks(Part):
    """So many different links within a moment."""

    at_least: int = Field(ge=2)
    within: Length


class Agents(Part):
    """Parts of user agents, in lower case."""

    person: tuple[str, ...]
    proxy: tuple[str, ...]
    scanner: tuple[str, ...]
    library: tuple[str, ...]


class BotPolicy(Part):
    """policies/bots.yaml."""

    policy: Literal["bots"]
    version: int = Field(ge=1)
    immediate: Length
    all_links: AllLinks
    honeypot: str
    agents: Agents
    bare: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """An open or a click, as far as the verdict reads it."""

    key: str
    kind: str
    at: datetime
    attributes: Mapping[str, Any]


def load(policies: Path) -> BotPolicy:
    """Read bots.yaml; raises DefinitionError."""
    return load_file(policies / "bots.yaml", BotPolicy)


def agent_class(policy: BotPolicy, agent: str | None) -> str | None:
    """Class a user agent: proxy, scanner, library; None for a person's program or where nothing was told."""
    if agent is None:
        return None
    return _agent_class(_Patterns.of(policy), agent.strip().lower()[:512])


@dataclass(frozen=True)
class _Patterns:
    """The lists of the policy, hashable by what they hold."""

    bare: tuple[str, ...]
    person: tuple[str, ...]
    machines: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def of(cls, policy: BotPolicy) -> _Patterns:
        """Take what is asked of user agents out of the policy."""
        agents = policy.agents
        machines = (("scanner", agents.scanner), ("proxy", agents.proxy), ("library", agents.library))
        return cls(policy.bare, agents.person, machines)


@lru_cache(maxsize=AGENTS_KEPT)
def _agent_class(patterns: _Patterns, agent: str) -> str | None:
    if agent in patterns.bare:
        return "proxy"
    if any(part in agent for part in patterns.person):
        return None
    return next((name for name, parts in patterns.machines if any(part in agent for part in parts)), None)


def judge(
    policy: BotPolicy, events: Sequence[Seen], *, delivered_at: datetime | None, links: int
) -> dict[str, Judgement]:
    """Judge the opens and clicks of one mail that has so many links; gives key -> (verdict, reason).

    Depends on the set of events alone, not on the order in which they came in.
    """
    bursts = _bursts(policy, [each for each in events if each.kind == EventKind.CLICKED], links)
    return {each.key: _one(policy, each, bursts, delivered_at) for each in events}


def _one(
    policy: BotPolicy, event: Seen, bursts: Sequence[tuple[datetime, datetime, str]], delivered_at: datetime | None
) -> Judgement:
    known = event.attributes
    agent = known.get("agent")
    burst = next((reason for start, end, reason in bursts if start <= event.at <= end), None)
    signs = (
        (bool(known.get("machine")), "provider says machine"),
        (known.get("method", "GET") != "GET", "no GET request"),
        (agent in {"scanner", "library"}, f"user agent: {agent}"),
        (burst is not None, burst or ""),
        (delivered_at is not None and event.at - delivered_at < policy.immediate, "too soon after delivery"),
    )
    for holds, reason in signs:
        if holds:
            return Verdict.MACHINE, reason
    if agent == "proxy":
        return Verdict.UNCLEAR, "image proxy"
    return Verdict.HUMAN, "no sign of a machine"


def _bursts(policy: BotPolicy, clicks: Iterable[Seen], links: int) -> list[tuple[datetime, datetime, str]]:
    """Find the moments at which a machine went through the mail; opens in them are its too."""
    ordered = sorted(clicks, key=lambda each: (each.at, each.key))
    span = policy.all_links.within
    found = [
        (each.at - span, each.at + span, "honeypot link")
        for each in ordered
        if each.attributes.get("link_key") == policy.honeypot
    ]
    enough = min(policy.all_links.at_least, links) if links > 1 else policy.all_links.at_least
    start = 0
    inside: defaultdict[object, int] = defaultdict(int)
    for each in ordered:
        inside[_link(each)] += 1
        while each.at - ordered[start].at > span:
            gone = _link(ordered[start])
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            start += 1
        if len(inside) >= enough:
            found.append((ordered[start].at, each.at, "all links at once"))
    return found


def _link(event: Seen) -> object:
    known = event.attributes
    return known["link"] if "link" in known else (known.get("target"), known.get("offset"))
