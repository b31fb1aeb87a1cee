"""What came back by mail? A wish to unsubscribe ends a consent, at once; a bounce is an event. Nothing is answered.

A mail program that follows the mailto part of List-Unsubscribe sends the token of the message in the
subject (or in the address behind a plus sign): that ends the purpose of that message. A mail without
one ends everything for the address in From. What names nobody whom we know stays for a person to read.

A mail to the bounce address is never such a wish: it is a server's report about the message that its address names,
or nothing. Both kinds may lie in one mailbox.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import getaddresses
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select

from consent import tokens
from consent.identity import find
from nurture.leads.rights import ending
from nurture.store.tables import message
from nurture.tracking import dsn
from nurture.tracking.intake import Source, store_raw
from nurture.tracking.people import checked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from email.message import Message
    from pathlib import Path

    from sqlalchemy import Connection

    from consent.addresses import Address
    from nurture.store.workspace import Workspace

TOKEN = re.compile(rf"(?<![a-z0-9])[a-z2-7]{{{tokens.ID_LENGTH}}}[0-9a-f]{{{tokens.MAC_LENGTH_IN_MAILS}}}(?![a-z0-9])")
MOST_BYTES = 64 * 1024
"""Of a mail that people write, this much is read: its headers. The body is nobody's business here."""
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
    REPORT = "report"
    """A server told what became of a mail of ours; stored as an event."""
    AUTOMATIC = "automatic"
    """A program answered one of our mails for its owner: nothing to do."""
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
        raw = file.read(dsn.LARGEST)
    done = _take_report(ws, path, raw, at=at)
    if done is None:
        wish = read(ws, raw[:MOST_BYTES])
        with ws.store.write() as conn:
            done = _act(conn, ws, wish, at=at)
    _set_aside(path, done)
    return done


def _take_report(ws: Workspace, path: Path, raw: bytes, *, at: datetime) -> Read | None:
    """Store what a server reports; None for a mail that is not for the bounce address."""
    try:
        head = dsn.headers(raw[:MOST_BYTES])
        public_id = dsn.message_of(ws.keyring, head)
        if public_id is None:
            return Read.UNCLEAR if _is_for(ws.settings.smtp_bounce_address, dsn.addressed(head)) else None
    except Exception:  # noqa: BLE001  as in `read`, which will say what it is
        return None
    told = dsn.outcome(raw)
    if told is None:
        return Read.AUTOMATIC if dsn.is_automatic(head) else Read.UNCLEAR
    came = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    moment = dsn.moment(head, otherwise=came, at=at)
    action, status = told
    body = {"message": public_id, "at": moment.isoformat(), "action": action, "status": status}
    with ws.store.write() as conn:
        new = store_raw(conn, ws.keyring, source=Source.DSN, body=orjson.dumps(body), at=at)
    return Read.REPORT if new else Read.REPEATED


def _is_for(address: str, addressed: str) -> bool:
    """Is one of these our bounce address, with or without a token behind the plus sign?"""
    local, _, domain = address.lower().rpartition("@")
    there = rf"(?<![\w.+-]){re.escape(local)}(\+[^@\s]*)?@{re.escape(domain)}(?![\w.-])"
    return bool(address) and re.search(there, addressed) is not None


def read(ws: Workspace, raw: bytes) -> Wish:
    """Understand the headers of a raw mail; never raises for what stands in them."""
    try:
        head = dsn.headers(raw)
        machine = str(head.get("auto-submitted", "no")).partition(";")[0].strip().lower() != "no"
        return Wish(_public_id(ws, head), _sender(head), machine or str(head.get("return-path", "")).strip() == "<>")
    except Exception:  # noqa: BLE001  strangers write these; what the parser stumbles over is for a person
        return Wish(None, None, machine=True)


def _public_id(ws: Workspace, head: Message) -> str | None:
    """Find a token made for unsubscribing, in the subject or behind a plus sign."""
    for found in TOKEN.findall(f"{head.get('subject', '')} {dsn.addressed(head)}".lower()):
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
