"""What did nurture itself stop, and why? Rows that every claim and every intent reads.

A brake differs from the kill switch in who pulls it: no person, but figures or a database that is not what it
was. Only a person releases it. Some stop marketing alone; those that doubt the database itself stop all mail.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, insert, select, update

from nurture.delivery.errors import DeliveryError
from nurture.delivery.queue import insert_missing
from nurture.delivery.states import Kind
from nurture.store import marks
from nurture.store.tables import brake, switch_change

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

EVERY_PROVIDER = ""
ITSELF = "nurture"
"""Who pulled it, in the list of changes."""
RECONCILED = "doubts reconciled"
"""The mark of when the doubts were last looked into."""
GAP_MARKED = "gap marked"
"""The mark of when everything that an older database may have sent was put into doubt."""


class Brake(StrEnum):
    """What can stop mail by itself."""

    IN_DOUBT = "in_doubt"
    """Too many mails whose fate nobody knows; marketing stops."""
    COMPLAINTS = "complaints"
    """Too many readers pressed "spam"; marketing stops."""
    RESTORED = "restored"
    """The database is an older one: it does not know what was sent since. All mail stops."""
    COPIED = "copied"
    """The database may be a copy, and its original may be sending. All mail stops."""
    SERVER = "server"
    """The database server is another one, or was restored or promoted. All mail stops."""


class Level(StrEnum):
    """How far it is pulled."""

    OFF = "off"
    """Nothing is wrong, or a person released it."""
    WARN = "warn"
    """Somebody should look; mail goes on."""
    STOP = "stop"
    """Mail stands still until a person releases it."""


MARKETING_ONLY = (Brake.IN_DOUBT, Brake.COMPLAINTS)
NEEDS_RECONCILING = (Brake.RESTORED, Brake.SERVER)
_STOPPING = select(brake.c.name, brake.c.provider).where(brake.c.level == Level.STOP).order_by(brake.c.name)
RISING = [Level.OFF, Level.WARN, Level.STOP]


@dataclass(frozen=True)
class Pulled:
    """A brake that warns or stops, since when (UTC) and why. `provider` is empty where it holds for all."""

    name: str
    provider: str
    level: str
    since: datetime
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return asdict(self)

    @property
    def scope(self) -> str:
        """Name it as the list of changes does."""
        return scope_of(self.name, self.provider)


def scope_of(name: str, provider: str) -> str:
    """Name a brake in the list of changes."""
    return f"brake:{name}:{provider}" if provider else f"brake:{name}"


def stopping(conn: Connection, kind: str, provider: str | None) -> str | None:
    """Which brake stops mail of this kind through this provider (None: through any)? None when it may go.

    Asked by each claim and, with authority, by each intent. The table has a handful of rows.
    """
    return next((row.name for row in conn.execute(_STOPPING) if _stops(row, kind, provider)), None)


def _stops(row: Row[Any], kind: str, provider: str | None) -> bool:
    """Does a brake that is pulled hold for this mail?"""
    of_kind = kind == Kind.MARKETING or row.name not in MARKETING_ONLY
    return of_kind and (provider is None or row.provider in (EVERY_PROVIDER, provider))


def pulled(conn: Connection) -> list[Pulled]:
    """Which brakes warn or stop?"""
    query = select(brake).where(brake.c.level != Level.OFF).order_by(brake.c.name, brake.c.provider)
    return [_of(row) for row in conn.execute(query)]


def counted_from(conn: Connection, name: Brake, provider: str) -> datetime | None:
    """When did a person release this brake last (UTC)? What lies before it has been judged."""
    found: datetime | None = conn.execute(select(brake.c.counted_from).where(*_is(name, provider))).scalar()
    return found


def pull(
    conn: Connection,
    name: Brake,
    reason: str,
    at: datetime,
    *,
    provider: str = EVERY_PROVIDER,
    level: Level = Level.STOP,
) -> bool:
    """Pull a brake up to a level; False when it was there already. It never lets go of a stop by itself."""
    row = {"name": name, "provider": provider, "level": Level.OFF, "since": at, "reason": "", "told": True}
    insert_missing(conn, brake, [row], ("name", "provider"))
    lower = RISING[: RISING.index(level)]
    values = {"level": level, "since": at, "reason": reason[:200], "told": False}
    if conn.execute(update(brake).where(*_is(name, provider), brake.c.level.in_(lower)).values(**values)).rowcount != 1:
        return False
    if level is Level.STOP:
        _note(conn, scope_of(name, provider), "stop", ITSELF, reason, at)
    return True


def calm(conn: Connection, name: Brake, provider: str, at: datetime) -> None:
    """Take a mere warning back: the figures are good again."""
    warning = (*_is(name, provider), brake.c.level == Level.WARN)
    conn.execute(update(brake).where(*warning).values(level=Level.OFF, since=at, told=True))


def ease(conn: Connection, name: Brake, provider: str, at: datetime) -> None:
    """Let go of a stop whose reason proof has taken away: the doubts turned out to be none."""
    standing = (*_is(name, provider), brake.c.level == Level.STOP)
    if conn.execute(update(brake).where(*standing).values(level=Level.OFF, since=at, told=True)).rowcount == 1:
        _note(conn, scope_of(name, provider), "resume", ITSELF, "proof resolved the doubts", at)


def release(conn: Connection, name: Brake, provider: str, actor: str, reason: str, at: datetime) -> bool:
    """Let mail go on, by a person's decision; False when nothing was pulled.

    Figures count anew from here. Raises DeliveryError for a database that is not what it was, as long as its
    lost time was not put into doubt, or nobody has looked into the doubts.
    """
    standing = conn.execute(select(brake).where(*_is(name, provider), brake.c.level != Level.OFF)).first()
    if standing is None:
        return False
    if name == Brake.RESTORED and not gap_marked(conn):
        raise DeliveryError(
            f"{name}: what may have been sent meanwhile still counts as planned; "
            "run 'nurture delivery gap --since TIME' with the time of the older state"
        )
    if name in NEEDS_RECONCILING and marks.text_mark(conn, RECONCILED) < standing.since.astimezone(UTC).isoformat():
        raise DeliveryError(
            f"{name}: nobody has looked into the doubts since; run 'nurture delivery reconcile', then release it"
        )
    values = {"level": Level.OFF, "since": at, "counted_from": at, "told": True}
    conn.execute(update(brake).where(*_is(name, provider)).values(**values))
    _note(conn, scope_of(name, provider), "resume", actor, reason, at)
    return True


def gap_marked(conn: Connection) -> bool:
    """Is everything in doubt that an older database may have sent?"""
    return bool(marks.text_mark(conn, GAP_MARKED))


def reconciled(conn: Connection, at: datetime) -> None:
    """Remember that the doubts were looked into."""
    marks.set_mark(conn, RECONCILED, at.astimezone(UTC).isoformat())


def untold(conn: Connection) -> list[Pulled]:
    """Give the brakes pulled since the last call: each raises one alarm."""
    fresh = and_(brake.c.told.is_(False), brake.c.level != Level.OFF)
    rows = conn.execute(select(brake).where(fresh).order_by(brake.c.name, brake.c.provider).with_for_update()).all()
    for row in rows:
        conn.execute(update(brake).where(*_is(row.name, row.provider)).values(told=True))
    return [_of(row) for row in rows]


def _is(name: str, provider: str) -> tuple[Any, ...]:
    return brake.c.name == name, brake.c.provider == provider


def _of(row: Row[Any]) -> Pulled:
    return Pulled(row.name, row.provider, row.level, row.since, row.reason)


def _note(conn: Connection, scope: str, change: str, actor: str, reason: str, at: datetime) -> None:
    row = {"scope": scope, "change": change, "at": at, "actor": actor[:64], "reason": reason[:200]}
    conn.execute(insert(switch_change).values(**row))
