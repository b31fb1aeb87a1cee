"""How does mail reach SendGrid? The only file that knows it: request, transport, meaning of each answer.

The transport is our own: the official client has no timeout, follows redirects with the key on board,
obeys proxies of the environment and logs the key (docs: explanation of delivery). Here: one fresh TLS
connection per request, a deadline for the whole exchange, no redirects, no proxies, no log lines.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nurture.delivery.errors import DeliveryError
from nurture.delivery.provider import (
    Accepted,
    Outcome,
    Outgoing,
    Refused,
    Rejected,
    Sender,
    Unknown,
    fault_of,
    is_loopback,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

PATH = "/v3/mail/send"
LARGEST_ANSWER = 64 * 1024
LARGEST_REQUEST = 30_000_000
"""Bytes; SendGrid's limit for a whole request."""
MOST_RECIPIENTS = 1000

HTTP_ACCEPTED = 202
UNCLEAR_STATUS = {408, 409}
"""Beside every 5xx: a gateway may say so although the mail was taken."""
ACCOUNT_STATUS = {401, 402, 403}
"""The account, not the message, is the trouble."""
TOO_MANY = 429
TRACKING_OFF: dict[str, Any] = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
    "ganalytics": {"enable": False},
}
"""Ours alone track, and only with consent; a withdrawal must reach our ledger, not SendGrid's list (R48)."""


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class SendGrid:
    """Hands mail to the v3 mail/send endpoint."""

    name = "sendgrid"
    batch_limit = 1
    """Each mail is rendered whole, and a request has one content."""

    def __init__(
        self,
        sender: Sender,
        *,
        key: str,
        url: str = "https://api.sendgrid.com",
        timeout: float = 10.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Check key and address; touches no network. `timeout` in seconds, for connecting and for each wait."""
        if not re.fullmatch(r"[!-~]{8,200}", key):
            raise DeliveryError(
                "the SendGrid key is empty or holds spaces or line breaks; set NURTURE_SENDGRID_API_KEY"
            )
        self.sender = sender
        self.timeout = timeout
        self.deadline = 3 * timeout
        self._key = key
        self._host, self._port, self._secure = _target(url)
        # An own context, not the process-wide default: nobody else's change weakens it.
        self._context = context or ssl.create_default_context()

    def __repr__(self) -> str:
        """Name the host; the key stays out of tracebacks."""
        return f"SendGrid({self._host})"

    def submit(self, batch: Sequence[Outgoing]) -> Outcome:
        """Post one request for all messages of the batch."""
        faults = sorted({fault for message in batch if (fault := fault_of(message))})
        if faults:
            return Rejected(f"fault {faults[0]}")
        if not 1 <= len(batch) <= self.batch_limit:
            return Rejected("fault batch size")
        body = json.dumps(request_body(self.sender, batch), ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        if len(body) > LARGEST_REQUEST:
            return Rejected("fault size")
        if self._key.encode() in body:
            return Rejected("fault key in content")
        return self._post(body, batch[0].at)

    def _post(self, body: bytes, at: datetime) -> Outcome:
        connection = self._connection()
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            # Name resolution, TCP or TLS: not a byte of the request has left.
            return Refused(f"connect {type(error).__name__}")
        # Each wait has its timeout, but an answer that drips byte by byte would outlast them all.
        guard = threading.Timer(self.deadline, _cut, [connection])
        guard.daemon = True
        guard.start()
        try:
            answer = self._exchange(connection, body)
        finally:
            guard.cancel()
            connection.close()
        return answer if isinstance(answer, Unknown) else judge(answer, at)

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self.timeout, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self.timeout)

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes) -> Answer | Unknown:
        """Write the request and read the answer. Once writing has begun, every failure is an unknown outcome."""
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "nurture",
            "Connection": "close",
        }
        failed = ""
        try:
            connection.request("POST", PATH, body=body, headers=headers)
        except (OSError, http.client.HTTPException) as error:
            # It may have answered early (413, 401) and closed; if so, that answer is still to be read.
            failed = f"write {type(error).__name__}"
        try:
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Unknown(failed or f"answer {type(error).__name__}")
        content, short = b"", True
        # Without a stated length the end of the line would look like the end of the answer, even amid its headers.
        stated = response.length is not None or response.chunked
        try:
            content = response.read(LARGEST_ANSWER)
            short = not stated or (response.length not in (None, 0) and len(content) < LARGEST_ANSWER)
        except (OSError, http.client.HTTPException, ValueError):
            # A refusal is clear from its status; only an acceptance must be whole.
            content = b""
        if response.status == HTTP_ACCEPTED and (failed or short):
            return Unknown(failed or "answer truncated")
        return Answer(response.status, response.headers, content)


def _cut(connection: http.client.HTTPConnection) -> None:
    """End an exchange from outside; the reader then sees a reset."""
    wire = connection.sock
    if wire is not None:
        try:
            wire.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _target(url: str) -> tuple[str, int, bool]:
    """Read host, port and scheme of the API's address; only https, or http to this very machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise DeliveryError("sendgrid_url must be scheme and host only, such as https://api.sendgrid.com")
    if parts.scheme == "https" and host:
        return host, parts.port or 443, True
    if parts.scheme == "http" and is_loopback(host):
        return host, parts.port or 80, False
    raise DeliveryError("sendgrid_url must begin with https://; plain http is for a stub on this machine only")


def request_body(sender: Sender, batch: Sequence[Outgoing]) -> dict[str, Any]:
    """Give the JSON of a request. All messages must have the same content; only ids may tell them apart inside."""
    first = batch[0]
    body: dict[str, Any] = {
        "personalizations": [_personalization(message) for message in batch],
        "from": _mailbox(sender.address, sender.name),
        "subject": first.subject,
        "content": [{"type": "text/plain", "value": first.text}, {"type": "text/html", "value": first.html}],
        "tracking_settings": TRACKING_OFF,
    }
    if first.category:
        body["categories"] = [first.category[:255]]
    return body


def _personalization(message: Outgoing) -> dict[str, Any]:
    return {
        "to": [_mailbox(message.to_address, message.to_name)],
        "subject": message.subject,
        "headers": dict(message.headers),
        # Never treated as personal data by SendGrid and never removed there: a random id and a number, no more.
        "custom_args": {"nurture_message_id": message.public_id, "nurture_attempt": str(message.attempt)},
    }


def _mailbox(address: str, name: str) -> dict[str, str]:
    """Keep address and name in fields of their own; a combined text could be read as another recipient."""
    return {"email": address, "name": name} if name else {"email": address}


def judge(answer: Answer, at: datetime) -> Outcome:
    """Say what an HTTP answer means (the table of the delivery reference, row by row)."""
    status = answer.status
    code = f"http {status}"
    if status == HTTP_ACCEPTED:
        return Accepted(_provider_id(answer))
    if status == 200:  # noqa: PLR2004  sandbox mode: checked, not sent
        return Refused(f"{code} sandbox", opens_circuit=True)
    if 300 <= status < 400 or status in ACCOUNT_STATUS:  # noqa: PLR2004  redirects
        return Refused(code, opens_circuit=True)
    if status == TOO_MANY:
        return Refused(code, retry_after=_wish(answer, at))
    if 400 <= status < 500 and status not in UNCLEAR_STATUS:  # noqa: PLR2004  the client's fault
        return Rejected(f"{code} {_field(answer.body)}".strip())
    return Unknown(code)


def _provider_id(answer: Answer) -> str:
    value = answer.headers.get("X-Message-Id", "")
    return value if re.fullmatch(r"[A-Za-z0-9._\-]{1,128}", value) else ""


def _wish(answer: Answer, at: datetime) -> float | None:
    """How many seconds does the provider want us to wait? The longer of its two ways to say so."""
    wishes = [_retry_after(answer.headers.get("Retry-After", ""), at)]
    reset = answer.headers.get("X-RateLimit-Reset", "")
    if re.fullmatch(r"[0-9]{1,12}", reset):
        # Documented as a Unix time; a small number can only be meant as seconds from now.
        moment = int(reset)
        wishes.append(moment - at.timestamp() if moment > 1_000_000_000 else moment)  # noqa: PLR2004  the year 2001
    known = [wish for wish in wishes if wish is not None and math.isfinite(wish) and wish > 0]
    return max(known, default=None)


def _retry_after(value: str, at: datetime) -> float | None:
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment - at).total_seconds() if moment.tzinfo else None


def _field(body: bytes) -> str:
    """Name the field that SendGrid refused; its error text may repeat an address, so that is not kept."""
    try:
        field = json.loads(body)["errors"][0]["field"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return ""
    return field if isinstance(field, str) and re.fullmatch(r"[a-z0-9_.\[\]]{1,80}", field) else ""
