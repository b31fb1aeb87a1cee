"""Who acted, and why, as the ledger may hold it? An id or a role, and one word: what enters can never be taken out.

Who tells us more, in a mail or on the phone, is answered elsewhere; nothing of it belongs into an entry.
"""

from __future__ import annotations

import re

from consent.entries import LedgerError

ACTOR = re.compile(r"[a-z0-9_.:-]{1,64}(?: operator:[a-z0-9_.-]{1,64})?")
"""Such as subject, api, mail:token, operator:vera; where two operators stand for something, both."""
REASON = re.compile(r"[a-z][a-z_-]{0,31}")
"""Such as request, same_person: no digits, so that no number of anybody comes in."""


def actor(text: str) -> str:
    """Give it back; raises LedgerError for what could be more than an id or a role."""
    if not ACTOR.fullmatch(text):
        raise LedgerError(
            "the ledger names who acted by an id or a role, such as subject or operator:vera: "
            "at most 64 lower-case letters, digits and _ . : -"
        )
    return text


def reason(text: str) -> str:
    """Give it back; raises LedgerError for what could be more than a word."""
    if not REASON.fullmatch(text):
        raise LedgerError(
            "the ledger gives a reason in one word, such as request or same_person: "
            "at most 32 lower-case letters, _ and -; what somebody told us stays out of it"
        )
    return text
