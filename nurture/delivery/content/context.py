"""What may a template know? The declared fields, frozen to plain values; nothing else reaches it."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from babel.dates import format_datetime

from nurture.delivery.content import RenderError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

LEAD = ("first_name", "last_name", "salutation", "company")
SENDER = ("name", "address", "company", "postal_address", "imprint")

MARKETING: Mapping[str, tuple[str, ...]] = {
    "lead": LEAD,
    "sender": SENDER,
    "unsubscribe_url": (),
    "preferences_url": (),
    "open_pixel_url": (),
    "existing_customer": (),
    "privacy_url": (),
}
CONFIRMATION: Mapping[str, tuple[str, ...]] = {
    "sender": SENDER,
    "confirm_url": (),
    "decline_url": (),
    "requested_at": (),
    "source": (),
    "texts": (),
    "privacy_url": (),
}
OPTIONAL = frozenset({"open_pixel_url", "existing_customer", "privacy_url"})
LONGEST_SUBJECT = 200
LONGEST_VALUE = 4000
SCHEMES = frozenset({"http", "https", "mailto"})
DATE_FORMS = {"de": "d. MMMM y 'um' HH:mm 'Uhr' (z)", "en": "d MMMM y 'at' HH:mm (z)"}


class UnsafeHeaderError(RenderError):
    """A subject holds a control character or is too long or empty."""


def freeze(
    context: Mapping[str, object], schema: Mapping[str, tuple[str, ...]], *, language: str, zone: ZoneInfo
) -> dict[str, object]:
    """Copy the declared fields to plain text and lists of text; times become words in `zone`.

    Fields of a lead that are missing or None become empty text, because people leave them out; every
    other declared name must be there. Undeclared ones are dropped. Raises RenderError naming the field.
    """
    frozen: dict[str, object] = {}
    for name, fields in schema.items():
        value = context.get(name)
        if fields:
            inner = value if isinstance(value, dict) else {}
            if name != "lead" and (lacking := [field for field in fields if inner.get(field) is None]):
                raise RenderError(f"the context lacks {name}.{lacking[0]}")
            frozen[name] = {field: _plain(inner.get(field), name, language, zone) for field in fields}
        elif isinstance(value, list | tuple):
            frozen[name] = [_plain(item, name, language, zone) for item in value]
        elif value is None and name in OPTIONAL:
            frozen[name] = None
        elif value is None:
            raise RenderError(f"the context lacks {name}")
        else:
            frozen[name] = _plain(value, name, language, zone)
    return frozen


def _plain(value: object, name: str, language: str, zone: ZoneInfo) -> str:
    if isinstance(value, datetime):
        return long_date(value, language=language, zone=zone)
    text = "" if value is None else str(value)
    if len(text) > LONGEST_VALUE:
        raise RenderError(f"the context's {name} is longer than {LONGEST_VALUE} characters")
    return text


def long_date(moment: datetime, *, language: str, zone: ZoneInfo) -> str:
    """Write an aware time the way a letter would, in the zone given."""
    form = DATE_FORMS.get(language, DATE_FORMS["en"])
    locale = {"de": "de_DE", "en": "en_GB"}.get(language, "en_GB")
    return format_datetime(moment.astimezone(zone), form, locale=locale)


def header_text(text: str) -> str:
    """Give back a text that is safe as a mail header; raises UnsafeHeaderError.

    Refuses control, format (direction marks), surrogate, private and line-separator characters:
    a line break in a subject would begin a new header.
    """
    if not text.strip():
        raise UnsafeHeaderError("the subject is empty")
    if len(text) > LONGEST_SUBJECT:
        raise UnsafeHeaderError(f"the subject is longer than {LONGEST_SUBJECT} characters")
    if text.isprintable():  # then none of the characters looked for below is in it
        return text
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
            raise UnsafeHeaderError(
                f"the subject holds the character U+{ord(character):04X}, which is not allowed in headers"
            )
    return text


def web_address(value: str) -> str:
    """Give back an http, https or mailto address; raises RenderError for any other (`javascript:`, `data:`)."""
    if re.search(r"[\x00-\x20\x7f\\<>\"'`]", value):
        raise RenderError("an address in the mail holds a character that addresses do not have")
    parts = urlsplit(value)
    if parts.scheme not in SCHEMES or not (parts.netloc or (parts.scheme == "mailto" and parts.path)):
        raise RenderError("an address in the mail is neither http, https nor mailto")
    return value
