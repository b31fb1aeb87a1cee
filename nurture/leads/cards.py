"""Somebody signed a card at our stand: how does that become a sign-up with evidence? One card, or a table of them.

A card gives no consent by itself: it is recorded like a form, with what proves it, and the confirmation
mail follows. Source is `offline.<event>`; who filled the card in on whose behalf is not knowable from it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from consent import opt_in, texts
from consent.addresses import Address
from nurture import NurtureError
from nurture.leads import hygiene

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from nurture.store.workspace import Workspace

EVENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
LARGEST_SEALED_SCAN = 256 * 1024
"""Bytes; a larger scan stays in your archive, and the ledger proves by its hash which one it is."""
SHORTEST_HASH = 12
"""Characters of a wording's SHA-256 that are enough to name it."""
COLUMNS = ("address", "scan", "captured_by", "captured_at")


class CardError(NurtureError):
    """A card lacks what proves it; the message names the line and the remedy, never the person."""


@dataclass(frozen=True)
class Card:
    """One signed card. `captured_at` is aware."""

    address: str = field(repr=False)
    """Delivery form."""
    event: str
    captured_by: str
    captured_at: datetime
    wordings: tuple[texts.ConsentText, ...]
    """What stood on the card above the signature: published versions."""
    scan: bytes | None = field(default=None, repr=False)

    @property
    def evidence(self) -> dict[str, str]:
        """What proves it; what is missing stays missing."""
        told = {
            "event": self.event,
            "captured_by": self.captured_by,
            "captured_at": self.captured_at.isoformat(),
            "signed_wording": " ".join(text.sha256 for text in self.wordings),
        }
        if self.scan is not None:
            told["scan_sha256"] = hashlib.sha256(self.scan).hexdigest()
            if len(self.scan) <= LARGEST_SEALED_SCAN:
                told["scan"] = base64.b64encode(self.scan).decode()
        return told


def signed(conn: Connection, hashes: Sequence[str], *, controller: str) -> tuple[texts.ConsentText, ...]:
    """Find the wordings printed on a card by their SHA-256, or its first twelve characters or more.

    Raises CardError for one that was never published, and for none.
    """
    held = [row for row in texts.overview(conn) if row["controller"] == controller]
    found = []
    for sha in hashes:
        ids = [row["id"] for row in held if len(sha) >= SHORTEST_HASH and str(row["sha256"]).startswith(sha.lower())]
        if len(ids) != 1:
            raise CardError("a wording on the card is not one of ours; 'nurture consent texts' lists them")
        found += [int(str(number)) for number in ids]
    if not found:
        raise CardError("name the wording that was signed (--wording with its SHA-256)")
    known = texts.by_id(conn, found)
    return tuple(known[number] for number in dict.fromkeys(found))


def one(
    address: str,
    *,
    event: str,
    captured_by: str,
    captured_at: datetime,
    wordings: tuple[texts.ConsentText, ...],
    scan: Path | None,
) -> Card:
    """Check and give one card. Raises CardError, or BadAddress for an address that cannot be used."""
    if not EVENT.fullmatch(event):
        raise CardError("an event is named with lower-case letters, digits, - and _, such as hannover-messe-2026")
    if not captured_by.strip():
        raise CardError("say who took the card (captured_by)")
    try:
        content = scan.read_bytes() if scan else None
    except OSError as error:
        raise CardError(f"the scan cannot be read: {error.strerror}") from None
    return Card(hygiene.check(address), event, captured_by.strip(), captured_at, wordings, content)


def table(
    content: bytes,
    scans: Path | None,
    *,
    event: str,
    captured_by: str,
    captured_at: datetime,
    wordings: tuple[texts.ConsentText, ...],
    zone: ZoneInfo,
) -> list[Card]:
    """Read a CSV (UTF-8, comma or semicolon) with the column address and any of scan, captured_by, captured_at.

    Columns that are empty or missing take the values given. Raises CardError that names the line: all of
    the table comes in, or nothing.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CardError("the table is not in UTF-8; save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",")
    unknown = set(rows.fieldnames or ()) - set(COLUMNS)
    if "address" not in (rows.fieldnames or ()) or unknown:
        raise CardError(f"the table needs a column address and knows {', '.join(COLUMNS)}; no others")
    made = []
    for row in rows:
        try:
            made.append(
                one(
                    row["address"] or "",
                    event=event,
                    captured_by=row.get("captured_by") or captured_by,
                    captured_at=_time(row.get("captured_at"), zone) or captured_at,
                    wordings=wordings,
                    scan=_scan(row, scans),
                )
            )
        except (CardError, hygiene.BadAddress) as error:
            raise CardError(f"line {rows.line_num}: {error}") from None
    return made


def record(conn: Connection, ws: Workspace, cards: Sequence[Card], *, at: datetime) -> list[opt_in.Requested]:
    """Record cards as sign-ups; the confirmation mails follow as for any form.

    The caps of the public form do not hold here, but the one for each inbox does.
    """
    for card in cards:
        if card.captured_at > at:
            raise CardError("a card was signed in the future; check its date")
    return [
        opt_in.request(
            conn,
            ws.keyring,
            address=Address.of(card.address),
            purposes=[text.purpose for text in card.wordings],
            controller=ws.settings.controller,
            language=card.wordings[0].language,
            source=f"offline.{card.event}",
            evidence=card.evidence,
            at=at,
        )
        for card in cards
    ]


def _scan(row: Mapping[str, str | None], scans: Path | None) -> Path | None:
    """Find the scan a row names, inside the folder and nowhere else."""
    name = (row.get("scan") or "").strip()
    if not name:
        return None
    if scans is None or Path(name).name != name:
        raise CardError("a scan is named by its file name, and --scans names their folder")
    return scans / name


def _time(text: str | None, zone: ZoneInfo) -> datetime | None:
    if not text or not text.strip():
        return None
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CardError("captured_at is no time; write 2026-11-23 or 2026-11-23T14:30") from None
    return read if read.tzinfo else read.replace(tzinfo=zone)
