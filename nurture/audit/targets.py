"""Where may a checkpoint go, so that its owner alone cannot take it back? A mailbox, disk, repository, time stamp.

A target is one text in the setting `checkpoint_targets`:

    mail:ADDRESS                   to the compliance officer, by the configured mail provider
    dir:/path                      a folder, best on another machine's disk; it must be there
    git:/path/to/clone[#branch]    a commit in a clone, pushed to its remote "origin"
    rfc3161:https://host/path      a time stamp; only the hash of the checkpoint leaves the machine
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nurture import NurtureError
from nurture.audit import AuditError
from nurture.delivery.content.pieces import Content
from nurture.delivery.headers import is_single_address
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Accepted, Outgoing, open_provider

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.delivery.provider import Provider
    from nurture.store.workspace import Workspace

KEY_FILE = "public_key.txt"
MAIL_ID_BYTES = 16


@dataclass(frozen=True)
class Anchor:
    """A checkpoint ready to leave: what is delivered is `note`, byte for byte."""

    size: int
    """Entries it stands for."""
    note: str
    """The C2SP signed note."""
    public_key: str
    """Who signed it: the key that a verifier is given."""
    origin: str
    """Which ledger it is of."""


@dataclass(frozen=True)
class Answer:
    """What came of one delivery; `detail` is a code that names no person and repeats no stranger's text."""

    taken: bool
    detail: str


class Target(Protocol):
    """Somewhere a checkpoint goes."""

    @property
    def label(self) -> str:
        """Name the target in the database, in events and on screens: no address, no secret."""
        ...

    def deliver(self, anchor: Anchor, *, at: datetime) -> Answer:
        """Deliver once; never raises for what disk, network or receiver do. Doing it twice harms nothing."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder: `<size>.txt` for each checkpoint, and the public key."""

    folder: Path

    @property
    def label(self) -> str:
        """Name the folder."""
        return f"dir:{self.folder}"

    def deliver(self, anchor: Anchor, *, at: datetime) -> Answer:  # noqa: ARG002  a file has its own time
        """Write whole or not at all. A folder that is missing is not made: it may be a disk that is not there."""
        return write_note(self.folder, anchor)


def write_note(folder: Path, anchor: Anchor) -> Answer:
    """Put a checkpoint and the key into a folder; one that says something else about this size is left and told."""
    if not folder.is_dir():
        return Answer(taken=False, detail="folder missing")
    try:
        for name, text in ((KEY_FILE, f"{anchor.public_key.strip()}\n"), (f"{anchor.size}.txt", anchor.note)):
            there = folder / name
            if there.exists():
                if there.read_bytes() != text.encode():
                    return Answer(taken=False, detail=f"conflict {name}")
                continue
            _write(there, text.encode())
    except OSError as error:
        return Answer(taken=False, detail=f"disk {error.errno}")
    return Answer(taken=True, detail="written")


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()


@dataclass(frozen=True)
class Mail:
    """A plain mail to one officer: never a lead, so no consent, no tracking, no unsubscribe link."""

    address: str = field(repr=False)
    label: str
    provider: Provider
    company: str

    def deliver(self, anchor: Anchor, *, at: datetime) -> Answer:
        """Hand it to the provider. A doubt counts as not taken: a second mail is harmless, a missing one is not."""
        text = _letter(anchor, self.company)
        # The same id for the same checkpoint: receivers and the outbox folder drop a second copy.
        digest = hashlib.sha256(f"checkpoint\0{self.address}\0{anchor.note}".encode()).digest()[:MAIL_ID_BYTES]
        public_id = base64.b32encode(digest).decode().rstrip("=").lower()
        mail = Outgoing(
            public_id=public_id,
            attempt=1,
            to_address=self.address,
            to_name="",
            content=Content.whole(
                f"Prüfpunkt {anchor.size} des Einwilligungsprotokolls / Checkpoint of the consent ledger",
                f"<html><body><pre>{html.escape(text)}</pre></body></html>",
                text,
                {"Auto-Submitted": "auto-generated"},
            ),
            at=at,
            category="checkpoint",
        )
        [outcome] = self.provider.submit([mail])
        if isinstance(outcome, Accepted):
            # A file in our own folder has not left the machine.
            outside = self.provider.name != Outbox.name
            return Answer(taken=outside, detail="accepted" if outside else "outbox: nobody delivers it")
        return Answer(taken=False, detail=f"{type(outcome).__name__.lower()} {outcome.code}"[:120])


def _letter(anchor: Anchor, company: str) -> str:
    return (
        f"Dies ist ein Prüfpunkt des Einwilligungsprotokolls von {company}. Er steht für die ersten {anchor.size}\n"
        "Einträge: Wer ihn aufbewahrt, kann später nachweisen, ob davor etwas geändert, gelöscht oder eingefügt\n"
        "wurde. Bitte unverändert aufbewahren, außerhalb des Zugriffs derer, die das System betreiben.\n\n"
        f"This is a checkpoint of the consent ledger of {company}. It stands for the first {anchor.size} entries:\n"
        "whoever keeps it can later prove whether anything before it was changed, removed or inserted. Please keep\n"
        "it unchanged, out of reach of those who run the system.\n\n"
        "-----BEGIN CHECKPOINT-----\n"
        f"{anchor.note}"
        "-----END CHECKPOINT-----\n\n"
        f"Öffentlicher Schlüssel / public key:\n{anchor.public_key.strip()}\n\n"
        "Prüfen / check: python -B -m consent.verify EXPORT --checkpoint FILE\n"
        "(FILE: die Zeilen zwischen BEGIN und END / the lines between BEGIN and END)\n"
    )


@dataclass(frozen=True)
class Broken:
    """A target that cannot work as it is configured; it fails by itself and holds up no other."""

    label: str
    detail: str

    def deliver(self, anchor: Anchor, *, at: datetime) -> Answer:  # noqa: ARG002  whatever it is
        """Say so."""
        return Answer(taken=False, detail=self.detail)


def open_targets(ws: Workspace) -> list[Target]:
    """Open the configured targets, in their order; touches no network."""
    return [_opened(ws, text) for text in ws.settings.checkpoint_targets]


def _opened(ws: Workspace, text: str) -> Target:
    try:
        return _open(ws, text)
    except NurtureError as error:
        # Our own errors name no value; the address behind mail: must not become a label.
        kind, _, rest = text.partition(":")
        return Broken(_mail_label(ws, rest) if kind == "mail" else kind, f"setting: {error}")


def _open(ws: Workspace, text: str) -> Target:
    from nurture.audit.repository import Repository  # noqa: PLC0415  they need what is defined above
    from nurture.audit.timestamps import TimeStamp  # noqa: PLC0415  as above

    kind, _, rest = text.partition(":")
    if kind == "dir":
        return Folder(Path(rest))
    if kind == "git":
        clone, _, branch = rest.partition("#")
        return Repository(Path(clone), branch)
    if kind == "rfc3161":
        return TimeStamp(rest, ws.home / "timestamps", timeout=ws.settings.provider_timeout)
    if not is_single_address(rest):
        raise AuditError("checkpoint_targets: behind mail: must stand one plain address")
    settings = ws.settings
    return Mail(rest, _mail_label(ws, rest), open_provider(settings, ws.keyring), settings.company)


def _mail_label(ws: Workspace, address: str) -> str:
    """Name a mailbox: keyed, so that the label tells two officers apart and says who neither is."""
    return f"mail:{ws.keyring.mac('checkpoint-target', address.encode()).hex()[:8]}"
