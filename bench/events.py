"""What does an event cost until it is safe, against HTTP, signature and parsing alone? Real HTTP, a process each.

A post counts as answered when its bytes, and every withdrawal in them, are committed. Applying the rest is the flow's
work: measured here too, and every event is counted afterwards.
"""

from __future__ import annotations

import base64
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import func, select

from bench import _load
from bench._databases import fresh, stores
from bench._serving import Server, address_of, ratio
from bench.redirect import send_mails
from consent.keys import Keyring
from consent.schema import ledger_entry
from nurture.clock import SystemClock
from nurture.settings import Settings
from nurture.store.tables import event
from nurture.store.workspace import Workspace
from nurture.tracking.ingest import ingest
from nurture.web.hooks import SIGNATURE, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nurture.store.engine import Store

PER_POST = 100
CONNECTIONS = 32
ROUNDS = 5
NAMES = {
    "spread of the ceiling": "events_vs_ceiling_ceiling_spread",
    "the same by the server's CPU": "events_vs_ceiling_cpu_ratio",
    "verified and parsed, events/s": "events_parsed_per_second",
    "committed before the 2xx, events/s": "events_committed_per_second",
    "applied by the flow, events/s": "events_applied_per_second",
    "CPU of the server, parsing only, us/event": "events_parsed_cpu_us_per_event",
    "CPU of the server, committed, us/event": "events_committed_cpu_us_per_event",
}
REPEATED = 0.1
"""Part of the events that come twice, under another sg_event_id, as redeliveries do."""
COMPLAINING = 1_000
"""One mail in so many is reported as spam: more, and sending would have stopped by itself."""
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0"
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@dataclass(frozen=True)
class _Posts:
    """What is sent in one round."""

    requests: list[bytes]
    sent: int
    events: int
    """Without what comes twice."""
    leaving: int


def run(*, quick: bool = False) -> dict[str, object]:
    """Give events per second with and without keeping them, and their ratio in each round; both databases."""
    mails = 2_000 if quick else 5_000
    figures: dict[str, object] = {"mails of a round": mails, "events of a post": PER_POST, "connections": CONNECTIONS}
    with tempfile.TemporaryDirectory() as folder, stores() as made:
        for name, store in made.items():
            home = Path(folder) / name
            home.mkdir()
            figures |= {f"{name}: {what}": value for what, value in _measure(store, home, mails).items()}
    return figures


def figures(database: str, *, quick: bool, progress: Callable[[str], None]) -> dict[str, float | None]:
    """Give the same for one database, under the names that the report knows."""
    progress("posts in turn to each server")
    with tempfile.TemporaryDirectory() as folder, fresh(database) as store:
        # Fewer posts than connections would measure how long one commit takes, not how many events pass.
        found = _measure(store, Path(folder), 1_200 if quick else 5_000, rounds=3 if quick else ROUNDS)
    return {NAMES.get(what, what): value for what, value in found.items()}


