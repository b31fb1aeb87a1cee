"""Which secrets does the product rest on, and where do they lie? One file outside the database.

Without `master` nobody reads an address; without `index` nobody finds one; without `link` nobody
forges a link. Losing the file loses all personal data for good; so does erasing it on purpose.

Each key may have successors (`rotation` makes them): the newest writes, all of them read.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from consent import ConsentError, sealing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAC_BYTES = 16
WRAPPED = sealing.place("identity", "wrapped_key", "")
"""Where a subject's key stands; the subject follows."""
OTHERS = 0o077
"""Permission bits of everybody but the owner."""
NAMES = ("master", "index", "link", "inbox", "signing")
"""Wraps the key of every subject; makes look-up keys of addresses; authenticates links and other public tokens; seals
what came from outside until it is understood; signed nothing yet: checkpoints have a key file of their own."""


class KeyringError(ConsentError):
    """The key file cannot be used; the message says why and what to do."""


def _fresh() -> dict[str, dict[int, bytes]]:
    """Make version 1 of every key."""
    return {name: {1: sealing.new_key()} for name in NAMES}


@dataclass(frozen=True)
class Keyring:
    """All keys of one installation, 32 bytes each, by name and version; made fresh where none are given."""

    keys: Mapping[str, Mapping[int, bytes]] = field(default_factory=_fresh, repr=False)

    def __post_init__(self) -> None:
        """Refuse a missing key, and one of another length: it would weaken everything below it."""
        for name in NAMES:
            versions = self.keys.get(name) or {}
            whole = all(isinstance(key, bytes) and len(key) == sealing.KEY_BYTES for key in versions.values())
            if not versions or not whole or min(versions) < 1:
                raise KeyringError(f"key {name} is not 32 bytes long; restore keys.json from your backup")

    def newest(self, name: str) -> int:
        """Give the version of a key that writes."""
        return max(self.keys[name])

    def fingerprints(self) -> dict[str, str]:
        """Give what tells each key from any other and says nothing about it: {"master/1": 16 hexadecimal digits}."""
        return {
            f"{name}/{version}": hmac.digest(key, f"fingerprint\x00{name}".encode(), "sha256")[:8].hex()
            for name, versions in self.keys.items()
            for version, key in versions.items()
        }

    @property
    def master_version(self) -> int:
        """Stands beside every wrapped key in the database."""
        return self.newest("master")

    @property
    def index_version(self) -> int:
        """Stands beside every look-up key in the database."""
        return self.newest("index")

    def with_successor(self, name: str) -> Keyring:
        """Give the keyring with one more, fresh version of a key; the others still read."""
        versions = {**self.keys[name], self.newest(name) + 1: sealing.new_key()}
        return Keyring({**self.keys, name: versions})

    def without(self, name: str, version: int) -> Keyring:
        """Give the keyring without a former version of a key: whatever it alone opens is lost for good."""
        if version == self.newest(name):
            raise KeyringError(f"version {version} of {name} is the one that writes; make a successor first")
        return Keyring({**self.keys, name: {one: key for one, key in self.keys[name].items() if one != version}})

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
            return cls({name: _versions(held, name) for name in NAMES})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeyringError(f"{path.name} holds no keyring; restore it from your backup") from None

    def store(self, path: Path) -> None:
        """Write the key file (0600) unless there is one already, which then stays as it is."""
        with self._draft(path) as draft, contextlib.suppress(FileExistsError):
            # A link never replaces: when two processes start at once, the second reads the first one's keys.
            os.link(draft, path)

    def replace(self, path: Path) -> None:
        """Put this keyring in the place of the one in the file, whole or not at all."""
        with self._draft(path) as draft:
            draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _draft(self, path: Path) -> Iterator[Path]:
        """Write the keys into a file of their own (0600), on the disk before anybody sees it."""
        keys = {
            name: {str(version): base64.b64encode(key).decode() for version, key in versions.items()}
            for name, versions in self.keys.items()
        }
        draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps({"format": 2, "keys": keys}, indent=2))
                file.flush()
                os.fsync(file.fileno())
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    def address_index(self, identity_form: str) -> bytes:
        """Give the 32-byte look-up key of an address in identity form; also its suppression key."""
        return self._indexes("address", identity_form)[0]

    def former_address_indexes(self, identity_form: str) -> list[bytes]:
        """Give what `address_index` gave before the key had its successors; empty where it has none."""
        return self._indexes("address", identity_form)[1:]

    def count_indexes(self, kind: str, value: str) -> list[bytes]:
        """Give the keys under which requests of one kind ("abuse", "network", "domain") are counted, newest first."""
        return self._indexes(kind, value)

    def abuse_index(self, abuse_form: str) -> bytes:
        """Give the 32-byte key under which confirmation mails to one mailbox are counted."""
        return self._indexes("abuse", abuse_form)[0]

    def _indexes(self, kind: str, value: str) -> list[bytes]:
        """Give the keyed HMAC of a value under every version, the newest first."""
        data = kind.encode() + b"\x00" + value.encode()
        return [hmac.digest(key, data, "sha256") for _, key in self._index_keys]

    @cached_property
    def _index_keys(self) -> list[tuple[int, bytes]]:
        """The versions of the index key, the newest first."""
        return sorted(self.keys["index"].items(), reverse=True)

    def mac(self, purpose: str, data: bytes) -> bytes:
        """Give 16 bytes that only this installation can make for this purpose and data."""
        return self.macs(purpose, data)[0]

    def macs(self, purpose: str, data: bytes) -> list[bytes]:
        """Give `mac` under every version of the link key, the newest first: old links stay good."""
        text = purpose.encode() + b"\x00" + data
        versions = sorted(self.keys["link"].items(), reverse=True)
        return [hmac.digest(key, text, "sha256")[:MAC_BYTES] for _, key in versions]

    def mail_mac(self, public_id: str) -> str:
        """Give 64 bytes, hexadecimal, that only this installation can make for a mail: its tokens are cut from them."""
        return _mail_mac(self._mail_states[0], public_id)

    def mail_macs(self, public_id: str) -> list[str]:
        """Give `mail_mac` under every version of the link key, the newest first: old mails stay good."""
        return [_mail_mac(state, public_id) for state in self._mail_states]

    @cached_property
    def _mail_states(self) -> list[hashlib.blake2b]:
        """A keyed hash for the tokens of mails from each version of the link key, the newest first, to be copied."""
        versions = sorted(self.keys["link"].items(), reverse=True)
        keys = [hmac.digest(key, b"tokens of mails", "sha512") for _, key in versions]
        return [hashlib.blake2b(key=key, digest_size=64) for key in keys]

    @cached_property
    def _masters(self) -> dict[int, sealing.Sealer]:
        """The versions of the master key, ready."""
        return {version: sealing.Sealer(key) for version, key in self.keys["master"].items()}

    def wrap(self, subject: str, key: bytes) -> bytes:
        """Wrap a subject's key under the newest master key, `master_version`."""
        return self._masters[self.master_version].seal(key, aad=sealing.place("identity", "wrapped_key", subject))

    def unwrap(self, subject: str, wrapped: bytes, version: int) -> bytes:
        """Open a subject's key; raises SealError, also for a master key that this keyring does not hold."""
        master = self._masters.get(version)
        if master is None:
            raise sealing.SealError(
                f"a key is wrapped under version {version} of the master key, which this process does not hold; "
                "was it rotated? Start this process anew"
            )
        return master.unseal(wrapped, aad=WRAPPED + subject.encode())

    def seal(self, plaintext: bytes, *, aad: bytes) -> bytes:
        """Seal bytes that belong to no subject yet, such as a webhook's body."""
        return sealing.seal(self.keys["inbox"][self.newest("inbox")], plaintext, aad=aad)

    def open(self, sealed: bytes, *, aad: bytes) -> bytes:
        """Open what `seal` made, under any version; raises SealError."""
        *former, newest = (key for _, key in sorted(self.keys["inbox"].items()))
        for key in former:
            with contextlib.suppress(sealing.SealError):
                return sealing.unseal(key, sealed, aad=aad)
        return sealing.unseal(newest, sealed, aad=aad)


def _mail_mac(state: hashlib.blake2b, public_id: str) -> str:
    own = state.copy()
    own.update(public_id.encode())
    return own.hexdigest()


def _versions(held: Mapping[str, Any], name: str) -> dict[int, bytes]:
    """Read one key's versions; a file from before there were any holds one text, version 1."""
    found = held["keys"][name]
    if isinstance(found, str):
        first = int(held["index_version"]) if name == "index" else 1
        found = {str(first): found}
    return {int(version): base64.b64decode(key, validate=True) for version, key in found.items()}
