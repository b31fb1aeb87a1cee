"""What did the gates say? Each answer is stored once; a decision names it and fills in what is its lead's alone.

A million leads at one step hear a handful of answers: they differ in the number of a ledger entry and
in a few times. Those stand in braces in the answer and in `decision.details`. So an answer says
nothing about anybody, and outlives whom it was given to.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from consent.among import among
from nurture.store.inserting import insert_new
from nurture.store.tables import verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

HOLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Answer:
    """What gates said, with holes for what differs from lead to lead, and the versions of the rules they used."""

    gates: str
    """JSON: [{gate, passed, detail}] in the order asked."""
    versions: str
    """JSON: of sequence, policies, template."""

    @classmethod
    def of(cls, gates: Iterable[Mapping[str, object]], versions: Mapping[str, object]) -> Answer:
        """Write an answer down; equal ones give equal text."""
        return cls(json.dumps(list(gates)), json.dumps(dict(versions)))

    @property
    def sha256(self) -> str:
        """Give the fingerprint it is found by."""
        return hashlib.sha256(f"{self.gates}\n{self.versions}".encode()).hexdigest()


def remember(conn: Connection, answers: Collection[Answer]) -> dict[Answer, int]:
    """Give the ids of answers, adding those never heard before. At most three statements."""
    prints = {answer.sha256: answer for answer in answers}
    if not prints:
        return {}
    query = select(verdict.c.sha256, verdict.c.id).where(among(conn, verdict.c.sha256, sorted(prints)))
    found: dict[str, int] = {row.sha256: row.id for row in conn.execute(query)}
    # In order, so that two planners with the same news do not wait for each other in a ring.
    new = [(print_, prints[print_]) for print_ in sorted(prints) if print_ not in found]
    if new:
        rows = [
            {"sha256": print_, "gates": json.loads(answer.gates), "versions": json.loads(answer.versions)}
            for print_, answer in new
        ]
        insert_new(conn, verdict, rows)
        found = {row.sha256: row.id for row in conn.execute(query)}
    return {answer: found[print_] for print_, answer in prints.items()}


def told(gates: Sequence[Mapping[str, Any]], details: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Give the gates of a decision as they were for its lead: every hole filled."""
    return [{**gate, "detail": fill(gate["detail"], details or {})} for gate in gates]


def fill(text: str, details: Mapping[str, Any]) -> str:
    """Fill the holes of a text; one that has no value stays as it is."""
    return HOLE.sub(lambda hole: str(details.get(hole[1], hole[0])), text)