def _measure(store: Store, home: Path, mails: int, *, rounds: int = ROUNDS) -> dict[str, float]:
    """Let both servers take the same posts in turn, every round about other mails; then apply and count."""
    keyring = Keyring.load_or_create(home / "keys.json")
    ids = list(send_mails(store, keyring, mails * (rounds + 1)))
    ws = Workspace(Settings(home=home), store, keyring)
    how = {"home": str(home), "database": address_of(store), "key": PUBLIC}
    servers = {what: Server.start(what, **how) for what in ("parsing", "edge")}
    spent: dict[str, list[float]] = {what: [] for what in servers}
    cpu: dict[str, list[float]] = {what: [] for what in servers}
    applying: list[float] = []
    sent = 0
    try:
        for turn in range(rounds + 1):
            posts = _posts(ids[turn * mails : (turn + 1) * mails], turn)
            before = _count(store)
            for what, server in servers.items():
                used = server.cpu()
                load = _load.send(server.port, posts.requests, connections=CONNECTIONS)
                if load.statuses != {"200": len(posts.requests)}:
                    raise AssertionError(f"not every post was taken: {load.statuses}")
                if turn:  # the first round warms up
                    spent[what].append(load.seconds)
                    cpu[what].append(server.cpu() - used)
            left = _count(store)[1] - before[1]
            started = time.perf_counter()
            _apply(ws)
            applying.append(time.perf_counter() - started)
            kept = _count(store)[0] - before[0]
            if (kept, left) != (posts.events, posts.leaving):
                raise AssertionError(f"{posts.events} events and {posts.leaving} people left; found {kept} and {left}")
            sent = posts.sent
    finally:
        for server in servers.values():
            server.stop()
    return {
        "events_vs_ceiling": ratio(spent["parsing"], spent["edge"]),
        "spread of the ceiling": max(spent["parsing"]) / min(spent["parsing"]),
        "the same by the server's CPU": ratio(cpu["parsing"], cpu["edge"]),
        "verified and parsed, events/s": sent / median(spent["parsing"]),
        "committed before the 2xx, events/s": sent / median(spent["edge"]),
        "applied by the flow, events/s": sent / median(applying),
        "CPU of the server, parsing only, us/event": median(cpu["parsing"]) / sent * 1e6,
        "CPU of the server, committed, us/event": median(cpu["edge"]) / sent * 1e6,
    }


def _count(store: Store) -> tuple[int, int]:
    """How many events are kept, and how many people left?"""
    with store.read() as conn:
        events = conn.execute(select(func.count()).select_from(event)).scalar_one()
        left = conn.execute(select(func.count()).where(ledger_entry.c.type == "consent.withdrawn")).scalar_one()
    return events, left


def _apply(ws: Workspace) -> None:
    more = True
    while more:
        with ws.store.write() as conn:
            more = ingest(conn, ws, at=SystemClock().now(), limit=500).more


def _posts(ids: Sequence[str], turn: int) -> _Posts:
    """Four events of each mail, out of order, with repeats, as signed requests."""
    dice = random.Random(turn)  # noqa: S311  a fixed course
    sent_at = int(SystemClock().now().timestamp()) - 7_200
    events: list[dict[str, Any]] = []
    leaving = 0
    for number, public_id in enumerate(ids):
        common = {
            "email": "somebody@example.org", "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>", "ip": "203.0.113.9",
            "sg_message_id": "m.1", "nurture_message_id": public_id, "useragent": AGENT, "response": "250 OK",
            "url": "https://x.example/a",
        }  # fmt: skip
        names = [(1, "processed"), (5, "delivered")]
        if number % COMPLAINING == 0:
            # What they did before is not kept any more: measuring ends with the rest.
            names.append((1_000, "spamreport"))
            leaving += 1
        else:
            names += [(900, "open"), (960, "click")]
        events += [common | {"event": name, "timestamp": sent_at + seconds} for seconds, name in names]
    told = events + dice.sample(events, int(len(events) * REPEATED))
    told = [each | {"sg_event_id": f"{dice.getrandbits(128):032x}"} for each in told]
    dice.shuffle(told)
    bodies = [orjson.dumps(told[start : start + PER_POST]) for start in range(0, len(told), PER_POST)]
    return _Posts([_signed(body) for body in bodies], len(told), len(events), leaving)


def _signed(body: bytes) -> bytes:
    stamp = str(int(SystemClock().now().timestamp()))
    signature = base64.b64encode(KEY.sign(stamp.encode() + body, ec.ECDSA(SHA256()))).decode()
    head = [
        "POST /hooks/sendgrid HTTP/1.1", "Host: edge.test", "User-Agent: SendGrid Event API",
        "Content-Type: application/json", f"Content-Length: {len(body)}",
        f"{SIGNATURE}: {signature}", f"{TIMESTAMP}: {stamp}",
    ]  # fmt: skip
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
