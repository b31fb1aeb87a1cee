"""Does a webhook body come from SendGrid, and what does each of its events say?

Facts and traps: the signature covers timestamp + raw body; the scheme knows no replay protection,
so the window is wide (SendGrid retries for 24 hours) and every event is idempotent by its key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from nurture import NurtureError
from nurture.tracking.vocabulary import DROP_REASONS, SENDGRID, EventKind

OLDEST = timedelta(hours=25)
AHEAD = timedelta(minutes=5)
CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
LAST_SECOND = 4_102_444_800
"""2100-01-01: a later timestamp is a mistake or an attack."""

OUR_ID = re.compile(r"[a-zA-Z0-9]{20,40}")
EVENT_ID = re.compile(r"[A-Za-z0-9_=+/.-]{1,100}")
STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
DIGITS = re.compile(r"[0-9]{1,6}")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
CLASSES = frozenset({"invalid address", "mailbox unavailable", "reputation", "content", "technical",
                     "frequency or volume too high", "unclassified"})  # fmt: skip


class PoisonError(NurtureError):
    """An event that cannot be understood; the message names the field, never its value."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """One event in our words; personal data stands in `address` and `agent` alone, which are never stored."""

    kind: EventKind
    at: datetime
    key: str
    message: str | None = None
    """Public id of our message; None when the event names none of ours."""
    address: str | None = field(default=None, repr=False)
    attributes: dict[str, Any] = field(default_factory=dict)
    agent: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    fields: dict[str, Any] = field(default_factory=dict, repr=False)
    """What a person typed into a form."""


def verify(public_key_b64: str, signature: str, timestamp: str, body: bytes, *, at: datetime) -> bool:
    """Is this SendGrid's signature over these very bytes, made between 25 h ago and 5 min ahead of `at`?

    Never raises for what the other side sends. False without a key: closed, not open. Strict where
    the official helper is lenient: canonical base64, a canonical signature, ten digits of time.
    """
    if not public_key_b64 or re.fullmatch(r"[0-9]{10}", timestamp, re.ASCII) is None:
        return False
    signed = datetime.fromtimestamp(int(timestamp), UTC)
    if not at - OLDEST <= signed <= at + AHEAD:
        return False
    try:
        key = public_key(public_key_b64)
        key.verify(_canonical(signature), timestamp.encode("ascii") + body, ec.ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """Read the key that SendGrid signs with: base64 of DER, on the curve P-256. Raises ValueError for any other."""
    try:
        key = load_der_public_key(_base64(text))
    except UnsupportedAlgorithm as error:
        raise ValueError("a key of an unknown kind") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("no key on P-256")  # noqa: TRY004  the value is wrong, whatever its class
    return key


def _canonical(signature: str) -> bytes:
    """Decode a signature that is spelt the one canonical way; raises ValueError for any other.

    SendGrid's own signatures have high and low s (its published vector: high), so a mirrored s cannot
    be told from a genuine one. It does no harm: a body is stored once, by its own hash.
    """
    raw = _base64(signature)
    r, s = decode_dss_signature(raw)
    if not (0 < r < CURVE_ORDER and 0 < s < CURVE_ORDER) or encode_dss_signature(r, s) != raw:
        raise ValueError("no canonical signature")
    return raw


def _base64(text: str) -> bytes:
    """Decode standard base64 that is spelt the one canonical way."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error
    if base64.b64encode(raw).decode("ascii") != text:
        raise ValueError("not canonical base64")
    return raw


def normalise(event: object) -> Normalised:
    """Say one event in our words. Raises PoisonError when it does not fit SendGrid's schema."""
    if not isinstance(event, dict):
        raise PoisonError("event: is no object")
    name = _text(event, "event", longest=64)
    kind = SENDGRID.get(name, EventKind.UNKNOWN)
    at = _time(event)
    _check_common(event)
    attributes = _event_id(event)
    if kind in MAIL_KINDS:
        _require(event, kind)
    said, rest = _DETAILS[kind](event, attributes) if kind in _DETAILS else (kind, "")
    if kind is EventKind.UNKNOWN:
        attributes["name"] = name if NAME.fullmatch(name) else "other"
        rest = name
    message = event.get("nurture_message_id")
    message = message if isinstance(message, str) and OUR_ID.fullmatch(message) else None
    # Never the address: a key outlives an erasure.
    who = message or _digest(event.get("sg_message_id") or event.get("sg_event_id"))
    address = event.get("email")
    agent = event.get("useragent")
    url = event.get("url")
    return Normalised(
        kind=said,
        at=at,
        key=f"{int(at.timestamp()):010d}:{who}:{said}" + (f":{_digest(rest)}" if rest else ""),
        message=message,
        address=address if isinstance(address, str) and address else None,
        attributes=attributes,
        agent=agent if isinstance(agent, str) else None,
        url=url if isinstance(url, str) else None,
    )


MAIL_KINDS = frozenset(SENDGRID.values()) - {EventKind.ACCOUNT_CHANGED, EventKind.DROPPED}


def _digest(*parts: object) -> str:
    """Give a short name for what is too long or too personal to stand in a key."""
    return hashlib.blake2s("\0".join(map(repr, parts)).encode(), digest_size=8).hexdigest()


def _text(event: dict[str, Any], name: str, *, longest: int) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise PoisonError(f"{name}: must be a text of 1 to {longest} characters")
    return value


