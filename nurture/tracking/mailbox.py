"""What did people write to the mailbox for unsubscribing? Each mail ends a consent, at once; nothing is answered.

A mail program that follows the mailto part of List-Unsubscribe sends the token of the message in the
subject (or in the address behind a plus sign): that ends the purpose of that message. A mail without
one ends everything for the address in From. What names nobody whom we know stays for a person to read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import policy
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from consent import tokens
from consent.identity import find
from nurture.leads.rights import ending
from nurture.store.tables import message
from nurture.tracking.people import checked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from email.message import Message
    from pathlib import Path

    from sqlalchemy import Connection

    from consent.addresses import Address
    from nurture.store.workspace import Workspace

TOKEN = re.compile(rf"(?<![a-z0-9])[a-z2-7]{{{tokens.ID_LENGTH}}}[0-9a-f]{{{tokens.MAC_LENGTH_IN_MAILS}}}(?![a-z0-9])")
MOST_BYTES = 64 * 1024
"""Of a mail, this much is read: its headers. The body is nobody's business here."""
TO = ("to", "cc", "delivered-to", "x-original-to", "envelope-to")
DONE, UNCLEAR = "done", "unclear"
"""Folders beside plain files; a Maildir keeps its own order."""


class Read(StrEnum):
    """What became of one mail."""

    TOKEN = "token"  # noqa: S105  a word, no secret
    """Its token named the message, whose purpose ended."""
    SENDER = "sender"
    """No token: everything ended for the address in From."""
    REPEATED = "repeated"
    """It said what had been said before; nothing changed."""
    UNCLEAR = "unclear"
    """Sent by a machine, or neither a token of ours nor one plain sender whom we know: a person must read it."""


@dataclass(frozen=True)
class Wish:
    """What a mail asks for."""

    public_id: str | None
    """The message whose token it carries."""
    sender: Address | None
    machine: bool
    """Automatic answers ask for nothing."""


def waiting(folder: Path) -> Iterator[Path]:
    """Give the mails that were not taken in yet, oldest name first: of a Maildir, or of a folder of files."""
    new = folder / "new"
    place = new if new.is_dir() else folder
    return (path for path in sorted(place.iterdir()) if path.is_file() and not path.name.startswith("."))


def take(ws: Workspace, path: Path, *, at: datetime) -> Read:
    """Do what one mail asks for, in a transaction of its own, then set it aside.

    Killed between the two it is taken in again, which changes nothing.
    """
    with path.open("rb") as file:
        wish = read(ws, file.read(MOST_BYTES))
    with ws.store.write() as conn:
        done = _act(conn, ws, wish, at=at)
    _set_aside(path, done)
    return done


def read(ws: Workspace, raw: bytes) -> Wish:
    """Understand the headers of a raw mail; never raises for what stands in them."""
    try:
        head = BytesHeaderParser(policy=policy.compat32).parsebytes(raw)
        machine = str(head.get("auto-submitted", "no")).partition(";")[0].strip().lower() != "no"
        return Wish(_public_id(ws, head), _sender(head), machine or str(head.get("return-path", "")).strip() == "<>")
    except Exception:  # noqa: BLE001  strangers write these; what the parser stumbles over is for a person
        return Wish(None, None, machine=True)


def _public_id(ws: Workspace, head: Message) -> str | None:
    """Find a token made for unsubscribing, in the subject or behind a plus sign."""
    addressed = " ".join(str(value) for name in TO for value in head.get_all(name, []))
    for found in TOKEN.findall(f"{head.get('subject', '')} {addressed}".lower()):
        public_id = tokens.read(ws.keyring, "unsubscribe", found)
        if public_id is not None:
            return public_id
    return None


def _sender(head: Message) -> Address | None:
    """Give the one address in From; None for several, or for none that we could have written to."""
    try:
        addresses: Sequence[tuple[str, str]] = getaddresses([str(value) for value in head.get_all("from", [])])
    except RecursionError:
        # Thousands of open brackets, by accident never; a token in the same mail counts all the same.
        return None
    return checked(addresses[0][1]) if len(addresses) == 1 else None


def _act(conn: Connection, ws: Workspace, wish: Wish, *, at: datetime) -> Read:
    ours: dict[str, Any] = {"controller": ws.settings.controller, "route": "mailto", "at": at}
    if wish.public_id is not None:
        # The token is proof enough, whoever's program sent it.
        query = select(message.c.subject, message.c.purpose).where(message.c.public_id == wish.public_id)
        row = conn.execute(query).one_or_none()
        if row is not None:
            purposes = [row.purpose] if row.purpose else None
            ended = ending.withdraw(conn, subject=row.subject, purposes=purposes, actor="mail:token", **ours)
            return Read.TOKEN if ended else Read.REPEATED
    if wish.machine or wish.sender is None:
        return Read.UNCLEAR
    ended = ending.withdraw_address(conn, ws.keyring, wish.sender, purposes=None, actor="mail:sender", **ours)
    if ended:
        return Read.SENDER
    # Whom we do not know is barred now. But people write from other mailboxes than the one that gets our mails.
    return Read.UNCLEAR if find(conn, ws.keyring, wish.sender) is None else Read.REPEATED


def _set_aside(path: Path, done: Read) -> None:
    """Move a mail on, so that it does not end a consent that is given later."""
    if path.parent.name == "new":
        target = path.parent.parent / "cur" / f"{path.name}:2,{'F' if done is Read.UNCLEAR else 'S'}"
    else:
        target = path.parent / (UNCLEAR if done is Read.UNCLEAR else DONE) / path.name
    target.parent.mkdir(exist_ok=True, mode=0o700)
    path.rename(target)
