"""What is stored about one person? All of it, opened and explained, from the tables as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from consent import canonical, checkpoints, ledger, vault
from consent import identity as identities
from consent.schema import (
    consent_state,
    consent_text,
    identity,
    ledger_entry,
    opt_in_purpose,
    opt_in_request,
    rights_request,
    suppression,
)
from nurture.leads.rights import history, model, notes
from nurture.leads.rights.group import Group, RightsError, group_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring
    from nurture.settings import Settings
    from nurture.store.workspace import Workspace


def gather(conn: Connection, workspace: Workspace, subject: str, *, at: datetime) -> model.Record:
    """Gather the record of the person a subject belongs to, as of now.

    Raises RightsError for an unknown or erased person: there is nothing left to show.
    """
    group, settings = group_of(conn, subject), workspace.settings
    refuse_erased(conn, workspace, subject)
    persons = _persons(conn, workspace.keyring, group)
    proofs = _proofs(conn, workspace.keyring, group)
    leads = history.leads(conn, group)
    consents = _consents(conn, group)
    requests = _requests(conn, group)
    return model.Record(
        made_at=at,
        language=_language(leads, settings),
        zone=settings.zone,
        controller=model.Controller(
            id=settings.controller,
            company=settings.company,
            postal_address=settings.postal_address,
            imprint=settings.imprint,
            contact=settings.sender_address,
        ),
        persons=persons,
        leads=leads,
        sources=_sources(conn, group, leads),
        consents=consents,
        wordings=_wordings(conn, group, proofs),
        proofs=proofs,
        sign_ups=_sign_ups(conn, group),
        suppressions=_suppressions(conn, group),
        preferences=history.preferences(conn, group),
        mails=history.mails(conn, group, settings.home / "outbox"),
        events=history.events(conn, group),
        signals=history.signals(conn, group),
        scores=history.scores(conn, group),
        points=history.awards(conn, group),
        temperatures=history.temperatures(conn, group),
        stages=history.stages(conn, group),
        enrolments=history.enrolments(conn, group),
        decisions=history.decisions(conn, group),
        handovers=history.handovers(conn, workspace.keyring, group, notes.sales(settings)),
        recipients=notes.recipients(settings, _language(leads, settings)),
        retention=notes.retention(settings, consents, _language(leads, settings)),
        requests=requests,
        ledger=list(_ledger(conn, group)),
    )


def refuse_erased(conn: Connection, workspace: Workspace, subject: str) -> None:
    """Raise RightsError where nothing of a person is left, or they are unknown."""
    if not identities.reveal(conn, workspace.keyring, group_of(conn, subject).subjects):
        raise RightsError("this person was erased; nothing about them is left to hand out")


def _language(leads: Sequence[model.Lead], settings: Settings) -> Any:  # noqa: ANN401  "de" or "en"
    spoken = leads[-1].language if leads else settings.language
    return spoken if spoken in {"de", "en"} else settings.language


def _persons(conn: Connection, keyring: Keyring, group: Group) -> list[model.Person]:
    known = identities.reveal(conn, keyring, group.subjects)
    rows = conn.execute(
        select(identity.c.subject, identity.c.created_at, identity.c.restricted_at)
        .where(identity.c.subject.in_(group.subjects))
        .order_by(identity.c.created_at, identity.c.subject)
    )
    return [
        model.Person(
            subject=row.subject,
            address=known[row.subject].address,
            details=known[row.subject].details,
            known_since=row.created_at,
            restricted_since=row.restricted_at,
        )
        for row in rows
        if row.subject in known
    ]


def _sources(conn: Connection, group: Group, leads: Sequence[model.Lead]) -> list[model.Source]:
    """Give how each lead came, and by which forms the person signed up."""
    asked = conn.execute(
        select(opt_in_request.c.source, opt_in_request.c.requested_at)
        .where(opt_in_request.c.subject.in_(group.subjects))
        .order_by(opt_in_request.c.id)
    )
    came = history.origins(conn, [one.lead for one in leads])
    return came + [model.Source(source="sign_up", detail=row.source, at=row.requested_at) for row in asked]


def _consents(conn: Connection, group: Group) -> list[model.Consent]:
    rows = conn.execute(
        select(consent_state, consent_text.c.sha256, ledger_entry.c.leaf)
        .outerjoin(consent_text, consent_text.c.id == consent_state.c.text_id)
        .outerjoin(ledger_entry, ledger_entry.c.seq == consent_state.c.seq)
        .where(consent_state.c.subject.in_(group.subjects))
        .order_by(consent_state.c.seq, consent_state.c.purpose)
    )
    return [
        model.Consent(
            subject=row.subject,
            controller=row.controller,
            channel=row.channel,
            purpose=row.purpose,
            basis=row.basis,
            state=row.state,
            since=row.since,
            used_at=row.used_at,
            ledger_entry=row.seq,
            wording_sha256=row.sha256 or _agreed(row.leaf, row.purpose),
        )
        for row in rows
    ]


def _agreed(leaf: bytes | None, purpose: str) -> str | None:
    """Read from an entry which wording a purpose was agreed to in; a withdrawal names none."""
    named = canonical.decode(leaf)["body"].get("purposes", []) if leaf else []
    return next((str(one["text"]) for one in named if isinstance(one, dict) and one.get("purpose") == purpose), None)


def _wordings(conn: Connection, group: Group, proofs: Sequence[model.Proof]) -> list[model.Wording]:
    """Give every wording this person ever had before them, ours and those that came with an import."""
    asked = (
        select(opt_in_purpose.c.text_id)
        .join(opt_in_request, opt_in_request.c.id == opt_in_purpose.c.request_id)
        .where(opt_in_request.c.subject.in_(group.subjects))
    )
    agreed = select(consent_state.c.text_id).where(consent_state.c.subject.in_(group.subjects))
    rows = conn.execute(
        select(consent_text)
        .where(consent_text.c.id.in_(asked.union(agreed)))
        .order_by(consent_text.c.purpose, consent_text.c.version, consent_text.c.language)
    )
    ours = [
        model.Wording(
            controller=row.controller,
            channel=row.channel,
            purpose=row.purpose,
            version=row.version,
            language=row.language,
            sha256=row.sha256,
            body=row.body,
        )
        for row in rows
    ]
    return ours + _brought(proofs, {one.sha256 for one in ours})


def _brought(proofs: Sequence[model.Proof], known: set[str]) -> list[model.Wording]:
    """Give the wordings that lie in the evidence: those of other systems."""
    found = []
    for proof in proofs:
        wording = proof.evidence.get("wording")
        body = canonical.decode(proof.leaf.encode())["body"]
        for one in body.get("purposes", []) if isinstance(wording, str) else []:
            if isinstance(one, dict) and one["text"] not in known:
                known.add(one["text"])
                found.append(
                    model.Wording(
                        controller=body["controller"],
                        channel=body["channel"],
                        purpose=one["purpose"],
                        version=None,
                        language=None,
                        sha256=one["text"],
                        body=str(wording),
                    )
                )
    return found


def _proofs(conn: Connection, keyring: Keyring, group: Group) -> list[model.Proof]:
    signed = checkpoints.latest(conn)
    return [
        model.Proof(
            ledger_entry=one.seq,
            step=one.type,
            at=one.at,
            evidence=canonical.decode(one.plaintext),
            canonical=one.plaintext.decode(),
            salt=one.salt.hex(),
            leaf=one.leaf.decode(),
            leaf_hash=one.leaf_hash.hex(),
            inclusion=checkpoints.tlog_proof(conn, one.seq, signed) if signed and one.seq < signed.size else None,
        )
        for one in vault.opened(conn, keyring, group.subjects)
    ]


def _sign_ups(conn: Connection, group: Group) -> list[model.SignUp]:
    mine = opt_in_request.c.subject.in_(group.subjects)
    rows = conn.execute(select(opt_in_request).where(mine).order_by(opt_in_request.c.id)).all()
    purposes: dict[int, list[str]] = {row.id: [] for row in rows}
    asked = select(opt_in_purpose.c.request_id, opt_in_purpose.c.purpose).join(opt_in_request).where(mine)
    for row in conn.execute(asked.order_by(opt_in_purpose.c.purpose)):
        purposes[row.request_id].append(row.purpose)
    return [
        model.SignUp(
            request=row.id,
            purposes=purposes[row.id],
            source=row.source,
            language=row.language,
            state=row.state,
            requested_at=row.requested_at,
            expires_at=row.expires_at,
            settled_at=row.settled_at,
            mail_queued_at=row.queued_at,
        )
        for row in rows
    ]


def _suppressions(conn: Connection, group: Group) -> list[model.Suppression]:
    rows = conn.execute(
        select(suppression.c.controller, suppression.c.reason, suppression.c.since)
        .join(identity, identity.c.address_index == suppression.c.address_index)
        .where(identity.c.subject.in_(group.subjects))
        .order_by(suppression.c.since, suppression.c.controller)
    )
    return [model.Suppression(controller=row.controller, reason=row.reason, since=row.since) for row in rows]


def _requests(conn: Connection, group: Group) -> list[model.Request]:
    rows = conn.execute(
        select(rights_request).where(rights_request.c.subject.in_(group.subjects)).order_by(rights_request.c.id)
    )
    return [
        model.Request(
            kind=row.kind,
            state=row.state,
            route=row.route,
            received_at=row.received_at,
            due_at=row.due_at,
            settled_at=row.settled_at,
            hold_until=row.hold_until,
        )
        for row in rows
    ]


LISTS = {"send.authorised": "permits", "send.blocked": "refusals"}
"""Entries that name many people: the field that lists them; each line is [message, subject, ...]."""


def _ledger(conn: Connection, group: Group) -> Iterator[model.LedgerEntry]:
    """Give every entry about the person; of those about many only the person's own lines."""
    mine = set(group.subjects)
    found = {one.seq: one for subject in group.subjects for one in ledger.read(conn, subject=subject)}
    for one in ledger.read(conn, types=tuple(LISTS)):
        lines = [line for line in one.body[LISTS[one.type]] if line[1] in mine]
        if lines:
            found[one.seq] = ledger.Recorded(one.seq, one.at, one.type, None, {**one.body, LISTS[one.type]: lines})
    for _, one in sorted(found.items()):
        yield model.LedgerEntry(ledger_entry=one.seq, at=one.at, type=one.type, body=one.body)