def _time(event: dict[str, Any]) -> datetime:
    value = event.get("timestamp")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LAST_SECOND:
        raise PoisonError("timestamp: must be seconds since 1970, as a number, before 2100")
    return datetime.fromtimestamp(value, UTC)


def _require(event: dict[str, Any], kind: EventKind) -> None:
    if not isinstance(event.get("email"), str) or len(event["email"]) > 320:  # noqa: PLR2004  RFC 5321
        raise PoisonError("email: must be a text of at most 320 characters")
    _text(event, "sg_event_id", longest=100)
    _text(event, "sg_message_id", longest=255)
    wanted = {EventKind.DEFERRED: "response", EventKind.DELIVERED: "response"}.get(kind)
    if wanted and not isinstance(event.get(wanted), str):
        raise PoisonError(f"{wanted}: must be a text")
    if kind in {EventKind.GROUP_UNSUBSCRIBED, EventKind.GROUP_RESUBSCRIBED} and "asm_group_id" not in event:
        raise PoisonError("asm_group_id: is missing")


def _check_common(event: dict[str, Any]) -> None:
    """Hold optional fields to their types, as the schema does."""
    for name in ("email", "smtp-id", "ip", "useragent", "url", "response", "reason", "status", "type",
                 "bounce_classification", "sg_content_type", "sg_event_id", "sg_message_id"):  # fmt: skip
        if name in event and not isinstance(event[name], str):
            raise PoisonError(f"{name}: must be a text")
    category = event.get("category", "")
    if not isinstance(category, str) and not (
        isinstance(category, list) and all(isinstance(each, str) for each in category)
    ):
        raise PoisonError("category: must be a text or a list of texts")
    for name in ("asm_group_id", "send_at"):
        if name in event and (not isinstance(event[name], int) or isinstance(event[name], bool)):
            raise PoisonError(f"{name}: must be a whole number")
    if not isinstance(event.get("sg_machine_open", False), bool):
        raise PoisonError("sg_machine_open: must be true or false")
    attempt = event.get("attempt", "0")
    if not isinstance(attempt, str) or DIGITS.fullmatch(attempt) is None:
        raise PoisonError("attempt: must be digits in a text")
    if not isinstance(event.get("url_offset", {}), dict):
        raise PoisonError("url_offset: must be an object")


def _event_id(event: dict[str, Any]) -> dict[str, Any]:
    """Keep SendGrid's id for look-ups only: it may differ between deliveries of one event."""
    value = event.get("sg_event_id")
    return {"sg_event_id": value} if isinstance(value, str) and EVENT_ID.fullmatch(value) else {}


def _bounce(event: dict[str, Any], attributes: dict[str, Any]) -> tuple[EventKind, str]:
    type_ = event.get("type")
    if type_ not in {"bounce", "blocked"}:
        raise PoisonError("type: a bounce is of type bounce or blocked")
    # The reason is not kept: servers quote addresses in it.
    status = event.get("status", "")
    class_ = str(event.get("bounce_classification", "")).lower()
    attributes["status"] = status if STATUS.fullmatch(status) else ""
    attributes["class"] = class_ if class_ in CLASSES else "unclassified"
    return (EventKind.BOUNCED if type_ == "bounce" else EventKind.SOFT_BOUNCED), ""


def _dropped(event: dict[str, Any], attributes: dict[str, Any]) -> tuple[EventKind, str]:
    reason = event.get("reason")
    if not isinstance(reason, str):
        raise PoisonError("reason: must be a text")
    _text(event, "sg_event_id", longest=100)
    attributes["reason"] = DROP_REASONS.get(reason.lower(), "other")
    return EventKind.DROPPED, ""


def _deferred(event: dict[str, Any], attributes: dict[str, Any]) -> tuple[EventKind, str]:
    if "attempt" not in event:
        raise PoisonError("attempt: is missing")
    attributes["attempt"] = int(event["attempt"])
    return EventKind.DEFERRED, event["attempt"]


def _opened(event: dict[str, Any], attributes: dict[str, Any]) -> tuple[EventKind, str]:
    machine = event.get("sg_machine_open", False)
    if machine:
        attributes["machine"] = True
    # A prefetch and a person's open may share their second.
    return EventKind.OPENED, "machine" if machine else ""


def _clicked(event: dict[str, Any], attributes: dict[str, Any]) -> tuple[EventKind, str]:
    if not isinstance(event.get("url"), str):
        raise PoisonError("url: is missing")
    index = event.get("url_offset", {}).get("index", 0)
    if not isinstance(index, int) or isinstance(index, bool):
        raise PoisonError("url_offset.index: must be a whole number")
    attributes["offset"] = max(-1, min(index, 9999))
    # Tells links apart that are none of the template's, without keeping where they lead.
    attributes["target"] = _digest(event["url"])
    return EventKind.CLICKED, f"{event['url']}\0{index}"


def _account(event: dict[str, Any], attributes: dict[str, Any]) -> tuple[EventKind, str]:
    type_ = event.get("type", "")
    attributes["type"] = type_ if NAME.fullmatch(type_) else "other"
    return EventKind.ACCOUNT_CHANGED, attributes["type"]


_DETAILS = {
    EventKind.BOUNCED: _bounce,
    EventKind.DROPPED: _dropped,
    EventKind.DEFERRED: _deferred,
    EventKind.OPENED: _opened,
    EventKind.CLICKED: _clicked,
    EventKind.ACCOUNT_CHANGED: _account,
}
