"""When was this form served? A signed time says so without a cookie or a row."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consent.keys import Keyring

PURPOSE = "form-stamp"
VALID = timedelta(hours=24)
LONGEST = 60


def _sign(keyring: Keyring, form: str, seconds: str) -> str:
    return base64.urlsafe_b64encode(keyring.mac(PURPOSE, f"{form}\n{seconds}".encode())).rstrip(b"=").decode()


def issue(keyring: Keyring, form: str, *, at: datetime) -> str:
    """Stamp a form that is served at `at`."""
    seconds = str(int(at.timestamp()))
    return f"{seconds}.{_sign(keyring, form, seconds)}"


def served(keyring: Keyring, form: str, stamp: str, *, at: datetime) -> datetime | None:
    """Give the time (UTC) a form was served; None when the stamp is not ours, of the future or a day old."""
    seconds, _, signature = stamp[:LONGEST].partition(".")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 12):  # noqa: PLR2004  until the year 33658
        return None
    if not hmac.compare_digest(_sign(keyring, form, seconds).encode(), signature.encode("utf-8", "replace")):
        return None
    moment = datetime.fromtimestamp(int(seconds), UTC)
    return moment if moment <= at < moment + VALID else None
