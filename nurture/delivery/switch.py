"""Is sending stopped? A row that every intent reads, so it works with Prefect down and takes effect at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from nurture.delivery.errors import DeliveryError
from nurture.failpoints import reach
from nurture.store.tables import kill_switch, switch_change

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

ALL = "all"
_STOPPED = select(kill_switch.c.scope)


def sequence_scope(sequence: str) -> str:
    """Name the scope of one sequence."""
    return f"sequence:{sequence}"


def stop(conn: Connection, scope: str, actor: str, reason: str, at: datetime) -> bool:
    """Stop a scope (`all` or `sequence:<name>`); False when it was stopped already (the first word stays)."""
    if scope != ALL and not scope.removeprefix("sequence:").strip():
        raise DeliveryError("the scope to stop is empty; name a sequence or use --all")
    if scope in stopped(conn):
        return False
    conn.execute(insert(kill_switch).values(scope=scope, stopped_at=at, actor=actor[:64], reason=reason[:200]))
    _note(conn, scope, "stop", actor, reason, at)
    return True


def resume(conn: Connection, scope: str, actor: str, reason: str, at: datetime) -> bool:
    """Lift the stop of exactly this scope; False when there was none."""
    if conn.execute(delete(kill_switch).where(kill_switch.c.scope == scope)).rowcount != 1:
        return False
    _note(conn, scope, "resume", actor, reason, at)
    return True


def _note(conn: Connection, scope: str, change: str, actor: str, reason: str, at: datetime) -> None:
    row = {"scope": scope, "change": change, "at": at, "actor": actor[:64], "reason": reason[:200]}
    conn.execute(insert(switch_change).values(**row))
    reach("killswitch.before_commit")


def stopped(conn: Connection) -> frozenset[str]:
    """Which scopes are stopped?"""
    return frozenset(conn.execute(_STOPPED).scalars())


def is_stopped(scopes: frozenset[str], sequence: str | None) -> bool:
    """Does one of these scopes cover this sequence (None: mail that belongs to no sequence)?"""
    return ALL in scopes or (sequence is not None and sequence_scope(sequence) in scopes)
