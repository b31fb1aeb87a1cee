"""How does a decision to write become messages? Batches by mail, rows unique by what they say to whom."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from consent.tokens import random_id
from nurture.delivery.states import Kind, State
from nurture.store.tables import message, send_batch, setting, template_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Table

CHUNK = 1000
ENVIRONMENT = "environment"


class LinkLike(Protocol):
    """A link of a mail."""

    @property
    def key(self) -> str:
        """Give its name in the template."""
        ...

    @property
    def url(self) -> str:
        """Give where it leads."""
        ...


class MailLike(Protocol):
    """A compiled mail, as the content library knows it."""

    @property
    def key(self) -> str:
        """Give `<sequence>/<step>/<temperature>/<language>`."""
        ...

    @property
    def sha256(self) -> str:
        """Give the fingerprint of the compiled mail."""
        ...

    @property
    def links(self) -> Sequence[LinkLike]:
        """Give the links, in the order of their numbers."""
        ...


@dataclass(frozen=True)
class PlannedMessage:
    """One mail that somebody decided to send. `subject` is the person's opaque id, not a subject line."""

    subject: str
    lead_id: int
    enrolment_id: int
    sequence: str
    step: str
    occurrence: int
    purpose: str
    message_class: str
    temperature: str
    language: str
    mail: MailLike
    tracked: bool


def environment(conn: Connection) -> str:
    """Which installation is this? A random id made at the first call; a copy that gets a new one sends nothing old."""
    query = select(setting.c.value).where(setting.c.name == ENVIRONMENT)
    known = conn.execute(query).scalar()
    if known is None:
        insert_missing(conn, setting, [{"name": ENVIRONMENT, "value": random_id()}], ("name",))
        known = conn.execute(query).scalar_one()
    return str(known)


def queue(
    conn: Connection,
    planned: Sequence[PlannedMessage],
    *,
    provider_name: str,
    batch_limit: int,
    environment: str,
    not_before: datetime,
    not_after: datetime,
    at: datetime,
) -> int:
    """Insert messages and their batches; give the number of messages that are new.

    What is queued already (same enrolment, step and occurrence) is left alone, so planning twice
    changes nothing. Batches hold one mail each: same sequence, same template, same language.
    """
    fresh = _not_yet_queued(conn, planned)
    fresh.sort(key=lambda item: (item.sequence, item.purpose, item.mail.key, item.mail.sha256, item.lead_id))
    versions = remember_mails(conn, [item.mail for item in fresh], at=at)
    for (sequence, purpose, _, _), group in groupby(
        fresh, key=lambda item: (item.sequence, item.purpose, item.mail.key, item.mail.sha256)
    ):
        rows = [_row(item, versions) for item in group]
        batch = {
            "kind": Kind.MARKETING,
            "provider": provider_name,
            "environment": environment,
            "sequence": sequence,
            "purpose": purpose,
            "not_before": not_before,
            "not_after": not_after,
        }
        insert_batches(conn, batch, rows, batch_limit=batch_limit, at=at)
    return len(fresh)


def _row(item: PlannedMessage, versions: dict[tuple[str, str], int]) -> dict[str, Any]:
    return {
        "subject": item.subject,
        "lead_id": item.lead_id,
        "enrolment_id": item.enrolment_id,
        "sequence": item.sequence,
        "step": item.step,
        "occurrence": item.occurrence,
        "purpose": item.purpose,
        "class": item.message_class,
        "temperature": item.temperature,
        "language": item.language,
        "template_version_id": versions[item.mail.key, item.mail.sha256],
        "tracked": item.tracked,
    }


def insert_batches(
    conn: Connection, batch: dict[str, Any], rows: Sequence[dict[str, Any]], *, batch_limit: int, at: datetime
) -> None:
    """Insert messages in batches of at most `batch_limit`; `batch` holds what all batches share."""
    chunks = [rows[start : start + batch_limit] for start in range(0, len(rows), batch_limit)]
    made = [{**batch, "state": State.PLANNED, "count": len(chunk), "attempt": 0, "planned_at": at} for chunk in chunks]
    statement = insert(send_batch).returning(send_batch.c.id, sort_by_parameter_order=True)
    ids = conn.execute(statement, made).scalars().all()
    messages = [
        {"public_id": random_id(), "batch_id": batch_id, "kind": batch["kind"], "planned_at": at, **row}
        for batch_id, chunk in zip(ids, chunks, strict=True)
        for row in chunk
    ]
    conn.execute(insert(message), messages)


def _not_yet_queued(conn: Connection, planned: Sequence[PlannedMessage]) -> list[PlannedMessage]:
    """Leave out what stands in the table; the unique key refuses what two planners write at once."""
    known: set[tuple[int, str, int]] = set()
    columns = (message.c.enrolment_id, message.c.step, message.c.occurrence)
    keys = [(item.enrolment_id, item.step, item.occurrence) for item in planned]
    for start in range(0, len(keys), CHUNK):
        # Served by the unique key (enrolment_id, step, occurrence).
        query = select(*columns).where(tuple_(*columns).in_(keys[start : start + CHUNK]))
        known.update((row[0], row[1], row[2]) for row in conn.execute(query))
    fresh = []
    for item, key in zip(planned, keys, strict=True):
        if key not in known:
            known.add(key)
            fresh.append(item)
    return fresh


def remember_mails(conn: Connection, mails: Iterable[MailLike], *, at: datetime) -> dict[tuple[str, str], int]:
    """Give the template_version ids by (key, sha256), adding versions seen for the first time.

    The row keeps the links, so that a link number in a sent mail keeps its meaning for ever.
    """
    wanted = {(mail.key, mail.sha256): mail for mail in mails}
    if not wanted:
        return {}
    columns = (template_version.c.key, template_version.c.sha256)
    query = select(*columns, template_version.c.id).where(tuple_(*columns).in_(list(wanted)))
    found = {(row[0], row[1]): row[2] for row in conn.execute(query)}
    rows = [
        {
            "key": mail.key,
            "sha256": mail.sha256,
            "links": [{"key": link.key, "url": link.url} for link in mail.links],
            "seen_at": at,
        }
        for pair, mail in wanted.items()
        if pair not in found
    ]
    if rows:
        insert_missing(conn, template_version, rows, ("key", "sha256"))
        found = {(row[0], row[1]): row[2] for row in conn.execute(query)}
    return found


def insert_missing(conn: Connection, table: Table, rows: Sequence[dict[str, Any]], key: Sequence[str]) -> None:
    """Insert rows, leaving out those whose unique key (empty: any unique key) is taken, whoever took it."""
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    conn.execute(dialect.insert(table).on_conflict_do_nothing(index_elements=list(key) or None), list(rows))
