"""How do rows enter the database? In chunks, suppression before contacts, a known lead completed and not doubled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from consent import identity, imported, lookup, suppression
from consent.schema import consent_state
from consent.schema import identity as identities
from nurture.leads import register
from nurture.leads.importing.columns import PERSON, Field
from nurture.leads.importing.mapping import Collision
from nurture.leads.importing.problems import NotMailable
from nurture.leads.rights import ending
from nurture.leads.stages import Stage
from nurture.store.inserting import chunks
from nurture.store.tables import lead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring
    from nurture.leads.importing.mapping import Plan
    from nurture.leads.importing.rows import Barred, Contact

FACT_FIELDS = {
    "country": Field.COUNTRY, "industry": Field.INDUSTRY, "company_size": Field.COMPANY_SIZE, "role": Field.JOB_TITLE,
}  # fmt: skip
CAUSE = "import"
"""Of the stage that somebody enters with."""
EVERYWHERE = {"bounced"}
"""Reasons that belong to the mailbox and not to one sender."""


@dataclass(frozen=True)
class Into:
    """Where rows go and as whose."""

    conn: Connection
    keyring: Keyring
    controller: str
    plan: Plan
    at: datetime


@dataclass(frozen=True)
class Seen:
    """A contact and what is known about it before it is taken."""

    contact: Contact
    index: bytes
    subject: str | None
    """None for somebody new."""
    suppressed: bool
    consents: Mapping[str, str]
    """Purpose -> state, of this controller."""
    not_mailable: NotMailable | None
    """Why this person may not be written to after the import."""


def look(into: Into, contacts: Sequence[Contact]) -> list[Seen]:
    """Find out what is known about contacts; three statements a chunk (unique index on address_index)."""
    indexes = [into.keyring.address_index(contact.address.identity) for contact in contacts]
    barred = suppression.suppressed(into.conn, indexes, controller=into.controller)
    subjects = subjects_of(into.conn, indexes)
    states = _states(into, list(subjects.values()))
    seen = []
    for contact, index in zip(contacts, indexes, strict=True):
        subject = subjects.get(index)
        consents = states.get(subject, {}) if subject else {}
        seen.append(Seen(contact, index, subject, index in barred, consents, _not_mailable(contact, consents)))
    return seen


def _not_mailable(contact: Contact, consents: Mapping[str, str]) -> NotMailable | None:
    """A consent that stands here counts, as does one that was withdrawn here."""
    if "given" in consents.values():
        return None
    return NotMailable.WITHDRAWN_BEFORE if "withdrawn" in consents.values() else contact.not_mailable


def take(into: Into, seen: Sequence[Seen], batch_id: int) -> tuple[int, int, int]:
    """Make or complete leads and record proven consents; give (new, changed, consents recorded).

    Who is new goes in without being asked for again: nobody else can know a subject made just now.
    """
    strangers = {one.index: (one.contact.address, one.contact.person) for one in seen if one.subject is None}
    made = identity.add_many(into.conn, into.keyring, strangers, at=into.at)
    newcomers = [(one, made[one.index]) for one in seen if one.index in made]
    leads = _new_leads(into, newcomers, batch_id)
    register.add_newcomers(into.conn, leads, at=into.at)
    # On PostgreSQL another process may have met somebody between our look and our insert.
    met = subjects_of(into.conn, [index for index in strangers if index not in made])
    others = [(one, one.subject or met[one.index]) for one in seen if one.index not in made]
    known, changed = _complete(into, others, batch_id)
    recorded = _record(into, newcomers + others)
    return len(newcomers) + len(others) - known, changed, recorded


def _complete(into: Into, named: Sequence[tuple[Seen, str]], batch_id: int) -> tuple[int, int]:
    """Add to people that are known here; give how many are leads already, and how many of them changed."""
    if not named:
        return 0, 0
    changed = _describe(into, named)
    known = register.of_subject(into.conn, [subject for _, subject in named])
    before = _facts(into, known)
    register.register(into.conn, _new_leads(into, named, batch_id), at=into.at)
    after = _facts(into, known)
    changed |= {subject for subject, facts in after.items() if facts != before[subject]}
    return len(known), len(changed & set(known))


def _record(into: Into, named: Sequence[tuple[Seen, str]]) -> int:
    """Enter the proven consents in the ledger; give how many."""
    consents = [
        imported.ImportedConsent(
            subject, proof.purpose, into.controller, proof.text, proof.confirmed_at, proof.evidence
        )
        for one, subject in named
        if one.not_mailable is not NotMailable.WITHDRAWN_BEFORE
        for proof in one.contact.proofs
    ]
    return imported.record(into.conn, into.keyring, consents, at=into.at) if consents else 0


def bar(into: Into, barred: Sequence[Barred]) -> tuple[int, int]:
    """Suppress addresses and end the consents of whoever they belong to; give (newly suppressed, withdrawn)."""
    added = withdrawn = 0
    lookup.adopt(into.conn, into.keyring, [one.address for one in barred])
    reasons: dict[bytes, set[str]] = {}
    for one in barred:
        reasons.setdefault(into.keyring.address_index(one.address.identity), set()).add(one.reason)
    for part in chunks(list(reasons)):
        # A mailbox that does not exist says nothing about what its owner wants.
        said = {index: reasons[index] - EVERYWHERE for index in part}
        for controller, some in (
            (suppression.EVERYONE, {index: reasons[index] & EVERYWHERE for index in part}),
            (into.controller, said),
        ):
            # In a file one address may stand twice, with reasons of its own in each row.
            these = {index: max(sorted(each), key=suppression.gravity) for index, each in some.items() if each}
            if these:
                added += suppression.add(
                    into.conn, these, controller=controller, at=into.at, index_key=into.keyring.index_version
                )
        for index, subject in subjects_of(into.conn, part).items():
            if said[index]:
                withdrawn += len(
                    ending.withdraw(
                        into.conn,
                        subject=subject,
                        controller=into.controller,
                        purposes=None,
                        route="import",
                        actor="import",
                        at=into.at,
                    )
                )
    return added, withdrawn


def subjects_of(conn: Connection, indexes: Sequence[bytes]) -> dict[bytes, str]:
    """Give address index -> subject for those that are known."""
    found: dict[bytes, str] = {}
    for part in chunks(indexes):
        query = select(identities.c.address_index, identities.c.subject).where(identities.c.address_index.in_(part))
        found |= {row.address_index: row.subject for row in conn.execute(query)}
    return found


def _states(into: Into, subjects: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for part in chunks(subjects):
        query = select(consent_state.c.subject, consent_state.c.purpose, consent_state.c.state).where(
            consent_state.c.subject.in_(part), consent_state.c.controller == into.controller
        )
        for row in into.conn.execute(query):
            found.setdefault(row.subject, {})[row.purpose] = row.state
    return found


def _describe(into: Into, named: Sequence[tuple[Seen, str]]) -> set[str]:
    """Seal what the file knows about persons, by the collision rule of each column; give who changed."""
    held = identity.reveal(into.conn, into.keyring, [subject for one, subject in named if one.subject])
    details = {}
    for one, subject in named:
        known = held[subject].details if subject in held else None
        news = one.contact.person if known is None else _merged(into.plan, known, one.contact.person)
        if news:
            details[subject] = news
    identity.describe(into.conn, into.keyring, details)
    return set(details) & set(held)


def _merged(plan: Plan, known: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Give only what is to change."""
    news = {}
    for name, text in given.items():
        rule = plan.collision(_field_of(plan, name))
        if known.get(name) == text or rule is Collision.KEEP:
            continue
        if rule is Collision.OVERWRITE or not known.get(name):
            news[name] = text
    return news


