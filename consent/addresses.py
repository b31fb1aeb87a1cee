"""When are two spellings the same mailbox? Three forms of an address, for three questions.

Delivery: where does the mail go (as given). Identity: whose consent is it (consent, suppression,
look-up). Abuse: whose inbox is being flooded (caps only; people are never merged by it).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from consent import ConsentError

LONGEST = 254
"""Octets an address may have in a mail transaction (RFC 5321 with erratum 1690)."""


class InvalidAddress(ConsentError, ValueError):  # noqa: N818  the word people search for
    """No usable address; the message never repeats it."""


@dataclass(frozen=True)
class Address:
    """One address in its three forms."""

    delivery: str
    """As given: mail goes to this spelling."""
    identity: str
    """NFC, local part case-folded, domain in lower case: two equal ones are one person."""
    abuse: str
    """Identity without +tag and dots, googlemail as gmail: two equal ones are one inbox, probably."""

    def __repr__(self) -> str:
        """Say nothing: addresses reach logs by way of tracebacks and debuggers."""
        return "Address(...)"

    @classmethod
    def of(cls, checked: str) -> Address:
        """Give the forms of an address whose syntax was checked and whose domain is an A-label.

        Raises InvalidAddress for what cannot have been checked: no local part or domain, white space,
        control characters, a domain that is not ASCII, more than 254 octets.
        """
        local, at, domain = checked.rpartition("@")
        if not (local and at and domain):
            raise InvalidAddress("an address needs a part before and after its @")
        # What nearly every address is: no letter to compose, none to fold but A to Z, none that hides.
        if checked.isascii() and checked.isprintable() and " " not in checked and len(checked) <= LONGEST:
            return cls._folded(checked, local.lower(), domain.lower())
        if not domain.isascii():
            raise InvalidAddress("the domain is not in ASCII form; convert it to its A-label first")
        if any(c.isspace() or unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in checked):
            raise InvalidAddress("an address holds a space or an invisible character")
        if len(checked.encode()) > LONGEST:
            raise InvalidAddress(f"an address is longer than {LONGEST} octets")
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())
        return cls._folded(checked, folded, domain.lower())

    @classmethod
    def _folded(cls, checked: str, local: str, domain: str) -> Address:
        """Put the three forms together from folded parts."""
        return cls(checked, f"{local}@{domain}", f"{_inbox(local)}@{_inbox_domain(domain)}")


def _inbox(local: str) -> str:
    """Drop what many providers ignore; keep the whole when nothing would be left."""
    return local.partition("+")[0].replace(".", "") or local


def _inbox_domain(domain: str) -> str:
    """Know the one provider that answers to two domains."""
    return "gmail.com" if domain == "googlemail.com" else domain
