"""How fast does mail leave by SMTP, decided, recorded and written anew for each, against a socket with finished bytes?

The ceiling is a raw connection to the same sink that pipelines what was prepared before, the better of one and of
four; `smtplib` with finished mails is what most programs do. All by turns, medians.
"""

from __future__ import annotations

import smtplib
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import insert

from bench._databases import stores
from bench._people import AT, make_leads
from bench._smtp_sink import sink
from consent.keys import Keyring
from nurture.delivery import queue
from nurture.delivery.content.library import Library, MailKey
from nurture.delivery.dkim import Signer
from nurture.delivery.mime import encode
from nurture.delivery.provider import Accepted, Outcome, Outgoing, Sender
from nurture.delivery.sending import send_many
from nurture.delivery.smtp import Smtp
from nurture.settings import Settings
from nurture.store.tables import enrolment, sequence_version
from nurture.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from nurture.store.engine import Store

LANES = 4
SENDER = Sender("post@musterwerk.example", "Musterwerk")
MAIL = MailKey("welcome", "hello", "warm", "de")


@dataclass
class _Still:
    """A clock that stands."""

    at: datetime = AT

    def now(self) -> datetime:
        return self.at


@dataclass
class _Kept:
    """Takes mails, to have them later as finished bytes."""

    name: str = "smtp"
    batch_limit: int = Smtp.batch_limit
    outgoing: list[Outgoing] = field(default_factory=list)

    def submit(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        self.outgoing += batch
        return [Accepted("kept")] * len(batch)


def run(*, quick: bool = False) -> dict[str, object]:
    """Give mails per second of each way and the ratios that performance.md names."""
    rounds, count = (3, 400) if quick else (7, 2_000)
    figures: dict[str, object] = {"mails a round": count}
    with stores() as opened, sink() as port, tempfile.TemporaryDirectory() as folder:
        for name, store in opened.items():
            print(f"bench: smtp on {name} ...", file=sys.stderr, flush=True)
            ws = _workspace(Path(folder) / name, store)
            figures |= {f"{name}: {what}": value for what, value in _compare(ws, port, rounds, count).items()}
    return figures


def _compare(ws: Workspace, port: int, rounds: int, count: int) -> dict[str, object]:
    library = Library.load(ws.settings.templates)
    with ws.store.write() as conn:
        _plan(conn, ws, library, (rounds + 1) * count)
    kept = _Kept()
    _send(ws, library, kept, count)
    provider = Smtp(SENDER, host="127.0.0.1", port=port, security="none")
    mails = [(message.to_address, encode(SENDER, message)) for message in kept.outgoing]
    ways: dict[str, Callable[[], object]] = {
        "raw, 1 connection": lambda: _raw(port, mails, 1),
        "raw, 4 connections": lambda: _raw(port, mails, LANES),
        "smtplib": lambda: _smtplib(port, mails),
        "ours": lambda: _send(ws, library, provider, count),
        "ours, told only": lambda: _tell(provider, kept.outgoing),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    provider.close()
    rate = {name: count / median(wall for wall, _ in times) for name, times in spent.items()}
    best = max(rate["raw, 1 connection"], rate["raw, 4 connections"])
    burnt = {name: median(cpu for _, cpu in times) / count * 1e6 for name, times in spent.items()}
    return {
        **_writing(kept.outgoing[: count // 4], mails),
        **{f"{name}, mails/s": value for name, value in rate.items()},
        **{f"{name}, CPU us a mail": value for name, value in burnt.items()},
        "smtp_vs_ceiling": rate["ours"] / best,
        "telling vs ceiling": rate["ours, told only"] / best,
        "smtp vs smtplib": rate["ours"] / rate["smtplib"],
        "spread of the ceiling": _spread([wall for wall, _ in spent["raw, 1 connection"]]),
    }


def _writing(outgoing: Sequence[Outgoing], mails: Sequence[tuple[str, bytes]]) -> dict[str, object]:
    """Give the cost of writing a mail, alone and signed, against `EmailMessage`, which most programs use."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    sign = Signer(domain=SENDER.domain, selector="bench", key=key)
    ways: dict[str, Callable[[Outgoing], object]] = {
        "encode": lambda message: encode(SENDER, message),
        "encode and sign (Ed25519)": lambda message: encode(SENDER, message, sign),
        "EmailMessage": _standard,
    }
    spent: dict[str, float] = {}
    for name, way in ways.items():
        times = []
        for _ in range(3):
            started = time.process_time()
            for message in outgoing:
                way(message)
            times.append(time.process_time() - started)
        spent[name] = median(times) / len(outgoing) * 1e6
    return {
        "bytes a mail": sum(len(mail) for _, mail in mails) // len(mails),
        **{f"{name}, CPU us a mail": value for name, value in spent.items()},
        "EmailMessage / encode": spent["EmailMessage"] / spent["encode"],
    }


def _standard(message: Outgoing) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = SENDER.address, message.to_address, message.subject
    for name, value in message.headers.items():
        mail[name] = value
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail.as_bytes()


def _spread(times: Sequence[float]) -> float:
    return max(times) / min(times)


def _workspace(home: Path, store: Store) -> Workspace:
    home.mkdir()
    keyring = Keyring.load_or_create(home / "keys.json")
    return Workspace(Settings(home=home), store, keyring)


def _plan(conn: Connection, ws: Workspace, library: Library, count: int) -> None:
    """Plan one mail for each of so many leads who agreed to it and to tracking."""
    leads = make_leads(conn, ws.keyring, count)
    version = {"name": "welcome", "version": 1, "sha256": "b" * 64, "definition": {}, "applied_at": AT}
    number = conn.execute(insert(sequence_version).returning(sequence_version.c.id), version).scalar_one()
    place = {"sequence": "welcome", "sequence_version_id": number, "state": "active", "step": "hello"}
    place |= {"occurrence": 1, "due_at": AT, "entered_at": AT}
    ids = range(1, count + 1)
    conn.execute(
        insert(enrolment), [{"id": n, "lead_id": lead, **place} for n, lead in zip(ids, leads.values(), strict=True)]
    )
    mail = library.mail(MAIL)
    planned = [
        queue.PlannedMessage(
            subject=subject, lead_id=lead, enrolment_id=n, sequence="welcome", step="hello", occurrence=1,
            purpose="newsletter.product", message_class="educational", temperature="warm", language="de", mail=mail,
            tracked=True,
        )
        for n, (subject, lead) in zip(ids, leads.items(), strict=True)
    ]  # fmt: skip
    queue.queue(
        conn, planned, provider_name="smtp", batch_limit=Smtp.batch_limit, environment=queue.environment(conn),
        not_before=AT, not_after=AT + timedelta(days=2), at=AT,
    )  # fmt: skip


def _send(ws: Workspace, library: Library, provider: Smtp | _Kept, count: int) -> None:
    counts, _ = send_many(
        ws, library, provider, kind="marketing", owner="bench", clock=_Still(), lanes=LANES,
        most=count // Smtp.batch_limit,
    )  # fmt: skip
    if counts.accepted != count:
        raise AssertionError(f"{counts} of {count}")


def _tell(provider: Smtp, outgoing: Sequence[Outgoing]) -> None:
    """Write and tell mails that were decided before, over as many lines."""
    parts = [outgoing[start : start + Smtp.batch_limit] for start in range(0, len(outgoing), Smtp.batch_limit)]
    with ThreadPoolExecutor(LANES) as pool:
        outcomes = [one for part in pool.map(provider.submit, parts) for one in part]
    if not all(isinstance(one, Accepted) for one in outcomes):
        raise AssertionError("not all were taken")


def _raw(port: int, mails: Sequence[tuple[str, bytes]], connections: int) -> None:
    parts = [mails[number::connections] for number in range(connections)]
    prepared = [_prepared(part) for part in parts]
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(lambda words: _converse(port, words), prepared))


def _prepared(mails: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """Give what is written in each round trip: a mail with its dot, and what announces the next."""
    opening = "MAIL FROM:<post@musterwerk.example>\r\nRCPT TO:<{}>\r\nDATA\r\n"
    openings = [opening.format(address).encode() for address, _ in mails]
    dotted = [mail.replace(b"\r\n.", b"\r\n..") + b".\r\n" for _, mail in mails]
    return [openings[0], *map(bytes.__add__, dotted, [*openings[1:], b""])]


def _converse(port: int, words: Sequence[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.recv(1000)
        wire.sendall(b"EHLO bench\r\n")
        wire.recv(1000)
        for number, said in enumerate(words):
            wire.sendall(said)
            due = 1 if number == len(words) - 1 else 3 if number == 0 else 4
            while due > 0:
                due -= wire.recv(65536).count(b"\n")


def _smtplib(port: int, mails: Sequence[tuple[str, bytes]]) -> None:
    with smtplib.SMTP("127.0.0.1", port) as server:
        for address, mail in mails:
            server.sendmail("post@musterwerk.example", [address], mail)
