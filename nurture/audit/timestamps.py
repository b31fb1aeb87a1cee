"""How does a stranger vouch for when a checkpoint was there? A time stamp after RFC 3161.

Only SHA-256 of the note leaves the machine. The answer is kept as it came (`<size>.tsr`), to be checked
with the authority's certificate: openssl ts -verify -in 42.tsr -data 42.txt -CAfile authority.pem
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from nurture.audit import AuditError
from nurture.audit.targets import Anchor, Answer
from nurture.delivery.provider import is_loopback

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

MOST_BYTES = 64 * 1024
"""A token with its certificates has some kilobytes."""
GRANTED = (0, 1)
"""PKIStatus granted and grantedWithMods."""
INTEGER, OCTETS, BOOLEAN, SEQUENCE = 0x02, 0x04, 0x01, 0x30
SHA256 = bytes.fromhex("300d06096086480165030402010500")
"""AlgorithmIdentifier of SHA-256, in DER."""
LONG = 0x80


class DerError(ValueError):
    """Bytes that are no DER, or not what was expected there."""


@dataclass(frozen=True)
class TimeStamp:
    """A time-stamping authority."""

    url: str
    folder: Path
    timeout: float = 10.0

    def __post_init__(self) -> None:
        """Refuse an address without TLS (but on this machine), or one that carries a password."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if (
            parts.username
            or not host
            or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
        ):
            raise AuditError("checkpoint_targets: behind rfc3161: must stand https://host/path without a user")

    @property
    def label(self) -> str:
        """Name the authority."""
        return f"rfc3161:{self.url}"

    def path(self, size: int) -> Path:
        """Where the answer for a checkpoint lies."""
        host = urlsplit(self.url).hostname or ""
        return self.folder / f"{size}.{''.join(c if c.isalnum() else '-' for c in host)}.tsr"

    def deliver(self, anchor: Anchor, *, at: datetime) -> Answer:  # noqa: ARG002  the authority tells the time
        """Ask once, check that the answer is about our hash and our request, keep it."""
        kept = self.path(anchor.size)
        if kept.exists():
            return Answer(taken=True, detail="kept")
        digest, nonce = hashlib.sha256(anchor.note.encode()).digest(), secrets.randbits(63) | 1
        answer = self._ask(request(digest, nonce))
        if isinstance(answer, str):
            return Answer(taken=False, detail=answer)
        trouble = fault(answer, digest, nonce)
        if trouble:
            return Answer(taken=False, detail=trouble)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = kept.with_suffix(".new")
            draft.write_bytes(answer)
            draft.replace(kept)
        except OSError as error:
            return Answer(taken=False, detail=f"disk {error.errno}")
        return Answer(taken=True, detail="stamped")

    def _ask(self, asked: bytes) -> bytes | str:
        """POST; give the answer's bytes, or a code for what went wrong. No redirects, no proxies, bounded."""
        headers = {"content-type": "application/timestamp-query", "accept": "application/timestamp-reply"}
        received = bytearray()
        try:
            with (
                httpx.Client(timeout=self.timeout, follow_redirects=False, trust_env=False) as client,
                client.stream("POST", self.url, content=asked, headers=headers) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    return f"http {answer.status_code}"
                for part in answer.iter_raw():
                    received += part
                    if len(received) > MOST_BYTES:
                        return "answer too long"
        except httpx.HTTPError as error:
            return type(error).__name__
        return bytes(received)


def request(digest: bytes, nonce: int) -> bytes:
    """Write a TimeStampReq for a SHA-256 digest, asking for the authority's certificate."""
    imprint = _tlv(SEQUENCE, SHA256 + _tlv(OCTETS, digest))
    return _tlv(SEQUENCE, _integer(1) + imprint + _integer(nonce) + _tlv(BOOLEAN, b"\xff"))


def fault(answer: bytes, digest: bytes, nonce: int) -> str | None:
    """Say why a TimeStampResp is not for this request; None when it is. The signature is for openssl to check."""
    try:
        outer, rest = _read(answer, SEQUENCE)
        status, token = _read(outer, SEQUENCE)
        code, _ = _read(status, INTEGER)
    except DerError:
        return "no time stamp"
    if rest:
        return "no time stamp"
    if int.from_bytes(code, "big") not in GRANTED:
        return f"refused {int.from_bytes(code, 'big')}"
    if _tlv(SEQUENCE, SHA256 + _tlv(OCTETS, digest)) not in token or _integer(nonce) not in token:
        return "another time stamp"
    return None


def _integer(value: int) -> bytes:
    return _tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < LONG:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, LONG | len(length)]) + length + content


def _read(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Give the content of the first value, which must have this tag, and what follows it."""
    if len(data) < 2 or data[0] != tag:  # noqa: PLR2004  tag and length
        raise DerError
    size, start = data[1], 2
    if size & LONG:
        count = size & (LONG - 1)
        start += count
        size = int.from_bytes(data[2:start], "big")
        if not 0 < count <= 4:  # noqa: PLR2004  no answer is longer than 4 GiB
            raise DerError
    if len(data) < start + size:
        raise DerError
    return data[start : start + size], data[start + size :]
