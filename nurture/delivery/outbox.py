"""Where does mail go when nobody delivers it? Into a folder, one readable .eml file per message."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from nurture.delivery.mime import encode
from nurture.delivery.provider import Accepted, Outcome, Outgoing, Refused, Rejected, Sender, Unknown, fault_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from email.message import EmailMessage
    from pathlib import Path


class Outbox:
    """A folder like a Maildir: files appear whole (written aside, synced, renamed) and never change."""

    name = "outbox"
    batch_limit = 500

    def __init__(self, folder: Path, sender: Sender) -> None:
        """Use `folder`; it is made (0700) when the first mail comes."""
        self.folder = folder
        self.sender = sender

    def submit(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Write the files of all that have no fault or, when the disk fails before the first rename, none.

        A message whose file is there already keeps that file: handing it over twice changes nothing.
        """
        faults = [fault_of(message) for message in batch]
        taken = self._write_all([message for message, fault in zip(batch, faults, strict=True) if not fault])
        return [Rejected(f"fault {fault}") if fault else taken for fault in faults]

    def _write_all(self, batch: Sequence[Outgoing]) -> Outcome:
        """Let all files appear together."""
        aside = self.folder / "tmp"
        written: list[tuple[Path, Path]] = []
        try:
            # One by one: of folders above the last, mkdir makes such that others can read.
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            aside.mkdir(exist_ok=True, mode=0o700)
            for message in batch:
                final = self.folder / f"{message.public_id}.eml"
                if not final.exists():
                    written.append((self._write(aside, message), final))
        except OSError as error:
            for temporary, _ in written:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            return Refused(f"disk {error.errno}")
        try:
            for temporary, final in written:
                temporary.replace(final)
            _sync_folder(self.folder)
        except OSError as error:
            return Unknown(f"disk {error.errno}")
        return Accepted(f"outbox-{batch[0].public_id}" if batch else "outbox")

    def proofs(self, public_ids: Collection[str]) -> set[str]:
        """Which of these messages lie here? Proof of acceptance for those, nothing for the others."""
        return {public_id for public_id in public_ids if (self.folder / f"{public_id}.eml").exists()}

    def _write(self, aside: Path, message: Outgoing) -> Path:
        path = aside / f"{message.public_id}.{secrets.token_hex(4)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode(self.sender, message))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path


def _sync_folder(folder: Path) -> None:
    """Make the renames last through a power cut (Windows has no such call and needs none)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Held:
    """What a list shows of a mail in the folder."""

    public_id: str
    date: datetime
    subject: str


def read(folder: Path, public_id: str) -> EmailMessage | None:
    """Read one mail back; None when the folder does not hold it."""
    if not public_id.isalnum():
        return None
    try:
        raw = (folder / f"{public_id}.eml").read_bytes()
    except OSError:
        return None
    return message_from_bytes(raw, policy=policy.default)


def newest(folder: Path, *, limit: int) -> list[Held]:
    """List the mails that came last, newest first."""
    files = sorted(folder.glob("*.eml"), key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    found = []
    for path in files[:limit]:
        mail = read(folder, path.stem)
        if mail is not None:
            found.append(Held(path.stem, parsedate_to_datetime(mail["Date"]), str(mail["Subject"])))
    return found
