"""How does mail reach SendGrid? The only file that knows it: requests, and the meaning of each answer.

A request carries one content and up to 1,000 personalizations: what differs from reader to reader are
substitutions, whose keys are chosen for each request so that nothing else can read as one. The transport is our
own (`wire.py`): the official client has no timeout, follows redirects with the key on board, obeys proxies
of the environment and logs the key.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import ssl
from email.utils import parsedate_to_datetime
from itertools import groupby
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from nurture.clock import stopwatch
from nurture.collecting import uncollected
from nurture.delivery.content.pieces import Content
from nurture.delivery.errors import DeliveryError
from nurture.delivery.mime import message_id
from nurture.delivery.provider import (
    NOT_TRIED,
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
from nurture.delivery.wire import Answer, Doubtful, Unheard, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from nurture.delivery.content.pieces import Piece

PATH = "/v3/mail/send"
LARGEST_REQUEST = 30_000_000
"""Bytes; SendGrid's limit for a whole request."""
LARGEST_SUBSTITUTIONS = 10_000
"""Bytes of all keys and values of one personalization; one above that gets a request of its own."""
MOST_RECIPIENTS = 1000
SIGNS = "~^|"
"""Stand in hardly any mail, so that a key can begin with one that stands nowhere in this one."""
LONGEST_KEY = 11
"""A mark, which is a sign and up to seven letters where every sign is used, and a number of up to three digits."""
LONGEST_SILENCE = 3600.0
"""Seconds that a provider's wish is heeded without asking again; a wrong clock there must not end all sending here."""
HOPELESS = 3
"""So many messages refused alone, and none taken: the fault is probably in what all of them share."""

HTTP_ACCEPTED = 202
OF_ONE = ("http 400", "http 413", "fault")
"""Codes of refusals that may be the fault of one message, or of how many there are: the request is halved."""
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


