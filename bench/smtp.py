"""How fast does mail leave by SMTP, decided, recorded and written anew for each, against a socket with finished bytes?

The ceiling is a raw connection to the same sink that pipelines what was prepared before, the better of one and of
four; `smtplib` with finished mails is what most programs do. All take turns.
"""

from __future__ import annotations

import smtplib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from statistics import median
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench._cost import Cost, measured, middle, server_processes, spread
from bench._smtp_sink import sink
from bench._world import World, world
from nurture.clock import VirtualClock
from nurture.delivery.dkim import Signer
from nurture.delivery.mime import encode
from nurture.delivery.provider import Accepted, Outcome, Outgoing, Sender
from nurture.delivery.sending import send_many
from nurture.delivery.smtp import Smtp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUICK, FULL = 400, 2_000
LANES = 4
QUICK_SECONDS = 8.0
SENDER = Sender("post@firma.example", "Firma")
Mails = list[tuple[str, bytes]]


@dataclass
class _Kept:
    """Takes mails, to have them later as finished bytes."""

    name: str = "smtp"
    batch_limit: int = Smtp.batch_limit
    outgoing: list[Outgoing] = field(default_factory=list)

    def submit(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        self.outgoing += batch
        return [Accepted("kept")] * len(batch)


def figures(database: str, *, quick: bool, progress: Callable[[str], None]) -> dict[str, float | None]:
    """Give the ratio of the send stage to the ceiling, and beside it rates and CPU of each way."""
    leads, turns = (QUICK, 3) if quick else (FULL, 5)
    with world(database, leads, batch=Smtp.batch_limit, progress=progress) as made, sink() as (port, pid):
        kept = _Kept()
        made.next_week(leads)
        made.plan()
        _send(made, kept)
        mails = [(message.to_address, encode(SENDER, message)) for message in kept.outgoing]
        provider = Smtp(SENDER, host="127.0.0.1", port=port, security="none")
        ways: dict[str, Callable[[], int]] = {
            "raw 1": lambda: _raw(port, mails, 1),
            "raw 4": lambda: _raw(port, mails, LANES),
            "smtplib": lambda: _smtplib(port, mails),
            "tell": lambda: _tell(provider, kept.outgoing),
            "send": lambda: _send(made, provider),
        }
        costs = _turns(made, ways, leads, turns, pid, quick=quick, progress=progress)
        provider.close()
        return _ratios(costs) | _writing(kept.outgoing[: leads // 4], mails)


def _turns(
    made: World, ways: dict[str, Callable[[], int]], leads: int, turns: int, sink_pid: int, *, quick: bool,
    progress: Callable[[str], None],
) -> dict[str, list[Cost]]:  # fmt: skip
    """Let the ways take turns; the first turn only warms up."""
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    server, began = server_processes(made.ws.store), time.monotonic()
    for turn in range(turns + 1):
        if quick and turn > 1 and time.monotonic() - began > QUICK_SECONDS:
            break
        progress(f"turn {turn} of {turns}" if turn else "warming up")
        made.next_week(leads)
        made.plan()
        names = list(ways)
        # Whoever comes first finds another machine than whoever comes last.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            with measured(server=server, sink=sink_pid) as cost:
                cost.count = ways[name]()
            if turn:
                costs[name].append(cost)
    return costs


def _ratios(costs: dict[str, list[Cost]]) -> dict[str, float | None]:
    middles = {name: middle(some) for name, some in costs.items()}
    best = max(("raw 1", "raw 4"), key=lambda name: middles[name].rate)
    ceiling, send = middles[best], middles["send"]
    found: dict[str, float | None] = {
        "smtp_vs_ceiling": send.rate / ceiling.rate,
        "smtp_vs_ceiling_ceiling_spread": spread([one.wall for one in costs[best]]),
        "smtp_vs_ceiling_cpu_ratio": ceiling.cpu_us / send.cpu_us,
        "smtp_tell_vs_ceiling_ratio": middles["tell"].rate / ceiling.rate,
        "smtp_vs_smtplib_ratio": send.rate / middles["smtplib"].rate,
        "smtp_ceiling_in_flight": float(best.split()[1]),
    }
    for name, cost in middles.items():
        key = f"smtp_{name.replace(' ', '_')}"
        found |= {
            f"{key}_per_second": cost.rate,
            f"{key}_spread": spread([one.wall for one in costs[name]]),
            f"{key}_cpu_us_per_message": cost.cpu_us,
            f"{key}_sink_cpu_us_per_message": None if cost.sink is None else cost.sink / cost.count * 1e6,
        }
    return found


def _send(made: World, provider: Smtp | _Kept) -> int:
    """Send all that is planned as the flow does."""
    done, _ = send_many(
        made.ws, made.library, provider, kind="marketing", owner="bench", clock=VirtualClock(made.at), lanes=LANES,
        most=1_000_000,
    )  # fmt: skip
    if done.accepted != made.sendable():
        raise AssertionError(f"sent {done.accepted}, and {made.sendable()} may be sent")
    return done.accepted


def _writing(outgoing: Sequence[Outgoing], mails: Mails) -> dict[str, float | None]:
    """Give the cost of writing a mail, and of signing it by Ed25519, against `EmailMessage`, which most use."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    sign = Signer(domain=SENDER.domain, selector="bench", key=key)
    ways: dict[str, Callable[[Outgoing], object]] = {
        "encode": lambda message: encode(SENDER, message),
        "encode_and_sign": lambda message: encode(SENDER, message, sign),
        "standard": _standard,
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
        "smtp_bytes_per_message": sum(len(mail) for _, mail in mails) / len(mails),
        **{f"mime_{name}_us_per_message": value for name, value in spent.items()},
        "mime_vs_standard_ratio": spent["standard"] / spent["encode"],
    }


def _standard(message: Outgoing) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = SENDER.address, message.to_address, message.subject
    for name, value in message.headers.items():
        mail[name] = value
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail.as_bytes()


def _tell(provider: Smtp, outgoing: Sequence[Outgoing]) -> int:
    """Write and tell mails that were decided before, over as many lines."""
    parts = [outgoing[start : start + Smtp.batch_limit] for start in range(0, len(outgoing), Smtp.batch_limit)]
    with ThreadPoolExecutor(LANES) as pool:
        outcomes = [one for part in pool.map(provider.submit, parts) for one in part]
    if not all(isinstance(one, Accepted) for one in outcomes):
        raise AssertionError("not all were taken")
    return len(outcomes)


def _raw(port: int, mails: Mails, connections: int) -> int:
    parts = [mails[number::connections] for number in range(connections)]
    prepared = [_prepared(part) for part in parts]
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(lambda words: _converse(port, words), prepared))
    return len(mails)


def _prepared(mails: Mails) -> list[bytes]:
    """Give what is written in each round trip: a mail with its dot, and what announces the next."""
    opening = "MAIL FROM:<post@firma.example>\r\nRCPT TO:<{}>\r\nDATA\r\n"
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


def _smtplib(port: int, mails: Mails) -> int:
    with smtplib.SMTP("127.0.0.1", port) as server:
        for address, mail in mails:
            server.sendmail("post@firma.example", [address], mail)
    return len(mails)
