"""May an existing customer be written to without consent? Only when four things are proven (s. 7(3) UWG).

A legal basis of its own, never a kind of consent: off unless policies/consent.yaml says otherwise, each
condition with evidence, recorded as basis.recorded, ended by any withdrawal or objection like a consent.
Mails on this basis must carry the notice that one may object (`carries_notice`); the gate asks for it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import select

from consent import ConsentError, identity, ledger, suppression, vault
from consent.rules import stale_from
from consent.schema import consent_state
from consent.schema import identity as people
from consent.states import EMAIL, TRACKING, Standing, State, put, standings
from consent.withdrawal import everything_ended

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.keys import Keyring

EXISTING_CUSTOMER = "existing_customer"
"""What stands as `basis` beside the last word."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "sale": ("id", "date"),
    "similar_goods": ("sold", "advertised"),
    "notice": ("wording", "place", "date"),
    "objection": ("checked", "by"),
}
"""The four conditions, and what proves each."""
OBJECTION_NOTICE = {
    "de": (r"widerspr", r"jederzeit", r"übermittlungskosten|basistarif|kostenlos|kostenfrei"),
    "en": (r"\bobject|opt out", r"at any time", r"transmission costs|basic rates|free of charge|no cost"),
}
"""Per language: such a notice says that one may object, at any time, at no more than the cost of the message."""


class BasisError(ConsentError):
    """The exception does not apply; `missing` names each condition that is not met."""

    def __init__(self, missing: list[str]) -> None:
        """Keep what is missing, for the person who can mend it."""
        super().__init__(f"an existing customer may not be written to without consent: {'; '.join(missing)}")
        self.missing = missing


@dataclass(frozen=True)
class Evidence:
    """What proves the four conditions: {condition: {name: text}}; dates are YYYY-MM-DD."""

    said: Mapping[str, Mapping[str, str]]

    def text(self, condition: str, name: str) -> str:
        """Give one item, empty when it is missing."""
        return str(self.said.get(condition, {}).get(name, "")).strip()

    def day(self, condition: str, name: str) -> date | None:
        """Read a date, None when there is none or it is none."""
        try:
            return date.fromisoformat(self.text(condition, name))
        except ValueError:
            return None


def carries_notice(text: str) -> bool:
    """Does a text say, in German or English, that one may object at any time at no further cost?"""
    return any(all(re.search(part, text, re.IGNORECASE) for part in parts) for parts in OBJECTION_NOTICE.values())


def record(
    conn: Connection,
    keyring: Keyring,
    subject: str,
    *,
    purpose: str,
    controller: str,
    evidence: Evidence,
    allowed: bool,
    at: datetime,
) -> int:
    """Record that a customer may be written to; give the ledger entry.

    `allowed` is what policies/consent.yaml says. Raises BasisError that names everything missing, and
    SubjectError for an unknown or erased person. A consent that stands is the better ground and refused here.
    """
    ledger.lock(conn)
    missing = [] if allowed else ["the exception is switched off (existing_customer in policies/consent.yaml)"]
    missing += shortcomings(evidence, at=at) + _objections(conn, subject, purpose, controller)
    if missing:
        raise BasisError(missing)
    wording = evidence.text("notice", "wording")
    kept = vault.commit({name: dict(told) for name, told in evidence.said.items()})
    notice = {"purpose": purpose, "text": hashlib.sha256(wording.encode()).hexdigest(), "version": None}
    body = {"controller": controller, "channel": EMAIL, "purposes": [notice], "commit": kept.digest}
    [seq] = ledger.append(conn, [ledger.Entry(ledger.EntryType.BASIS, body, at, subject)])
    vault.keep(conn, keyring, [(seq, subject, kept)])
    put(
        conn,
        [Standing(subject, controller, EMAIL, purpose, State.GIVEN, seq, None, at, None, basis=EXISTING_CUSTOMER)],
    )
    return seq


def shortcomings(evidence: Evidence, *, at: datetime) -> list[str]:
    """Say what the evidence lacks; empty when all four conditions are proven."""
    lacks = [
        f"{condition}.{name} is missing"
        for condition, names in NEEDED.items()
        for name in names
        if not evidence.text(condition, name)
    ]
    today = at.date()
    days = {name: evidence.day(*name.split(".")) for name in ("sale.date", "notice.date", "objection.checked")}
    for name, day in days.items():
        if day is None and evidence.text(*name.split(".")):
            lacks.append(f"{name} is no date; write 2026-05-12")
        elif day is not None and day > today:
            lacks.append(f"{name} lies in the future")
    sold, noticed = days["sale.date"], days["notice.date"]
    if sold and noticed and noticed > sold:
        lacks.append("the notice was given after the sale; it must stand where the address was collected")
    if sold and today >= stale_from(at.replace(year=sold.year, month=sold.month, day=sold.day)).date():
        lacks.append("the sale is 24 months old or older")
    if evidence.text("notice", "wording") and not carries_notice(evidence.text("notice", "wording")):
        lacks.append("the notice does not say that one may object at any time at no further cost")
    return lacks


def _objections(conn: Connection, subject: str, purpose: str, controller: str) -> list[str]:
    """Say what our own records hold against it: the fourth condition is not what somebody writes in a file."""
    query = select(people.c.address_index, people.c.erased_at).where(people.c.subject == subject)
    row = conn.execute(query).one_or_none()
    if row is None or row.erased_at is not None:
        raise identity.SubjectError("the subject is unknown or erased; nothing was recorded")
    held = {one.purpose: one for one in standings(conn, subject, controller=controller)}
    found = []
    if purpose == TRACKING:
        found.append("measuring opens and clicks always needs consent")
    if everything_ended(conn, [subject], controller) or (purpose in held and held[purpose].state == State.WITHDRAWN):
        found.append("this person withdrew or objected")
    if suppression.suppressed(conn, [row.address_index], controller=controller):
        found.append("the address is on the suppression list")
    if purpose in held and held[purpose].state == State.GIVEN and held[purpose].basis != EXISTING_CUSTOMER:
        found.append("a consent stands already, which is the better ground")
    return found


def among(conn: Connection, subjects: list[str], *, purpose: str, controller: str) -> set[str]:
    """Which of these does only the exception permit?"""
    found: set[str] = set()
    for chunk in identity.chunks(subjects):
        query = select(consent_state.c.subject).where(
            consent_state.c.subject.in_(chunk),
            consent_state.c.controller == controller,
            consent_state.c.channel == EMAIL,
            consent_state.c.purpose == purpose,
            consent_state.c.basis == EXISTING_CUSTOMER,
        )
        found.update(conn.execute(query).scalars())
    return found
