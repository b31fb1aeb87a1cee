"""What does an event cost until it is stored, judged and answered for, against merely verifying and parsing it?"""

from __future__ import annotations

import base64
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import insert

from bench._people import AT, make_leads
from nurture.settings import Settings
from nurture.store.tables import message, send_batch, template_version
from nurture.store.workspace import Workspace, open_workspace
from nurture.tracking.ingest import ingest
from nurture.tracking.intake import store_raw
from nurture.tracking.sendgrid_events import verify

if TYPE_CHECKING:
    from collections.abc import Sequence

PER_POST = 100
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0"


def run(*, quick: bool = False) -> dict[str, object]:
    """Give events per second of each way in, and their ratios; one thread, SQLite, CPU time."""
    people = 1_000 if quick else 5_000
    with tempfile.TemporaryDirectory() as folder, open_workspace(Settings(home=Path(folder))) as ws:
        posts = _posts(_messages(ws, people))
        count = len(posts) * PER_POST
        parse = _timed(lambda: _verify_and_parse(_signed(posts)))
        store = _timed(lambda: _store(ws, posts))
        apply = _timed(lambda: _apply(ws))
        _store(ws, [post + b"\n" for post in posts])
        again = _timed(lambda: _apply(ws))
    return {
        "events": count,
        "verify and parse only, events/s": count / parse,
        "stored raw, events/s": count / store,
        "applied, events/s": count / apply,
        "applied again (duplicates), events/s": count / again,
        "whole way / verify and parse": (parse + store + apply) / parse,
    }


def _timed(step: Any) -> float:  # noqa: ANN401  anything that can be called
    started = time.process_time()
    step()
    return time.process_time() - started


def _messages(ws: Workspace, people: int) -> list[str]:
    """Give the public ids of one accepted, tracked mail per lead."""
    with ws.store.write() as conn:
        leads = make_leads(conn, ws.keyring, people)
        template = {"key": "b/b/cold/de", "sha256": "0" * 64, "links": [{"key": "a", "url": "https://x.example/a"}]}
        conn.execute(insert(template_version), [template | {"id": 1, "seen_at": AT}])
        batch = {"kind": "marketing", "state": "accepted", "provider": "outbox", "environment": "b", "count": people}
        times = {"planned_at": AT, "not_before": AT, "not_after": AT + timedelta(days=2)}
        conn.execute(insert(send_batch), [batch | times | {"id": 1, "attempt": 1}])
        common = {"batch_id": 1, "kind": "marketing", "step": "b", "occurrence": 1, "class": "educational"}
        common |= {"language": "de", "template_version_id": 1, "tracked": True, "planned_at": AT}
        rows = [
            common | {"public_id": f"{number:026d}", "subject": subject, "lead_id": lead_id}
            for number, (subject, lead_id) in enumerate(leads.items())
        ]
        conn.execute(insert(message), rows)
    return [str(row["public_id"]) for row in rows]


def _posts(ids: Sequence[str]) -> list[bytes]:
    """Four events of each mail, mixed over the posts as a provider would."""
    events = []
    for public_id in ids:
        common = {
            "email": "somebody@example.org", "sg_event_id": "ev", "sg_message_id": "m.1",
            "nurture_message_id": public_id, "useragent": AGENT, "response": "250 OK", "url": "https://x.example/a",
        }  # fmt: skip
        for seconds, name in ((1, "processed"), (5, "delivered"), (900, "open"), (960, "click")):
            events.append(common | {"event": name, "timestamp": int(AT.timestamp()) + seconds})
    step = max(1, len(events) // PER_POST)
    return [orjson.dumps(events[start::step][:PER_POST]) for start in range(step)]


def _signed(posts: Sequence[bytes]) -> list[tuple[str, str, str, bytes]]:
    key = ec.generate_private_key(ec.SECP256R1())
    public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    stamp = str(int(AT.timestamp()))
    sign = (base64.b64encode(key.sign(stamp.encode() + post, ec.ECDSA(SHA256()))).decode() for post in posts)
    return [(public, signature, stamp, post) for signature, post in zip(sign, posts, strict=True)]


def _verify_and_parse(signed: Sequence[tuple[str, str, str, bytes]]) -> None:
    for public, signature, stamp, post in signed:
        if not verify(public, signature, stamp, post, at=AT):
            raise AssertionError("the benchmark's own signature did not verify")
        orjson.loads(post)


def _store(ws: Workspace, posts: Sequence[bytes]) -> None:
    for post in posts:
        with ws.store.write() as conn:
            store_raw(conn, ws.keyring, source="sendgrid", body=post, at=AT + timedelta(hours=1))


def _apply(ws: Workspace) -> None:
    more = True
    while more:
        with ws.store.write() as conn:
            more = ingest(conn, ws, at=datetime(2026, 11, 23, 9, tzinfo=UTC), limit=500).more
