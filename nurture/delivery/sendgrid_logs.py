"""Did SendGrid take it? Asks its Email Logs, for mails whose fate no event has told.

A search by address and time, then one look at each hit: our message id stands among its custom arguments. That
is proof; that nothing is found proves nothing, since nobody says how soon a mail appears there. Off unless the
setting `sendgrid_logs` is on: the address goes to SendGrid once more, as a search.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from sqlalchemy import case, func, select

from consent import identity
from nurture.delivery.errors import DeliveryError
from nurture.delivery.facts import DOUBTS, PROVEN
from nurture.delivery.provider import is_loopback
from nurture.delivery.wire import Answer, Wire
from nurture.store import marks
from nurture.store.tables import message, message_exception, send_batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from consent.identity import Person
    from consent.sealing import SealError
    from nurture.store.workspace import Workspace

SEARCH = "/v3/logs"
HITS = 10
"""Mails looked at for one address; within so short a time nobody gets more from us."""
MOST = 200
"""Mails asked for in one round; the next round goes on behind them."""
PAUSE = 1.0
"""Seconds between two requests. SendGrid states no limit for this interface; the older one takes 6 in a minute."""
SETTLES = timedelta(minutes=15)
"""A younger doubt is left to the events."""
EARLY = timedelta(minutes=5)
"""How far the clocks of both sides may differ."""
CURSOR = "sendgrid logs asked up to"
ASKABLE = re.compile(r"[A-Za-z0-9.!#$%&*+/=?^_`{|}~@-]{3,254}")
"""An address that cannot end the quoted text it stands in; the query language states no way to escape."""


@dataclass(frozen=True)
class Doubtful:
    """A message to ask for; `since` and `until` (UTC) bound when it can have been accepted."""

    id: int
    public_id: str
    address: str = field(repr=False)
    since: datetime
    until: datetime


class SendGridLogs:
    """Reads the Email Logs of one account. Safe to use from any thread."""

    def __init__(
        self, *, key: str, url: str, timeout: float = 10.0, context: ssl.SSLContext | None = None, pause: float = PAUSE
    ) -> None:
        """Touch no network yet. `timeout` and `pause` in seconds. Raises DeliveryError for an address without TLS."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        if not host or not (secure or is_loopback(host)):
            raise DeliveryError("sendgrid_url must begin with https://")
        self._key, self._pause = key, pause
        own = (context or ssl.create_default_context()) if secure else None
        self._wire = Wire(host, parts.port or (443 if secure else 80), context=own, timeout=timeout)

    def __repr__(self) -> str:
        """Say what it is; the key stays out of tracebacks."""
        return "SendGridLogs()"

    def close(self) -> None:
        """End the connections that are kept."""
        self._wire.close()

    def proofs(self, wanted: Sequence[Doubtful]) -> tuple[set[str], int]:
        """Which of these were accepted, and how many were asked for? Ends at the first trouble."""
        shown: set[str] = set()
        for number, one in enumerate(wanted):
            found = self._look_for(one)
            if found is None:
                return shown, number
            shown |= found
        return shown, len(wanted)

    def _look_for(self, one: Doubtful) -> set[str] | None:
        """Give our ids among the hits for one message; None when the interface gives no answer."""
        if not ASKABLE.fullmatch(one.address):
            return set()
        hits = self._ask("POST", SEARCH, json.dumps({"query": query(one), "limit": HITS}).encode())
        if hits is None:
            return None
        shown: set[str] = set()
        for hit in _listed(hits, "messages")[:HITS]:
            their_id = hit.get("sg_message_id")
            if not isinstance(their_id, str) or not their_id:
                continue
            details = self._ask("GET", f"{SEARCH}/{quote(their_id, safe='')}", b"")
            if details is None:
                return None
            ours = details.get("custom_args")
            if isinstance(ours, dict) and ours.get("nurture_message_id") == one.public_id:
                return {one.public_id}
        return shown

    def _ask(self, method: str, path: str, body: bytes) -> dict[str, Any] | None:
        """Make one request; an empty answer for one that tells nothing, None when it makes no sense to go on."""
        threading.Event().wait(self._pause)
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "nurture",
        }
        answer = self._wire.exchange(method, path, headers, body)
        if not isinstance(answer, Answer) or answer.status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            return None
        try:
            read = json.loads(answer.body)
        except (ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) and answer.status == HTTPStatus.OK else {}


def query(one: Doubtful) -> str:
    """Write the search for one message in the interface's query language."""
    since, until = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (one.since - EARLY, one.until + EARLY))
    return (
        f"to_email = '{one.address}' AND sg_message_id_created_at >= TIMESTAMP \"{since}\" "
        f'AND sg_message_id_created_at <= TIMESTAMP "{until}"'
    )


def _listed(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = answer.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def ask(ws: Workspace, logs: SendGridLogs, *, at: datetime, most: int = MOST) -> set[str]:
    """Ask for the doubtful messages that no event has proven, at most `most`, and give the public ids of those taken.

    No transaction is open while the network is asked. The next round begins behind the last message asked for.
    """
    wanted = doubtful(ws, at=at, most=most)
    shown, asked = logs.proofs(wanted)
    with ws.store.write() as conn:
        # At the end of the list the next round begins anew.
        done = wanted[asked - 1].id if asked and (asked < len(wanted) or len(wanted) == most) else 0
        marks.set_mark(conn, CURSOR, done)
    return shown


def doubtful(ws: Workspace, *, at: datetime, most: int) -> list[Doubtful]:
    """Give the messages to ask for, in the order of their ids, from where the last round ended."""
    state = func.coalesce(message_exception.c.state, send_batch.c.state)
    # A batch that goes again waits until later than its first try; who left it then was handed over before.
    since = case((message_exception.c.message_id.is_(None), send_batch.c.not_before), else_=send_batch.c.planned_at)
    query_ = (
        select(message.c.id, message.c.public_id, message.c.subject, since.label("since"))
        .join(send_batch, send_batch.c.id == message.c.batch_id)
        .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
        .where(
            state.in_(DOUBTS),
            ~PROVEN,
            send_batch.c.provider == "sendgrid",
            since <= at - SETTLES,
        )
        .order_by(message.c.id)
        .limit(most)
    )
    with ws.store.read() as conn:
        rows = conn.execute(query_.where(message.c.id > marks.mark(conn, CURSOR))).all()
        people = identity.reveal_each(conn, ws.keyring, [row.subject for row in rows])
    return [Doubtful(row.id, row.public_id, _address(people.get(row.subject)), row.since, at) for row in rows]


def _address(person: Person | SealError | None) -> str:
    """Give the address to ask for; empty where there is none any more: such a message is passed over, and counts."""
    return person.address if isinstance(person, identity.Person) else ""
