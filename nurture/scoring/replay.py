"""Do the stored scores follow from the events? Folds every lead from zero and compares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from nurture.scoring.fold import fold
from nurture.scoring.project import events_of, facts_of
from nurture.store.inserting import CHUNK
from nurture.store.tables import lead, lead_score, points

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Row

    from nurture.scoring.fold import Score
    from nurture.scoring.policy import ScoringPolicy


@dataclass(frozen=True)
class Replay:
    """What the comparison found; `different` names the leads."""

    leads: int
    unscored: int
    """Leads that nothing happened to yet."""
    outdated: int
    """Scored under another version of the rules; their next event brings them up to date."""
    different: tuple[int, ...]


def replay(conn: Connection, policy: ScoringPolicy, *, progress: Callable[[int], None] = lambda _: None) -> Replay:
    """Compare every stored score with the fold of its events at the moment it was scored; writes nothing."""
    total = unscored = outdated = 0
    different: list[int] = []
    last = 0
    while rows := conn.execute(_page(last)).all():
        last = rows[-1].id
        total += len(rows)
        unscored += sum(row.scored_at is None for row in rows)
        outdated += sum(row.rules_version not in {None, policy.version} for row in rows)
        current = [row for row in rows if row.rules_version == policy.version]
        different += _different(conn, policy, current)
        progress(total)
    return Replay(total, unscored, outdated, tuple(different))


def _page(after: int) -> Any:  # noqa: ANN401  a select of a lead and its score
    stored = lead_score.c
    return (
        select(lead.c.id, stored.score, stored.engagement, stored.fit, stored.temperature, stored.rules_version)
        .add_columns(stored.scored_at)
        .select_from(lead.outerjoin(lead_score, stored.lead_id == lead.c.id))
        .where(lead.c.id > after)
        .order_by(lead.c.id)
        .limit(CHUNK)
    )


def _different(conn: Connection, policy: ScoringPolicy, rows: Sequence[Row[Any]]) -> list[int]:
    ids = [row.id for row in rows]
    facts, happened, given = facts_of(conn, ids), events_of(conn, policy, ids), _given(conn, policy, ids)
    found = []
    for row in rows:
        score = fold(happened[row.id], facts[row.id], policy, row.scored_at)
        if not _same(row, score) or sorted(_awards(score), key=repr) != sorted(given.get(row.id, []), key=repr):
            found.append(row.id)
    return found


def _same(row: Row[Any], score: Score) -> bool:
    pairs = ((row.score, score.score), (row.engagement, score.engagement), (row.fit, score.fit))
    close = all(math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) for one, other in pairs)
    return close and row.temperature == score.temperature.value


def _awards(score: Score) -> list[tuple[str, int | None, int]]:
    return [(each.rule, each.event_id, each.points) for each in score.contributions]


def _given(conn: Connection, policy: ScoringPolicy, ids: Sequence[int]) -> dict[int, list[tuple[str, int | None, int]]]:
    found: dict[int, list[tuple[str, int | None, int]]] = {}
    table = points.c
    query = select(table.lead_id, table.rule, table.event_id, table.points).where(
        table.lead_id.in_(ids), table.rules_version == policy.version
    )
    for row in conn.execute(query):
        found.setdefault(row.lead_id, []).append((row.rule, row.event_id, row.points))
    return found
