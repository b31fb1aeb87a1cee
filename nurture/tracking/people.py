"""Whose events are these? From message ids and addresses to subjects and leads, in sets."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from consent import identity, lookup
from consent.addresses import Address, InvalidAddress
from consent.schema import identity as identity_table
from nurture.leads import hygiene, profiling, register
from nurture.leads.roles import role_of
from nurture.leads.stages import Stage
from nurture.store.inserting import chunks
from nurture.store.tables import message, template_version
from nurture.tracking.vocabulary import ENDING, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.store.workspace import Workspace
    from nurture.tracking.sendgrid_events import Normalised

PERSONAL = ("first_name", "last_name", "salutation", "phone", "company", "job_title", "product_interest", "message")
"""What a form may tell of a person: sealed under their key, never beside the event."""
LONGEST = {"message": 4000}
USUAL = 200


@dataclass(frozen=True, slots=True)
class Mail:
    """A message of ours, as far as its events need it."""

    id: int
    subject: str
    lead_id: int | None
    purpose: str | None
    tracked: bool
    links: Sequence[Mapping[str, Any]]
    request_id: int | None = None
    """The sign-up that a confirmation mail is about."""


@dataclass(slots=True)
class Item:
    """One event on its way into the database."""

    event: Normalised
    raw_id: int
    received_at: datetime
    key: str
    at: datetime
    mail: Mail | None = None
    subject: str | None = None
    lead_id: int | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict = Verdict.MACHINE
    verdict_reason: str = "provider"

    @classmethod
    def of(cls, told: Normalised, raw_id: int, received_at: datetime) -> Item:
        """Begin with what a body told; nothing happened after we heard of it, whatever clock they have."""
        moment = min(told.at, received_at)
        return cls(told, raw_id, received_at, told.key, moment, attributes=dict(told.attributes))


def mails(conn: Connection, public_ids: Sequence[str]) -> dict[str, Mail]:
    """Find our messages by their public ids."""
    found: dict[str, Mail] = {}
    columns = message.c
    for part in chunks(public_ids):
        rows = conn.execute(
            select(
                columns.public_id,
                columns.id,
                columns.subject,
                columns.lead_id,
                columns.purpose,
                columns.tracked,
                columns.template_version_id,
                columns.request_id,
            ).where(columns.public_id.in_(part))
        ).all()
        links = _links(conn, sorted({row.template_version_id for row in rows}))
        for row in rows:
            about = (row.id, row.subject, row.lead_id, row.purpose, row.tracked)
            found[row.public_id] = Mail(*about, links[row.template_version_id], row.request_id)
    return found


def _links(conn: Connection, versions: Sequence[int]) -> dict[int, Sequence[Mapping[str, Any]]]:
    """Read the links of templates once each, not once a message."""
    found: dict[int, Sequence[Mapping[str, Any]]] = {}
    for part in chunks(versions):
        query = select(template_version.c.id, template_version.c.links).where(template_version.c.id.in_(part))
        found |= {row.id: row.links or [] for row in conn.execute(query)}
    return found


def attach(conn: Connection, ws: Workspace, items: Sequence[Item], *, at: datetime) -> None:
    """Give each item its mail, subject and lead, where there is one; forms of strangers make a lead."""
    known = mails(conn, sorted({item.event.message for item in items if item.event.message}))
    for item in items:
        mail = known.get(item.event.message or "")
        if mail is not None:
            item.mail, item.subject, item.lead_id = mail, mail.subject, mail.lead_id
    _attach_by_address(conn, ws, [item for item in items if item.mail is None and _may_be_ours(item)])
    _attach_forms(conn, ws, [item for item in items if "form" in item.attributes], at=at)
    merged = register.standing(conn, [item.lead_id for item in items if item.lead_id is not None])
    for item in items:
        item.lead_id = merged.get(item.lead_id or 0, item.lead_id)


def _may_be_ours(item: Item) -> bool:
    """Is the address alone enough to act? For what ends something, and for what a page tells."""
    told = ":?:" in item.key and "form" not in item.attributes
    return bool(item.event.address) and (told or item.event.kind in ENDING)


def checked(address: str | None) -> Address | None:
    """Give an address in its forms; None for what is none."""
    try:
        return Address.of(hygiene.check(address or ""))
    except (hygiene.BadAddress, InvalidAddress):
        return None


def _attach_by_address(conn: Connection, ws: Workspace, items: Sequence[Item]) -> None:
    addresses: dict[tuple[str, int], Address] = {}
    for item in items:
        address = checked(item.event.address)
        if address is not None:
            addresses[item.key, item.raw_id] = address
    subjects = _subjects(conn, ws, addresses.values())
    for item in items:
        address = addresses.get((item.key, item.raw_id))
        item.subject = None if address is None else subjects.get(address)
    leads = register.of_subject(conn, [item.subject for item in items if item.subject])
    for item in items:
        item.lead_id = leads.get(item.subject or "")
        if item.subject:
            item.key = item.key.replace(":?:", f":{item.subject}:")


def _subjects(conn: Connection, ws: Workspace, addresses: Iterable[Address]) -> dict[Address, str]:
    """Give the subjects of those addresses that somebody has."""
    wanted = list(addresses)
    if not wanted:
        return {}
    lookup.adopt(conn, ws.keyring, wanted)
    indexes = {address: ws.keyring.address_index(address.identity) for address in wanted}
    table = identity_table.c
    found: dict[bytes, str] = {}
    for part in chunks(sorted(set(indexes.values()))):
        query = select(table.address_index, table.subject).where(table.address_index.in_(part))
        found |= {row.address_index: row.subject for row in conn.execute(query)}
    return {address: found[index] for address, index in indexes.items() if index in found}


def _attach_forms(conn: Connection, ws: Workspace, items: Sequence[Item], *, at: datetime) -> None:
    """Make the person behind each form, or find them; anybody can type anybody's address.

    Whoever asks for something is a lead at once, but an unmailable one: stage `unconfirmed`, no consent.
    Only of a newcomer what was typed becomes known. Of somebody whom we have it stands below the message,
    where people read it and no mail or score does.
    """
    forms = {item.key + str(item.raw_id): (item, checked(item.event.address)) for item in items}
    given = [address for _, address in forms.values() if address is not None]
    held = set(_subjects(conn, ws, given).values())
    subjects = identity.ensure_many(conn, ws.keyring, given, at=at) if given else {}
    news: dict[str, register.NewLead] = {}
    known = {who: person.details for who, person in identity.reveal(conn, ws.keyring, subjects.values()).items()}
    details: dict[str, dict[str, str]] = {}
    for item, address in forms.values():
        if address is None:
            continue
        item.subject = subjects[address]
        item.key = item.key.replace(":?:", f":{item.subject}:")
        typed = _personal(item.event.fields)
        mine = details.setdefault(item.subject, {})
        if item.subject in held:
            news.setdefault(item.subject, _new_lead(item, ws, address, told=False))
            mine |= _below_the_message(known.get(item.subject, {}) | mine, typed)
        else:
            news[item.subject] = _new_lead(item, ws, address, told=True)
            mine |= typed | profiling.settled_by(typed, at=item.at)
            held.add(item.subject)
    identity.describe(conn, ws.keyring, {subject: news for subject, news in details.items() if news})
    leads = register.register(conn, list(news.values()), at=at, keyring=ws.keyring)
    for item in items:
        item.lead_id = leads.get(item.subject or "")


def _new_lead(item: Item, ws: Workspace, address: Address, *, told: bool) -> register.NewLead:
    """Give the lead behind a form; with the facts that were `told` in it only where nobody else's can be meant."""
    language, fields = item.event.fields.get("language"), item.event.fields if told else {}
    country, size = fields.get("country"), fields.get("company_size")
    facts = hygiene.facts(address.delivery)
    size_text = str(size) if isinstance(size, int | str) and not isinstance(size, bool) else ""
    return register.NewLead(
        subject=item.subject or "",
        language=language if language in {"de", "en"} else ws.settings.language,
        source="form",
        source_detail=str(item.attributes["form"]),
        stage=Stage.UNCONFIRMED,
        country=country.upper() if isinstance(country, str) and country.isalpha() and len(country) == 2 else None,  # noqa: PLR2004  ISO 3166 alpha-2
        company_size=int(size_text) if size_text.isascii() and size_text.isdigit() and len(size_text) < 8 else None,  # noqa: PLR2004  fits the column
        role=role_of(_text(fields, "job_title")) or None,
        freemail=facts.freemail,
        role_address=facts.role_account,
    )


def _personal(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: text for name in PERSONAL if (text := _text(fields, name))}


def _below_the_message(known: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Give the message of somebody whom we have, with what else was typed that we do not know of them."""
    lines = [given.get("message", "")]
    lines += [f"{name}: {text}" for name, text in given.items() if name != "message" and known.get(name) != text]
    message = "\n".join(filter(None, lines))
    return {"message": message} if message else {}


def _text(fields: Mapping[str, Any], name: str) -> str:
    """Give a field as one clean text: no controls but line breaks in the message, no endless ones."""
    value = fields.get(name)
    if not isinstance(value, str):
        return ""
    keep = "\n" if name == "message" else ""
    clean = "".join(c if c in keep or unicodedata.category(c) not in {"Cc", "Cf", "Cs"} else " " for c in value)
    return clean.strip()[: LONGEST.get(name, USUAL)]
