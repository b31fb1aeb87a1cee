"""How does a decision to write become messages? Batches by mail, rows unique by what they say to whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from consent.among import among
from consent.tokens import random_id, random_ids
from nurture.delivery.spreading import offset
from nurture.delivery.states import Kind, State
from nurture.store.raw import Times, insert_tuples, new_ids
from nurture.store.tables import message, send_batch, setting, template_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Table

ENVIRONMENT = "environment"
_ENVIRONMENT = select(setting.c.value).where(setting.c.name == ENVIRONMENT)


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


@dataclass(frozen=True, eq=False)
class Shared:
    """What the messages of a batch have in common: all but whom they go to."""

    sequence: str
    step: str
    purpose: str
    message_class: str
    temperature: str
    language: str
    mail: MailLike
    tracked: bool
    """Tracked and untracked mails have different contents, so they share no batch."""
    not_after: datetime

    @cached_property
    def key(self) -> tuple[str | bool | datetime, ...]:
        """Give what batches are told apart and ordered by: first the mail, so that its messages stand together."""
        return (
            self.sequence, self.purpose, self.mail.key, self.mail.sha256, self.step, self.message_class,
            self.temperature, self.language, self.tracked, self.not_after,
        )  # fmt: skip


Recipient = tuple[int, int, str, int]
"""Lead, enrolment, subject (the person's opaque id), occurrence of the step."""


def environment(conn: Connection) -> str:
    """Which installation is this? A random id made at the first call; a copy that gets a new one sends nothing old."""
    known = conn.execute(_ENVIRONMENT).scalar()
    if known is None:
        insert_missing(conn, setting, [{"name": ENVIRONMENT, "value": random_id()}], ("name",))
        known = conn.execute(_ENVIRONMENT).scalar_one()
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
    """Insert messages and their batches; give the number of messages that are new. As queue_all, one by one."""
    groups: Groups = {}
    for item in planned:
        shared = Shared(
            item.sequence, item.step, item.purpose, item.message_class, item.temperature, item.language, item.mail,
            item.tracked, not_after,
        )  # fmt: skip
        recipient = (item.lead_id, item.enrolment_id, item.subject, item.occurrence)
        groups.setdefault(shared.key, (shared, []))[1].append(recipient)
    return queue_all(
        conn, groups, provider_name=provider_name, batch_limit=batch_limit, environment=environment,
        not_before=not_before, at=at,
    )  # fmt: skip


Groups = dict[tuple[str | bool | datetime, ...], tuple[Shared, list[Recipient]]]
"""By Shared.key: the mails of one chunk."""


def queue_all(
    conn: Connection,
    groups: Groups,
    *,
    provider_name: str,
    batch_limit: int,
    environment: str,
    not_before: datetime,
    at: datetime,
    spread: timedelta = timedelta(0),
) -> int:
    """Insert the messages of a chunk and their batches; give the number of messages that are new.

    Their batches leave from `not_before` on, laid evenly over `spread`.

    What is queued already (same enrolment, step and occurrence) is left alone, so planning twice changes
    nothing. Batches hold one mail each, and their messages are neighbours in the order of leads. The number of
    statements does not depend on how many messages there are.
    """
    fresh = _not_yet_queued(conn, groups)
    parts = [
        (shared, recipients[start : start + batch_limit])
        for shared, recipients in fresh
        for start in range(0, len(recipients), batch_limit)
    ]
    if not parts:
        return 0
    versions = remember_mails(conn, [shared.mail for shared, _ in fresh], at=at)
    batch_ids = new_ids(conn, send_batch, len(parts))
    made = [
        {
            "id": batch_id, "kind": Kind.MARKETING, "state": State.PLANNED, "provider": provider_name,
            "environment": environment, "sequence": shared.sequence, "purpose": shared.purpose,
            "count": len(recipients), "attempt": 0, "planned_at": at,
            "not_before": not_before + offset(batch_id, spread, lasts=shared.not_after - not_before),
            "not_after": shared.not_after,
        }
        for batch_id, (shared, recipients) in zip(batch_ids, parts, strict=True)
    ]  # fmt: skip
    conn.execute(insert(send_batch), made)
    rows = _message_rows(parts, batch_ids, versions, Times(conn.dialect).drivers(at))
    insert_tuples(conn, message, MESSAGE_COLUMNS, rows)
    return len(rows)


MESSAGE_COLUMNS = (
    "public_id", "batch_id", "kind", "subject", "lead_id", "enrolment_id", "sequence", "step", "occurrence", "purpose",
    "class", "temperature", "language", "template_version_id", "tracked", "planned_at",
)  # fmt: skip


def _message_rows(
    parts: Sequence[tuple[Shared, list[Recipient]]],
    batch_ids: Sequence[int],
    versions: dict[tuple[str, str], int],
    planned_at: Any,  # noqa: ANN401  the driver's own type
) -> list[tuple[Any, ...]]:
    """Write out the messages of batches, as the driver takes them."""
    # In order: the unique index then takes a chunk's ids page by page, not one page for each.
    public_ids = iter(sorted(random_ids(sum(len(recipients) for _, recipients in parts))))
    rows: list[tuple[Any, ...]] = []
    kind = Kind.MARKETING.value
    for batch_id, (of, recipients) in zip(batch_ids, parts, strict=True):
        template = versions[of.mail.key, of.mail.sha256]
        mail = (of.purpose, of.message_class, str(of.temperature), of.language, template, of.tracked, planned_at)
        sequence, step = of.sequence, of.step
        rows += [
            (next(public_ids), batch_id, kind, subject, lead_id, enrolment_id, sequence, step, occurrence, *mail)
            for lead_id, enrolment_id, subject, occurrence in recipients
        ]
    return rows


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


def _not_yet_queued(conn: Connection, groups: Groups) -> list[tuple[Shared, list[Recipient]]]:
    """Leave out what stands in the table, in the order of batches; the unique key refuses what two planners write."""
    enrolments = [recipient[1] for _, recipients in groups.values() for recipient in recipients]
    if not enrolments:
        return []
    # Served by the unique key (enrolment_id, step, occurrence).
    columns = (message.c.enrolment_id, message.c.step, message.c.occurrence)
    query = select(*columns).where(among(conn, message.c.enrolment_id, enrolments))
    known = {(enrolment_id, step, occurrence) for enrolment_id, step, occurrence in conn.execute(query).all()}
    fresh = []
    for key in sorted(groups):
        shared, recipients = groups[key]
        new = []
        for recipient in sorted(recipients):
            key_of = (recipient[1], shared.step, recipient[3])
            if key_of not in known:
                known.add(key_of)
                new.append(recipient)
        if new:
            fresh.append((shared, new))
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
