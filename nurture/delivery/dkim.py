"""How does a receiver know that a mail comes from our domain, unchanged? A DKIM signature (RFC 6376, RFC 8463).

For those who submit to a relay that does not sign. Header fields are canonicalised as `relaxed`, the body as
`simple`: ours is quoted-printable, of which nobody on the way has a reason to move a space.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nurture.delivery.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nurture.delivery.provider import Sender
    from nurture.settings import Settings

SIGNED = (
    "From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "MIME-Version",
    "Content-Type",
)  # fmt: skip
"""RFC 8058 asks for the two of List-Unsubscribe: nobody shall put another address into a mail of ours."""
SHORTEST_RSA = 2048
"""Bits. Receivers ignore signatures by keys below 1,024 (RFC 8301), and trust in those just above fades."""
NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
SPACE = re.compile(r"[ \t\r\n]+")
LINE = 72
"""Characters of a line of the signature; RFC 5322 recommends 78 at most, with the white space before it."""


def signer(settings: Settings, sender: Sender) -> Signer | None:
    """Give the signer that the settings ask for; None when they ask for none.

    Raises DeliveryError when its signature would not speak for the sender, SettingsError when others may read the key.
    """
    key = settings.private("dkim_key_file")
    if key is None:
        return None
    if not f".{sender.domain.lower()}".endswith(f".{settings.dkim_domain}"):
        raise DeliveryError("dkim_domain is neither the domain of sender_address nor one above it; receivers ignore it")
    return Signer(domain=settings.dkim_domain, selector=settings.dkim_selector, key=key)


class Signer:
    """Signs mails for a domain. Safe to use from any thread."""

    def __init__(self, *, domain: str, selector: str, key: bytes) -> None:
        """Take a private key in PEM, RSA or Ed25519. Raises DeliveryError when it, or a name, is none to sign with."""
        if not (NAME.fullmatch(domain) and NAME.fullmatch(selector)):
            raise DeliveryError(
                "dkim_domain and dkim_selector are names of DNS, in lower case; see docs/how-to/smtp.md"
            )
        try:
            private = load_pem_private_key(key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Its text may repeat the key.
            raise DeliveryError("dkim_key_file holds no private key in PEM without a password") from None
        if isinstance(private, RSAPrivateKey) and private.key_size >= SHORTEST_RSA:
            self._algorithm = "rsa-sha256"
        elif isinstance(private, Ed25519PrivateKey):
            self._algorithm = "ed25519-sha256"
        else:
            raise DeliveryError(f"dkim_key_file must hold an Ed25519 key, or an RSA key of {SHORTEST_RSA} bits or more")
        self._key = private
        self._domain, self._selector = domain, selector

    def __repr__(self) -> str:
        """Name whose signature it gives; the key stays out of tracebacks."""
        return f"Signer({self._selector}._domainkey.{self._domain})"

    def __call__(self, headers: Mapping[str, str], body: bytes) -> str:
        """Give the header line to put above `headers` (values as written, folded or not) and `body` (CR LF)."""
        given = [name for name in SIGNED if name in headers]
        # Each named once more than it occurs: who adds another breaks the signature (RFC 6376 5.4.2).
        names = ":".join([*given, *SIGNED]).lower()
        proof = base64.b64encode(_sha256(_simple(body))).decode("ascii")
        tags = (
            f"v=1; a={self._algorithm}; c=relaxed/simple; d={self._domain}; s={self._selector};\r\n"
            f" h={_folded(names, ':')};\r\n bh={proof};\r\n b="
        )
        # The last of several with a name is the one signed first; we write each once.
        signed = [f"{name.lower()}:{_relaxed(headers[name])}\r\n" for name in given]
        text = "".join(signed) + f"dkim-signature:{_relaxed(tags)}"
        value = base64.b64encode(self._sign(text.encode("ascii"))).decode("ascii")
        return f"DKIM-Signature: {tags}{_folded(value)}\r\n"

    def _sign(self, text: bytes) -> bytes:
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(text, PKCS1v15(), SHA256())
        # RFC 8463 signs the hash, as if Ed25519 did not hash on its own.
        return self._key.sign(_sha256(text))


def _sha256(data: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(data)
    return digest.finalize()


def _simple(body: bytes) -> bytes:
    """Let exactly one line end close the body."""
    return body.rstrip(b"\r\n") + b"\r\n"


def _relaxed(value: str) -> str:
    """Give a value unfolded, with one space for each run of white space."""
    return SPACE.sub(" ", value).strip(" ")


def _folded(value: str, mark: str = "") -> str:
    """Break a long value into lines; at a mark, or, where white space is ignored, anywhere."""
    if not mark:
        return "\r\n ".join([value[start : start + LINE] for start in range(0, len(value), LINE)])
    lines = [""]
    for part in value.split(mark):
        if len(lines[-1]) + len(part) > LINE - len(" h=;"):
            lines.append("")
        lines[-1] += part + mark
    return "\r\n ".join(lines).removesuffix(mark)
