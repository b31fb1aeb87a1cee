"""What happened with one person, in order? Sign-up, mail, confirmation, sends, withdrawal; evidence if revealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, select

from consent import canonical, identity, vault
from consent.schema import ledger_entry, opt_in_request, proof_vault
from nurture.store.tables import (
    authorisation,
    delivery_attempt,
    message,
    message_exception,
    send_batch,
    template_version,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from consent.keys import Keyring
    from nurture.audit.facts import Facts

CHUNK = 200
"""People read at once."""


@dataclass(frozen=True)
class Source:
    """Where their history is read: one snapshot, the entries up to `size`."""

    conn: Connection
    keyring: Keyring
    facts: Facts
    size: int
    reveal: bool


def files(source: Source, subjects: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Give the file of each person, in the order given, some hundred read at once."""
    for chunk in identity.chunks(subjects, CHUNK):
        entries = _entries(source, chunk)
        mails = _mails(source.conn, chunk)
        known = identity.reveal_each(source.conn, source.keyring, chunk) if source.reveal else {}
        for subject in chunk:
            made: dict[str, Any] = {"subject": subject}
            person = known.get(subject)
            if isinstance(person, identity.Person):
                made["person"] = {"address": person.address, **person.details}
            elif source.reveal:
                made["person"] = "erased" if person is None else "unreadable"
            steps = [*entries.get(subject, []), *_sends(source.facts, subject, mails), *_confirmations(mails, subject)]
            made["timeline"] = sorted(steps, key=lambda step: (step["at"], step["entry"] or 0))
            yield made


def _entries(source: Source, subjects: list[str]) -> dict[str, list[dict[str, Any]]]:
    query = (
        select(ledger_entry.c.seq, ledger_entry.c.type, ledger_entry.c.subject, ledger_entry.c.leaf)
        .where(ledger_entry.c.subject.in_(subjects), ledger_entry.c.seq < source.size)
        .order_by(ledger_entry.c.seq)
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in source.conn.execute(query).all():
        leaf = canonical.decode(row.leaf)
        step = {"entry": row.seq, "at": leaf["at"], "what": row.type, "body": leaf["body"]}
        if source.reveal and isinstance(leaf["body"].get("commit"), str):
            step["evidence"] = disclosure(source.conn, source.keyring, row.seq)
        found.setdefault(row.subject, []).append(step)
    return found


def disclosure(conn: Connection, keyring: Keyring, seq: int) -> dict[str, Any] | None:
    """Give salt and evidence of an entry, with which anybody can check its commitment; None once destroyed."""
    opened = vault.evidence(conn, keyring, seq)
    if opened is None:
        return None
    salt = conn.execute(select(proof_vault.c.salt).where(proof_vault.c.seq == seq)).scalar_one()
    return {"salt": salt.hex(), "evidence": opened}


def _mails(conn: Connection, subjects: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Give every mail of these people with what became of it."""
    attempt = and_(delivery_attempt.c.batch_id == send_batch.c.id, delivery_attempt.c.n == send_batch.c.attempt)
    query = (
        select(
            message.c.public_id,
            message.c.subject,
            message.c.kind,
            message.c.sequence,
            message.c.step,
            message.c.language,
            opt_in_request.c.requested_seq,
            template_version.c.sha256.label("template_sha256"),
            send_batch.c.state,
            message_exception.c.state.label("own_state"),
            delivery_attempt.c.started_at,
            delivery_attempt.c.provider_message_id,
            authorisation.c.seq.label("entry"),
            authorisation.c.content_sha256,
        )
        .select_from(
            message.join(send_batch, send_batch.c.id == message.c.batch_id)
            .join(template_version, template_version.c.id == message.c.template_version_id)
            .outerjoin(opt_in_request, opt_in_request.c.id == message.c.request_id)
            .outerjoin(delivery_attempt, attempt)
            .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
            .outerjoin(
                authorisation,
                and_(authorisation.c.message_id == message.c.id, authorisation.c.attempt == send_batch.c.attempt),
            )
        )
        .where(message.c.subject.in_(subjects))
        .order_by(message.c.id)
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in conn.execute(query).mappings():
        found.setdefault(row["subject"], []).append(dict(row))
    return found


def _sends(facts: Facts, subject: str, mails: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Give what the ledger permitted and refused, with what became of each mail."""
    known = {mail["public_id"]: mail for mail in mails.get(subject, [])}
    for row in facts.mails_of(subject):
        mail = known.get(row["message"], {})
        step = {
            "entry": row["seq"],
            "at": row["at"],
            "what": "send.blocked" if row["reason"] else "send.authorised",
            "message": row["message"],
            "purpose": row["purpose"],
        }
        if row["reason"]:
            yield step | {"reason": row["reason"]}
        else:
            # An attempt that was made again has an entry of its own; the fate is the last one's.
            last = mail.get("entry") == row["seq"]
            yield step | {
                "consent": row["consent_seq"],
                "tracking": row["tracking_seq"],
                "mail": f"{mail.get('sequence')}/{mail.get('step')}" if mail else None,
                "content_sha256": mail.get("content_sha256") if last else None,
                "outcome": (mail.get("own_state") or mail.get("state")) if last else None,
                "provider_message_id": mail.get("provider_message_id") if last else None,
            }


def _confirmations(mails: dict[str, list[dict[str, Any]]], subject: str) -> Iterator[dict[str, Any]]:
    """Give the confirmation mails: they rest on no consent, so no entry of the ledger names them."""
    for mail in mails.get(subject, []):
        if mail["kind"] == "confirmation" and mail["started_at"] is not None:
            yield {
                "entry": None,
                "at": canonical.utc_text(mail["started_at"]),
                "what": "mail.confirmation",
                "message": mail["public_id"],
                "request": mail["requested_seq"],
                "template_sha256": mail["template_sha256"],
                "outcome": mail["own_state"] or mail["state"],
                "provider_message_id": mail["provider_message_id"],
            }
