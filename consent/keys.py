"""Which secrets does the product rest on, and where do they lie? One file outside the database.

Without `master` nobody reads an address; without `index` nobody finds one; without `link` nobody
forges a link. Losing the file loses all personal data for good; so does erasing it on purpose.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from consent import ConsentError, sealing

if TYPE_CHECKING:
    from pathlib import Path

MAC_BYTES = 16
OTHERS = 0o077
"""Permission bits of everybody but the owner."""


class KeyringError(ConsentError):
    """The key file cannot be used; the message says why and what to do."""


def _secret() -> bytes:
    """Declare a key: made fresh where none is given, never printed."""
    return field(default_factory=sealing.new_key, repr=False)


@dataclass(frozen=True)
class Keyring:
    """All keys of one installation, 32 bytes each; made fresh where none are given."""

    master: bytes = _secret()
    """Wraps the key of every subject."""
    index: bytes = _secret()
    """Makes the look-up and suppression key of an address."""
    link: bytes = _secret()
    """Authenticates links and other public tokens."""
    inbox: bytes = _secret()
    """Seals what came from outside until it is understood."""
    signing: bytes = _secret()
    """Ed25519 seed for checkpoints of the ledger."""
    index_version: int = 1
    """Stands beside every look-up key in the database, so that `index` can be rotated."""

    def __post_init__(self) -> None:
        """Refuse a key of another length; it would weaken everything below it."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "index_version" and (not isinstance(value, bytes) or len(value) != sealing.KEY_BYTES):
                raise KeyringError(f"key {item.name} is not 32 bytes long; restore keys.json from your backup")

    @classmethod
    def load_or_create(cls, path: Path) -> Keyring:
        """Read the key file, or make it (0600) with fresh keys where there is none.

        Safe when two processes do it at once: one makes it, both read it. Raises KeyringError for a file
        that others may read or that holds no keys.
        """
        if not path.exists():
            cls().store(path)
        return cls._load(path)

    @classmethod
    def _load(cls, path: Path) -> Keyring:
        """Read the file and check who else may."""
        if os.name == "posix" and path.stat().st_mode & OTHERS:
            raise KeyringError(f"{path.name} may be read by others; run: chmod 600 {path.name}")
        try:
            held = json.loads(path.read_text("utf-8"))
            keys = {name: base64.b64decode(value, validate=True) for name, value in held["keys"].items()}
            return cls(**keys, index_version=int(held["index_version"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeyringError(f"{path.name} holds no keyring; restore it from your backup") from None

    def store(self, path: Path) -> None:
        """Write the key file (0600) unless there is one already, which then stays as it is."""
        keys = {
            item.name: base64.b64encode(getattr(self, item.name)).decode()
            for item in fields(self)
            if item.name != "index_version"
        }
        text = json.dumps({"keys": keys, "index_version": self.index_version}, indent=2)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            # A link never replaces: when two processes start at once, the second reads the first one's keys.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()

    def address_index(self, identity_form: str) -> bytes:
        """Give the 32-byte look-up key of an address in identity form; also its suppression key."""
        return hmac.digest(self.index, b"address\x00" + identity_form.encode(), "sha256")

    def abuse_index(self, abuse_form: str) -> bytes:
        """Give the 32-byte key under which confirmation mails to one mailbox are counted."""
        return hmac.digest(self.index, b"abuse\x00" + abuse_form.encode(), "sha256")

    def mac(self, purpose: str, data: bytes) -> bytes:
        """Give 16 bytes that only this installation can make for this purpose and data."""
        return hmac.digest(self.link, purpose.encode() + b"\x00" + data, "sha256")[:MAC_BYTES]

    def seal(self, plaintext: bytes, *, aad: bytes) -> bytes:
        """Seal bytes that belong to no subject yet, such as a webhook's body."""
        return sealing.seal(self.inbox, plaintext, aad=aad)

    def open(self, sealed: bytes, *, aad: bytes) -> bytes:
        """Open what `seal` made; raises SealError."""
        return sealing.unseal(self.inbox, sealed, aad=aad)
