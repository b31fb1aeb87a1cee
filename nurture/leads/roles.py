"""What does a job title say about who decides? A coarse class, because titles are free text."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache


class Role(StrEnum):
    """How near somebody is to the decision."""

    DECIDER = "decider"
    """Signs: management, owner, head of a department."""
    INFLUENCER = "influencer"
    """Prepares it: team leads, engineers, buyers, project managers."""
    USER = "user"
    """Works with it, or learns about it."""
    UNKNOWN = "unknown"
    """No title, or one we cannot read."""


GERMAN = {
    "decider": "entscheidet", "influencer": "bereitet Entscheidungen vor", "user": "arbeitet damit",
    "unknown": "unbekannt",
}  # fmt: skip
"""Each role for German readers."""

# Order decides: "Assistenz der Geschäftsführung" names a decider but is none.
_DECIDES = (
    r"gesch[aä]e?ftsf|gesch[aä]e?ftsleit|inhaber|gr[uü]e?nder|founder|owner|vorstand|president|partner"
    r"|\bc[eotfi]o\b|\bcmo\b|\bcdo\b|chief|prokur|\bvp\b|\bvice\b|director|direktor|managing"
    r"|head of|leiter(in)?\b|leitung|leiter[:*]in|bereichsl|abteilungsl|werksl|betriebsl"
)
_PREPARES = (
    r"manager|ingenieur|engineer|eink[aä]uf|buyer|procurement|projekt|project|consult|berater|architekt|architect"
    r"|specialist|spezialist|referent|meister|planer|planner|controller|entwickl"
)
_PATTERNS = (
    (Role.USER, r"assist|sekret|praktik|intern\b|werkstudent|student|azubi|auszubild|trainee|schüler"),
    (Role.DECIDER, _DECIDES),
    (Role.INFLUENCER, _PREPARES),
    (Role.USER, r"technik|mechanik|mechatron|operator|bediener|sachbearb|technician|monteur|elektr|fitter"),
)


@lru_cache(maxsize=10_000)
def role_of(title: str) -> Role:
    """Class a job title, German or English; UNKNOWN where it says nothing."""
    text = title.lower()
    # "Teamleiter" ends like a department head; the team lead prepares, the head signs.
    if re.search(r"team\s?-?leit|team\s?-?lead|schichtl|gruppenl", text):
        return Role.INFLUENCER
    return next((role for role, pattern in _PATTERNS if re.search(pattern, text)), Role.UNKNOWN)
