"""What does a recorded click cost against a bare redirect of the same server? Real HTTP, a server process each."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import insert

from bench import _load
from bench._databases import fresh, stores
from bench._people import make_leads
from bench._serving import TARGET, Server, address_of, ratio
from consent import tokens
from consent.keys import Keyring
from nurture.clock import SystemClock
from nurture.store.tables import message, send_batch, template_version
from nurture.tracking import intake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nurture.store.engine import Store

CONNECTIONS = 256
"""As many readers at once. Each waits for the commit that holds their click, so few of them would measure the disk."""
ROUNDS = 5
NAMES = {
    "spread of the ceiling": "redirect_vs_bare_ceiling_spread",
    "the same by the server's CPU": "redirect_vs_bare_cpu_ratio",
    "vs a redirect without our headers and log": "redirect_vs_naked_ratio",
    **{f"{what}, redirects/s": f"redirect_{what}_per_second" for what in ("naked", "bare", "edge")},
    **{f"{what}, CPU us": f"redirect_{what}_cpu_us_per_redirect" for what in ("naked", "bare", "edge")},
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"


def run(*, quick: bool = False) -> dict[str, object]:
    """Give redirects per second with and without our work, and their ratio in each round; both databases."""
    clicks = 1_000 if quick else 4_000
    figures: dict[str, object] = {"clicks of a round": clicks, "connections": CONNECTIONS}
    with tempfile.TemporaryDirectory() as folder, stores() as made:
        for name, store in made.items():
            home = Path(folder) / name
            home.mkdir()
            figures |= {f"{name}: {what}": value for what, value in _measure(store, home, clicks).items()}
    return figures


def figures(database: str, *, quick: bool, progress: Callable[[str], None]) -> dict[str, float | None]:
    """Give the same for one database, under the names that the report knows."""
    progress("clicks in turn to each server")
    with tempfile.TemporaryDirectory() as folder, fresh(database) as store:
        # Fewer clicks than a few for each connection would measure how long one commit takes.
        found = _measure(store, Path(folder), 1_000 if quick else 4_000, rounds=3 if quick else ROUNDS)
    return {NAMES.get(what, what): value for what, value in found.items()}


def _measure(store: Store, home: Path, clicks: int, *, rounds: int = ROUNDS) -> dict[str, float]:
    """Let both servers redirect in turn; every click is of another mail, so no mail is known from before."""
    keyring = Keyring.load_or_create(home / "keys.json")
    mails = send_mails(store, keyring, clicks)
    paths = [f"/c/{tokens.issue(keyring, 'click', each)}/0" for each in mails]
    how = {"home": str(home), "database": address_of(store)}
    servers = {what: Server.start(what, **how) for what in ("naked", "bare", "edge")}
    spent: dict[str, list[float]] = {what: [] for what in servers}
    cpu: dict[str, list[float]] = {what: [] for what in servers}
    requests = [_get(path) for path in paths]
    try:
        for turn in range(rounds + 1):
            for what, server in servers.items():
                before = server.cpu()
                load = _load.send(server.port, requests, connections=CONNECTIONS)
                if load.statuses != {"302": clicks}:
                    raise AssertionError(f"not every click was led on: {load.statuses}")
                if turn:  # the first round warms up
                    spent[what].append(load.seconds)
                    cpu[what].append(server.cpu() - before)
    finally:
        for server in servers.values():
            server.stop()
    with store.read() as conn:
        recorded = sum(len(orjson.loads(keyring.open(sealed, aad=aad))) for sealed, aad in intake.kept(conn))
    if recorded != clicks * (rounds + 1):
        raise AssertionError(f"{clicks * (rounds + 1)} clicks were led on, {recorded} recorded")
    return {
        "redirect_vs_bare": ratio(spent["bare"], spent["edge"]),
        "spread of the ceiling": max(spent["bare"]) / min(spent["bare"]),
        "the same by the server's CPU": ratio(cpu["bare"], cpu["edge"]),
        "vs a redirect without our headers and log": ratio(spent["naked"], spent["edge"]),
        **{f"{what}, redirects/s": clicks / median(spent[what]) for what in servers},
        **{f"{what}, CPU us": median(cpu[what]) / clicks * 1e6 for what in servers},
    }


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: edge.test\r\nUser-Agent: {AGENT}\r\nAccept: */*\r\n\r\n".encode()


def send_mails(store: Store, keyring: Keyring, count: int) -> Sequence[str]:
    """Make leads who agreed to be measured, with one accepted, tracked mail each; gives the mails' public ids."""
    at = SystemClock().now() - timedelta(days=1)
    with store.write() as conn:
        leads = make_leads(conn, keyring, count, at=at - timedelta(days=1))
        template = {"key": "b/b/cold/de", "sha256": "0" * 64, "links": [{"key": "a", "url": TARGET}], "seen_at": at}
        conn.execute(insert(template_version), [template | {"id": 1}])
        batch = {"kind": "marketing", "state": "accepted", "provider": "outbox", "environment": "b", "count": count}
        times = {"planned_at": at, "not_before": at, "not_after": at + timedelta(days=2)}
        conn.execute(insert(send_batch), [batch | times | {"id": 1, "attempt": 1}])
        common = {"batch_id": 1, "kind": "marketing", "step": "b", "occurrence": 1, "class": "educational"}
        common |= {"language": "de", "template_version_id": 1, "tracked": True, "planned_at": at}
        common |= {"purpose": "newsletter.product"}
        rows = [
            common | {"public_id": tokens.random_id(), "subject": subject, "lead_id": lead_id}
            for subject, lead_id in leads.items()
        ]
        conn.execute(insert(message), rows)
    return [str(row["public_id"]) for row in rows]