def _field_of(plan: Plan, name: str) -> Field:
    """Give the column a detail came from; first and last name may come from the full one."""
    found = Field(name)
    return Field.FULL_NAME if found in PERSON[:2] and found not in plan.columns else found


def _facts(into: Into, known: Mapping[str, int]) -> dict[str, tuple[object, ...]]:
    names = [lead.c[name] for name in (*register.FACTS, "stage")]
    found: dict[str, tuple[object, ...]] = {}
    for part in chunks(list(known)):
        rows = into.conn.execute(select(lead.c.subject, *names).where(lead.c.subject.in_(part)))
        found |= {row[0]: tuple(row[1:]) for row in rows}
    return found


def _new_leads(into: Into, named: Sequence[tuple[Seen, str]], batch_id: int) -> list[register.NewLead]:
    """Say what the file knows as facts about leads, as far as the collision rules let it."""
    plan = into.plan
    rules = {name: plan.collision(column) for name, column in FACT_FIELDS.items()}
    overwrite = frozenset(name for name, rule in rules.items() if rule is Collision.OVERWRITE)
    kept = [name for name, rule in rules.items() if rule is Collision.KEEP]
    leads = []
    for one, subject in named:
        contact = one.contact
        facts: dict[str, Any] = {name: getattr(contact, name) for name in FACT_FIELDS}
        if one.subject is not None:
            facts |= dict.fromkeys(kept)
        leads.append(
            register.NewLead(
                subject=subject,
                language=contact.language,
                source=plan.map.source,
                source_detail=plan.preset.name,
                stage=contact.stage or (Stage.CONFIRMED if one.not_mailable is None else Stage.UNCONFIRMED),
                freemail=contact.facts.freemail,
                role_address=contact.facts.role_account,
                import_batch_id=batch_id,
                cause=CAUSE,
                overwrite=overwrite,
                **facts,
            )
        )
    return leads
