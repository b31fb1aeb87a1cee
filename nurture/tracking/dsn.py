"""What became of a mail, as a mail server reports it? Delivery status notifications (RFC 3464).

The address that a report comes to names our message, and cannot be forged. Of the report itself only the action and
the status are read: the rest quotes addresses and mails, and anybody may have written it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesHeaderParser, BytesParser
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from consent import tokens
from nurture.tracking.vocabulary import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

    from consent.keys import Keyring

LARGEST = 256 * 1024
"""Bytes read of a report: its two parts that matter stand first, the mail it is about comes last."""
TO = ("to", "cc", "delivered-to", "x-original-to", "envelope-to")
TOKEN = re.compile(rf"\+([a-z2-7]{{{tokens.ID_LENGTH + tokens.MAC_LENGTH}}})@")
STATUS = re.compile(r"\s*([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")
ACTION = re.compile(r"\s*([a-z]+)")
GRAVITY = ("failed", "delayed", "delivered", "relayed", "expanded")
"""The actions of RFC 3464; where a report tells several, the first of these counts: one mail has one recipient."""
HARD = re.compile(r"5\.(0\.[0-9]+|1\.(?![78]$)[0-9]+|2\.[01]|4\.4)")
"""No such mailbox, none there any more, or no such domain (RFC 3463). Everything else is no fault of the address:
a full mailbox (5.2.2), a size (5.3.4), our own address (5.1.7, 5.1.8), a policy or our reputation (5.7.x)."""
OLDEST = timedelta(days=31)
AHEAD = timedelta(days=1)
"""A report's Date beyond these is no time to go by."""


def headers(raw: bytes) -> Message:
    """Read the headers of a raw mail. May raise anything for what a stranger wrote."""
    return BytesHeaderParser(policy=policy.compat32).parsebytes(raw)


def addressed(head: Message) -> str:
    """Give whom a mail is for, in small letters, whatever the server calls it."""
    return " ".join(str(value) for name in TO for value in head.get_all(name, [])).lower()


def message_of(keyring: Keyring, head: Message) -> str | None:
    """Give the public id of the message that a mail came back for: its token stands in the address."""
    read = (tokens.read(keyring, "bounce", token) for token in TOKEN.findall(addressed(head)))
    return next((public_id for public_id in read if public_id is not None), None)


def is_automatic(head: Message) -> bool:
    """Did a program answer for its owner (RFC 3834), as when somebody is on holiday?"""
    told = str(head.get("auto-submitted", "")).strip().lower()
    return told.startswith("auto-replied") or "x-autoreply" in head or head.get("precedence", "") == "auto_reply"


def outcome(raw: bytes) -> tuple[str, str] | None:
    """Give the action and the status that a report tells; None where it is no report that can be read."""
    try:
        told = list(_told(BytesParser(policy=policy.compat32).parsebytes(raw)))
    except Exception:  # noqa: BLE001  strangers write these; what the parser stumbles over is for a person
        return None
    return min(told, key=lambda one: GRAVITY.index(one[0]), default=None)


def _told(mail: Message) -> Iterator[tuple[str, str]]:
    if mail.get_content_type() != "multipart/report":
        return
    for part in mail.walk():
        # Each group of fields is read as a message of its own, within one of that type.
        for group in part.walk() if part.get_content_type() == "message/delivery-status" else ():
            action = ACTION.match(str(group.get("action", "")).lower())
            status = STATUS.match(str(group.get("status", "")))
            if action and status and action[1] in GRAVITY:
                yield action[1], status[1]


def kind_of(action: str, status: str) -> EventKind | None:
    """Say it in our words; None for what is none of RFC 3464."""
    if action == "failed":
        return EventKind.BOUNCED if HARD.fullmatch(status) else EventKind.SOFT_BOUNCED
    if action == "delayed":
        return EventKind.DEFERRED
    return EventKind.DELIVERED if action in GRAVITY else None


def moment(head: Message, *, otherwise: datetime, at: datetime) -> datetime:
    """When was it reported (UTC)? By its Date, so that a report that is read twice is one; else `otherwise`."""
    try:
        told = parsedate_to_datetime(str(head.get("date", "")))
        told = told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return otherwise
    return told if at - OLDEST <= told <= at + AHEAD else otherwise