class SendGrid:
    """Hands mail to the v3 mail/send endpoint. Safe to use from any thread."""

    name = "sendgrid"
    batch_limit = MOST_RECIPIENTS

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
        self._key = key
        self._host, port, secure = _target(url)
        # An own context, not the process-wide default: nobody else's change weakens it.
        own = (context or ssl.create_default_context()) if secure else None
        self._wire = Wire(self._host, port, context=own, timeout=timeout)
        self._timeout = timeout
        self._shut_until = 0.0
        """By the stopwatch: the provider said that nothing more is taken before."""

    def __repr__(self) -> str:
        """Name the host; the key stays out of tracebacks."""
        return f"SendGrid({self._host})"

    def submit(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Post the batch in as few requests as it takes, and split one that was refused for one of its messages.

        No request begins later than twice the timeout: what is left is decided anew, for a consent may end meanwhile.
        """
        until = stopwatch() + 2 * self._timeout
        outcomes: list[Outcome] = [NOT_TRIED] * len(batch)
        sound: list[int] = []
        for number, message in enumerate(batch):
            if fault := fault_of(message):
                outcomes[number] = Rejected(f"fault {fault}")
            else:
                sound.append(number)
        for part in _parts(batch, sound):
            if not _Tries(self, batch, outcomes, until=until).submit(part):
                break
        return outcomes

    def close(self) -> None:
        """End the connections that are kept."""
        self._wire.close()

    def post(self, batch: Sequence[Outgoing]) -> Outcome:
        """Post one request for messages of one content, and give its meaning for all of them."""
        wait = self._shut_until - stopwatch()
        if wait > 0:
            return Refused("rate limit", retry_after=wait)
        with uncollected():
            body = request_bytes(self.sender, batch)
        if len(body) > LARGEST_REQUEST:
            return Rejected("fault size")
        if self._key.encode() in body:
            return Rejected("fault key in content")
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "nurture",
        }
        answer = self._wire.exchange("POST", PATH, headers, body)
        if isinstance(answer, Unheard):
            return Refused(answer.code)
        if isinstance(answer, Doubtful):
            return Unknown(answer.code)
        at = batch[0].at
        if answer.headers.get("X-RateLimit-Remaining", "").strip() == "0":
            self._shut_until = stopwatch() + min(_wish(answer, at) or 0.0, LONGEST_SILENCE)
        return judge(answer, at)


class _Tries:
    """The requests that one part of a batch takes."""

    def __init__(self, provider: SendGrid, batch: Sequence[Outgoing], outcomes: list[Outcome], *, until: float) -> None:
        self.provider, self.batch, self.outcomes, self.until = provider, batch, outcomes, until
        self.taken = False
        self.refused_alone = 0
        self.undivided: list[Sequence[int]] = []

    def submit(self, numbers: Sequence[int]) -> bool:
        """Post these messages, halving a refused request until whoever is the reason stands alone.

        False after trouble that is not a message's own: the rest is not to be tried.
        """
        fine = self._submit(numbers)
        while fine and self.taken and self.undivided:
            fine = self._submit(self.undivided.pop())
        if not fine:
            # Refused together with others, and now nobody will learn which of them was the reason.
            for together in self.undivided:
                self._note(together, NOT_TRIED)
        return fine

    def _submit(self, numbers: Sequence[int]) -> bool:
        if stopwatch() >= self.until:
            self._note(numbers, NOT_TRIED)
            return False
        outcome = self.provider.post([self.batch[number] for number in numbers])
        self.taken |= isinstance(outcome, Accepted)
        may_be_of_one = isinstance(outcome, Rejected) and outcome.code.startswith(OF_ONE)
        if len(numbers) > 1 and may_be_of_one:
            if self.taken or self.refused_alone < HOPELESS:
                # Whoever is not the reason was not refused; trouble with the first half must not condemn the second.
                self._note(numbers, NOT_TRIED)
                middle = len(numbers) // 2
                return self._submit(numbers[:middle]) and self._submit(numbers[middle:])
            # Perhaps the fault is everybody's; if one of the next is taken, it was not.
            self.undivided.append(numbers)
        elif may_be_of_one:
            self.refused_alone += 1
        self._note(numbers, outcome)
        return isinstance(outcome, Accepted | Rejected)

    def _note(self, numbers: Sequence[int], outcome: Outcome) -> None:
        for number in numbers:
            self.outcomes[number] = outcome


def _parts(batch: Sequence[Outgoing], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Cut a batch into what may share a request: one content, at most 1,000, and no address twice."""
    ordered = sorted(numbers, key=lambda n: (id(batch[n].content), n))
    for _, group in groupby(ordered, key=lambda n: id(batch[n].content)):
        part: list[int] = []
        seen: set[str] = set()
        for number in group:
            message = batch[number]
            if _size(message) > LARGEST_SUBSTITUTIONS:
                yield [number]
                continue
            address = message.to_address.lower()
            if address in seen or len(part) == MOST_RECIPIENTS:
                yield part
                part, seen = [], set()
            part.append(number)
            seen.add(address)
        if part:
            yield part


def _size(message: Outgoing) -> int:
    """Bytes of a message's substitutions; characters are counted first, for most are far below the limit."""
    keys = len(message.values) * LONGEST_KEY
    characters = len("".join(message.values))
    if characters * 4 + keys <= LARGEST_SUBSTITUTIONS:
        return characters + keys
    return sum(len(value.encode()) for value in message.values) + keys


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


def request_bytes(sender: Sender, batch: Sequence[Outgoing]) -> bytes:
    """Give the JSON of a request."""
    return orjson.dumps(request_body(sender, batch))


def request_body(sender: Sender, batch: Sequence[Outgoing]) -> dict[str, Any]:
    """Give a request as data. All messages must have content, attempt and category in common.

    A large one stands alone and is written out.
    """
    first = batch[0]
    content = first.content
    if content.holes and len(batch) == 1 and _size(first) > LARGEST_SUBSTITUTIONS:
        content = Content.whole(first.subject, first.html, first.text)
    keys = _keys(sender, batch) if content.holes else []
    body: dict[str, Any] = {
        "personalizations": _personalizations(sender, batch, keys),
        "from": _mailbox(sender.address, sender.name),
        "subject": _keyed(content.subject, keys),
        "content": [
            {"type": "text/plain", "value": _keyed(content.text, keys)},
            {"type": "text/html", "value": _keyed(content.html, keys)},
        ],
        "tracking_settings": TRACKING_OFF,
        # SendGrid adds what stands here to the custom_args of each message.
        "custom_args": {"nurture_attempt": str(first.attempt)},
    }
    if first.category:
        body["categories"] = [first.category[:255]]
    return body


def _keys(sender: Sender, batch: Sequence[Outgoing]) -> list[str]:
    """Name the holes for one request: a mark that stands nowhere else in it, and a number, all of one length."""
    # Why the provider finds a key only where we wrote it, in whatever order and however often it replaces: the first
    # sign of a mark does not come again in its key, so a mark that is found begins a key of ours or holds no part of
    # one. Then it lies in literal text and values side by side, as they also stand in the finished mail, and there no
    # mark stands. And no key begins with another, so where ours stands no other can be read. A replacement leaves a
    # text of the same kind.
    mark, holes = _mark(sender, batch), batch[0].content.holes
    width = len(str(holes - 1))
    return [f"{mark}{number:0{width}}" for number in range(holes)]


def _mark(sender: Sender, batch: Sequence[Outgoing]) -> str:
    """Give a sign that stands nowhere in the request; where all do, one and letters that no finished mail holds."""
    content = batch[0].content
    parts = content.subject, content.html, content.text, *(pieces for _, pieces in content.headers)
    said = [sender.name, sender.address, batch[0].category]
    said += [piece for part in parts for piece in part if isinstance(piece, str)]
    for message in batch:
        said += message.to_address, message.to_name, *message.values
    every = "".join(said)
    mark = next((sign for sign in SIGNS if sign not in every), "")
    if mark:
        return mark
    mark = SIGNS[0]
    while any(mark in text for message in batch for text in _finished(sender, message)):
        mark += secrets.choice(ascii_uppercase)
    return mark


def _finished(sender: Sender, message: Outgoing) -> Iterator[str]:
    """Give each text of a mail as its reader gets it."""
    yield from (message.subject, message.html, message.text, *message.headers.values())
    yield from (sender.name, sender.address, message.category, message.to_address, message.to_name)


def _keyed(pieces: Sequence[Piece], keys: Sequence[str]) -> str:
    return "".join([piece if isinstance(piece, str) else keys[piece] for piece in pieces])


def _personalizations(sender: Sender, batch: Sequence[Outgoing], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Give what differs from reader to reader."""
    headers = batch[0].content.header_forms.items()
    every: list[dict[str, Any]] = []
    for public_id, _, address, name, _, _, values, _ in batch:
        one: dict[str, Any] = {
            "to": [_mailbox(address, name)],
            # Whether those of the request as a whole would be added to these, SendGrid does not say: all stand here.
            "headers": {"Message-ID": message_id(sender, public_id)},
            # Never treated as personal data by SendGrid and never removed there: a random id, no more.
            "custom_args": {"nurture_message_id": public_id},
        }
        for header, write in headers:
            one["headers"][header] = write(values)
        if keys:
            one["substitutions"] = dict(zip(keys, values, strict=True))
        every.append(one)
    return every


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
