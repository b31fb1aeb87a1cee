"""Is this an address one can write to, and what does it tell about itself? Offline.

`check` is a verdict: syntax only, offline, strict. `facts` are facts: a private mailbox or a
shared one is no reason to refuse anybody, scoring may weigh it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property, lru_cache
from importlib import resources

from email_validator import EmailNotValidError, validate_email

from nurture import NurtureError

LONGEST = 254
"""Characters of an address (RFC 5321 leaves 254 for the path without its brackets)."""
LONGEST_LOCAL = 64


class BadAddressReason(StrEnum):
    """Why an address is refused."""

    EMPTY = "empty"
    """Nothing but white space."""
    CONTROL_CHARACTER = "control_character"
    """A line break, NUL, zero-width or direction character: injected or pasted from a document."""
    TOO_LONG = "too_long"
    """More than 254 characters, or more than 64 before the @."""
    NOT_ASCII_LOCAL = "not_ascii_local"
    """A letter outside ASCII before the @; most servers refuse it (no SMTPUTF8 here)."""
    FORMULA = "formula"
    """Starts like a formula of a spreadsheet program."""
    SYNTAX = "syntax"
    """No valid name@domain."""
    BAD_DOMAIN = "bad_domain"
    """The part behind the @ is no domain that mail can reach."""


REMEDIES = {
    BadAddressReason.EMPTY: "fill in the address or delete the row",
    BadAddressReason.CONTROL_CHARACTER: "type the address anew; it holds an invisible character",
    BadAddressReason.TOO_LONG: "shorten it to 254 characters, at most 64 before the @",
    BadAddressReason.NOT_ASCII_LOCAL: "ask for an address without umlauts before the @",
    BadAddressReason.FORMULA: "remove the formula and type the address as text",
    BadAddressReason.SYNTAX: "write it as name@company.example",
    BadAddressReason.BAD_DOMAIN: "mend the part behind the @",
}


class BadAddress(NurtureError):  # noqa: N818  reads as what it is: raise BadAddress
    """An address that cannot be used; the message names the reason and the remedy, never the address."""

    def __init__(self, reason: BadAddressReason) -> None:
        """Keep the reason for counting."""
        super().__init__(f"the e-mail address cannot be used ({reason.value}): {REMEDIES[reason]}")
        self.reason = reason


@dataclass(frozen=True)
class AddressFacts:
    """What an address says about itself."""

    freemail: bool
    """A private mailbox at a provider open to anybody."""
    disposable: bool
    """A throw-away mailbox."""
    role_account: bool
    """Belongs to a function (info@), not to a person."""
    typo_of: str | None
    """The well-known domain that was probably meant, such as gmail.com for gmial.com."""

    @cached_property
    def named(self) -> tuple[str, ...]:
        """Name those that hold, for counting."""
        said = {"freemail": self.freemail, "disposable": self.disposable, "role_account": self.role_account}
        return tuple(name for name, holds in said.items() if holds) + (("typo",) if self.typo_of else ())


def check(raw: str) -> str:
    """Give the delivery form: trimmed once, local part as typed, domain a lower-case A-label.

    No network is asked. Raises BadAddress.
    """
    text = raw.strip(" \t\r\n\u00a0")
    if not text:
        raise BadAddress(BadAddressReason.EMPTY)
    # First by length: everything below may then be as slow as it likes.
    if len(text) > LONGEST:
        raise BadAddress(BadAddressReason.TOO_LONG)
    if not text.isascii():
        text = _fold(text)
    elif not text.isprintable():
        raise BadAddress(BadAddressReason.CONTROL_CHARACTER)
    if text[0] in "=+-@":
        raise BadAddress(BadAddressReason.FORMULA)
    local, at_sign, domain = text.rpartition("@")
    if not at_sign or not local or not domain:
        raise BadAddress(BadAddressReason.SYNTAX)
    if len(local) > LONGEST_LOCAL:
        raise BadAddress(BadAddressReason.TOO_LONG)
    if not local.isascii():
        raise BadAddress(BadAddressReason.NOT_ASCII_LOCAL)
    delivery = f"{_local(local)}@{_domain(domain)}"
    if len(delivery) > LONGEST:
        raise BadAddress(BadAddressReason.TOO_LONG)
    return delivery


def facts(address: str) -> AddressFacts:
    """Tell what a checked address (delivery form) says about itself."""
    local, _, domain = address.rpartition("@")
    domain = domain.lower()
    return _facts_of(*_domain_facts(domain), is_role(local))


@lru_cache(maxsize=1024)
def _facts_of(freemail: bool, disposable: bool, typo_of: str | None, role: bool) -> AddressFacts:  # noqa: FBT001  cached
    """Give one object for all addresses of which the same is true: they are few."""
    return AddressFacts(freemail, disposable, role, typo_of)


def is_role(local: str) -> bool:
    """Tell whether a local part names a function, also with a number, a country or a place behind it."""
    words = re.split(r"[._+-]", local.lower().rstrip("0123456789"))
    return words[0] in ROLE_ACCOUNTS or "-".join(words[:2]) in ROLE_ACCOUNTS


def _fold(text: str) -> str:
    """Compose letters; refuse what cannot be seen."""
    if any(unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} for character in text):
        raise BadAddress(BadAddressReason.CONTROL_CHARACTER)
    return unicodedata.normalize("NFC", text)


_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_'&+-]+(?:\.[A-Za-z0-9_'&+-]+)*", re.ASCII)


def _local(local: str) -> str:
    """Check what stands before the @; the common shape is known without asking the library."""
    if not _PLAIN_LOCAL.fullmatch(local):
        try:
            validate_email(f"{local}@example.org", check_deliverability=False, strict=True, allow_smtputf8=False)
        except EmailNotValidError:
            raise BadAddress(BadAddressReason.SYNTAX) from None
    return local


@lru_cache(maxsize=20_000)
def _domain_or_reason(domain: str) -> str | BadAddressReason:
    try:
        # test_environment lets .test through, so that a rehearsal can use it as RFC 2606 intends.
        valid = validate_email(
            f"a@{domain}", check_deliverability=False, strict=True, allow_smtputf8=False, test_environment=True
        )
    except EmailNotValidError:
        return BadAddressReason.BAD_DOMAIN
    return valid.ascii_domain.lower() if valid.ascii_domain else BadAddressReason.BAD_DOMAIN


def _domain(domain: str) -> str:
    found = _domain_or_reason(domain)
    if isinstance(found, BadAddressReason):
        raise BadAddress(found)
    return found


@cache
def freemail_domains() -> frozenset[str]:
    """Give the shipped domains of private mailboxes, the German-speaking ones included."""
    folder = resources.files("nurture.leads") / "data"
    lines = [
        line
        for name in ("freemail.txt", "freemail_dach.txt")
        for line in (folder / name).read_text("utf-8").split("\n")
    ]
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


@cache
def _disposable_domains() -> frozenset[str]:
    # Half a megabyte of names: loaded at the first question only.
    from disposable_email_domains import blocklist  # noqa: PLC0415

    return frozenset(blocklist)


@lru_cache(maxsize=20_000)
def _domain_facts(domain: str) -> tuple[bool, bool, str | None]:
    labels = domain.split(".")
    # A throw-away service also hands out subdomains of its own.
    parents = {".".join(labels[start:]) for start in range(len(labels) - 1)}
    freemail = domain in freemail_domains()
    return freemail, not freemail and not parents.isdisjoint(_disposable_domains()), _meant(domain)


_OFTEN_MEANT = (
    "gmail.com", "googlemail.com", "gmx.de", "gmx.net", "gmx.at", "gmx.ch", "web.de", "t-online.de", "freenet.de",
    "outlook.com", "outlook.de", "hotmail.com", "hotmail.de", "yahoo.com", "yahoo.de", "icloud.com", "aol.com",
    "live.de", "arcor.de", "posteo.de", "mailbox.org", "bluewin.ch", "vodafone.de", "online.de",
    "protonmail.com",
)  # fmt: skip
_ENDING_SLIPS = {
    "de": {"ed", "dee", "d", "dde", "fe", "der", "dw", "ce"},
    "com": {"con", "cmo", "ocm", "om", "comm", "cim", "vom", "xom", "coom", "cpm", "c", "cm", "co", "cop"},
    "net": {"ent", "nte", "nett", "ne", "met", "bet"},
    "at": {"ta", "att", "a"},
    "ch": {"hc", "cch", "c"},
    "org": {"rog", "ogr", "orgg", "or", "irg"},
}
_SHORT_NAME = 4
"""Names up to this length are one letter from many real companies: only swapped letters count."""


def _meant(domain: str) -> str | None:
    """Give the well-known domain that is one slip of the fingers away."""
    name, _, ending = domain.rpartition(".")
    if not name or domain in freemail_domains():
        return None
    for known in _OFTEN_MEANT:
        known_name, _, known_ending = known.rpartition(".")
        slipped = ending in _ENDING_SLIPS[known_ending]
        if ending != known_ending and not slipped:
            continue
        if name == known_name and slipped:
            return known
        if len(known_name) > _SHORT_NAME:
            if one_slip(name, known_name):
                return known
        elif ending == known_ending and sorted(name) == sorted(known_name) and one_slip(name, known_name):
            return known
    return None


def one_slip(typed: str, meant: str) -> bool:
    """Tell whether two words differ by one letter too many, too few, wrong, or swapped with its neighbour."""
    if typed == meant or abs(len(typed) - len(meant)) > 1:
        return False
    start = 0
    while start < min(len(typed), len(meant)) and typed[start] == meant[start]:
        start += 1
    rest, wanted = typed[start:], meant[start:]
    swapped = rest[:2] == wanted[:2][::-1] and rest[2:] == wanted[2:]
    return swapped or rest[1:] == wanted[1:] or rest[1:] == wanted or rest == wanted[1:]


ROLE_ACCOUNTS = frozenset({
    "abuse", "accounting", "accounts", "administration", "administrator", "admin", "anfrage", "anfragen", "angebot",
    "auftrag", "ausbildung", "backoffice", "bestellung", "bewerbung", "billing", "buchhaltung", "buero", "career",
    "careers", "compliance", "contact", "customerservice", "datenschutz", "dialog", "einkauf", "empfang", "events",
    "export", "faktura", "feedback", "finance", "geschaeftsleitung", "hello", "help", "helpdesk", "hilfe",
    "hostmaster", "hr", "info", "information", "infos", "invoice", "it", "jobs", "karriere", "kasse", "kontakt",
    "kundendienst", "kundenservice", "kundenbetreuung", "legal", "logistik", "mail", "mailer-daemon", "marketing",
    "media", "newsletter", "no-reply", "noreply", "office", "order", "orders", "personal", "personalabteilung",
    "post", "postmaster", "praxis", "presse", "press", "privacy", "produktion", "purchasing", "rechnung",
    "rechnungen", "redaktion", "reception", "sales", "security", "sekretariat", "sekretaer", "service", "shop",
    "spam", "support", "team", "technik", "termin", "versand", "vertrieb", "verkauf", "verwaltung", "webmaster",
    "werkstatt", "zentrale", "kanzlei", "einkaufsabteilung", "instandhaltung", "it-support",
})  # fmt: skip
"""Local parts that belong to a function (RFC 2142 and what German companies print on their pages)."""
