"""The mail provider as the edge meets it: bodies with a signature."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nurture.web.hooks import SIGNATURE, TIMESTAMP

if TYPE_CHECKING:
    from datetime import datetime

    from tests.nurture.web.visitor import Visitor

PATH = "/hooks/sendgrid"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def sign(body: bytes, at: datetime) -> dict[str, str]:
    """The headers of a genuine post."""
    timestamp = str(int(at.timestamp()))
    signature = base64.b64encode(PRIVATE.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))).decode()
    return {SIGNATURE: signature, TIMESTAMP: timestamp, "content-type": "application/json"}


def signed(hook: Visitor, body: bytes, **headers: str) -> dict[str, str]:
    """The headers of a post that is genuine but for what is named here."""
    return sign(body, hook.clock.now()) | headers


def send(hook: Visitor, body: bytes, **headers: str) -> int:
    """Post a body with a genuine signature and give the status."""
    return hook.call("POST", PATH, content=body, headers=signed(hook, body, **headers)).status_code
