"""Did a mail arrive so that its receiver is shown a button to unsubscribe? What its headers say (RFC 8058, RFC 6376).

For a mail of ours that was delivered, saved raw. Whether a provider signs both headers shows only there. The signature
itself is not verified: that needs DNS, and the receiver's own verdict stands in its Authentication-Results. Nor is the
list of public suffixes read: see `GENERIC` for what is not seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import policy
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

UNSUBSCRIBE, POST = "list-unsubscribe", "list-unsubscribe-post"
ONE_CLICK = "List-Unsubscribe=One-Click"
LONGEST_LINE = 998
"""Octets of a line (RFC 5322 2.1.1); a longer one is broken on the way, and the signature with it."""
URI = re.compile(r"<([^<>]*)>")
SPACE = re.compile(r"\s+")
COUNTRY = 2
"""Letters of a country's domain."""
GENERIC = frozenset(
    {"ac", "co", "com", "edu", "gob", "gov", "gv", "ltd", "mil", "ne", "net", "nom", "or", "org", "plc"}
)
"""Before a country they make a suffix under which anybody registers (co.uk, or.at, com.br): it speaks for nobody.

Suffixes of another form are taken for somebody's domain (github.io and other hosts of many sites, cities). Two domains
beside each other count as two owners, though DMARC lets mail.firm.example speak for news.firm.example.
"""


@dataclass(frozen=True)
class Signature:
    """One DKIM signature, as it presents itself."""

    domain: str
    signed: frozenset[str]
    """Names of the header fields that it covers, in small letters."""

    partial: bool = False
    """Does it cover only the beginning of the body (`l=`)? Then anybody may add to the mail."""

    def aligned(self, sender: str) -> bool:
        """Does it speak for the domain in From? The same domain, or one above the other that somebody can own."""
        if self.domain == sender:
            return True
        above, below = sorted((self.domain, sender), key=len)
        return below.endswith(f".{above}") and _is_owned(above)


def _is_owned(domain: str) -> bool:
    """Can it be somebody's, as far as its form tells?"""
    first, _, rest = domain.partition(".")
    is_suffix = len(rest) == COUNTRY and first in GENERIC
    return bool(rest) and not is_suffix


def findings(raw: bytes) -> list[str]:
    """Say what stands between this mail and one-click unsubscribing; empty when nothing does."""
    head = BytesHeaderParser(policy=policy.compat32).parsebytes(raw)
    return [*_unsubscribe(head), *_post(head), *_signed(head)]


def signatures(head: Message) -> list[Signature]:
    """Read the DKIM signatures of a mail, the outermost first."""
    found = []
    for value in head.get_all("dkim-signature", []):
        tags = dict(tag.split("=", 1) for tag in SPACE.sub("", str(value)).split(";") if "=" in tag)
        names = tags.get("h", "").lower().split(":")
        found.append(Signature(tags.get("d", "").lower(), frozenset(names), partial="l" in tags))
    return found


def _unsubscribe(head: Message) -> list[str]:
    """Hold List-Unsubscribe against RFC 8058: once, with one https address, on lines that nobody breaks."""
    values = [str(value) for value in head.get_all(UNSUBSCRIBE, [])]
    if len(values) != 1:
        return [f"List-Unsubscribe stands there {len(values)} times; it must once"]
    uris = [SPACE.sub("", uri) for uri in URI.findall(values[0])]
    web = [uri for uri in uris if not uri.lower().startswith("mailto:")]
    found = []
    if len(web) != 1 or not web[0].lower().startswith("https://"):
        found.append(
            "List-Unsubscribe needs exactly one address that begins with https:// (a mailto: may stand beside)"
        )
    if any(
        len(line.encode("utf-8", "replace")) > LONGEST_LINE for line in f"List-Unsubscribe: {values[0]}".splitlines()
    ):
        found.append(f"a line of List-Unsubscribe is longer than {LONGEST_LINE} octets")
    return found


def _post(head: Message) -> list[str]:
    values = [str(value).strip() for value in head.get_all(POST, [])]
    return [] if values == [ONE_CLICK] else [f"List-Unsubscribe-Post must stand there once and say {ONE_CLICK}"]


def _signed(head: Message) -> list[str]:
    """Is there a signature that speaks for the sender and covers both headers?"""
    senders = getaddresses([str(value) for value in head.get_all("from", [])])
    domain = senders[0][1].rpartition("@")[2].lower() if len(senders) == 1 else ""
    if not domain:
        return ["From names not one sender"]
    ours = [one for one in signatures(head) if one.aligned(domain)]
    if not ours:
        return [f"no DKIM signature speaks for {domain}"]
    whole = [one for one in ours if not one.partial]
    if not whole:
        return [
            f"the DKIM signature of {ours[0].domain} covers only the beginning of the body (l=): anybody may add to it"
        ]
    if any({UNSUBSCRIBE, POST} <= one.signed for one in whole):
        return []
    best = max(whole, key=lambda one: len({UNSUBSCRIBE, POST} & one.signed))
    missing = " and ".join(sorted({UNSUBSCRIBE, POST} - best.signed))
    return [f"the DKIM signature of {best.domain} does not cover {missing}: mailbox providers then show no button"]
