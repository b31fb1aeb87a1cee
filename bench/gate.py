"""What does it cost per mail that the gate writes its answers into the ledger, against the same intent without?"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from bench._databases import stores
from bench._people import AT, make_leads
from consent import gate
from consent.keys import Keyring
from consent.schema import ledger_entry
from nurture.delivery import claiming, intent, queue
from nurture.delivery.composing import Composed, Letter
from nurture.delivery.content.pieces import Content
from nurture.delivery.provider import Outgoing
from nurture.settings import Settings
from nurture.store.tables import enrolment, message, sequence_version
from nurture.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

BATCH = 500


@dataclass(frozen=True)
class _Mail:
    key: str = "bench/hello/cold/de"
    sha256: str = "0" * 64
    links: tuple[Any, ...] = ()


@dataclass
class _Bare:
    """The gate's questions and a permit for each yes, without a row in the ledger."""

    spent: list[float] = field(default_factory=list)

    def authorise(self, conn: Connection, asks: Sequence[gate.Ask], *, at: Any) -> list[gate.Permit | gate.Refusal]:  # noqa: ANN401
        """Answer as the gate does, and forget it."""
        one = asks[0]
        about: dict[str, Any] = {"purpose": one.purpose, "controller": one.controller}
        found = gate.check(conn, [ask.subject for ask in asks], at=at, exception=one.exception, **about)
        tracked = gate.tracking(conn, [ask.subject for ask in asks], controller=one.controller)
        return [
            gate.Permit(
                ask.subject, ask.purpose, ask.controller, int(found[ask.subject]), ask.message_id, 0,
                ask.subject in tracked, at + gate.LEASE,
            )
            for ask in asks
        ]  # fmt: skip


HELLO = Content.whole("Hallo", "<p>Hallo</p>", "Hallo")


def run(*, quick: bool = False) -> dict[str, object]:
    """Give the intent's cost per mail with and without ledger rows, batches in turn; both databases."""
    rounds = 6 if quick else 40
    figures: dict[str, object] = {"batch": BATCH, "batches of each kind": rounds}
    with tempfile.TemporaryDirectory() as folder, stores() as made:
        for name, store in made.items():
            home = Path(folder) / name
            home.mkdir()
            ws = Workspace(Settings(home=home), store, Keyring.load_or_create(home / "keys.json"))
            figures |= {f"{name}: {what}": value for what, value in _measure(ws, rounds).items()}
    return figures


def _measure(ws: Workspace, rounds: int) -> dict[str, object]:
    _plan(ws, 2 * rounds * BATCH)
    with ws.store.read() as conn:
        before = conn.execute(select(func.count(), func.sum(func.length(ledger_entry.c.leaf)))).one()
    bare, full = [], []
    for _ in range(rounds):
        with _without_ledger():
            bare.append(_intend(ws))
        full.append(_intend(ws))
    with ws.store.read() as conn:
        after = conn.execute(select(func.count(), func.sum(func.length(ledger_entry.c.leaf)))).one()
    sent = rounds * BATCH
    return {
        "intent without ledger rows, us/mail": median(bare) / BATCH * 1e6,
        "intent with ledger rows, us/mail": median(full) / BATCH * 1e6,
        "with / without": median(f / b for f, b in zip(full, bare, strict=True)),
        "ledger entries/mail": (after[0] - before[0]) / sent,
        "ledger bytes/mail": (after[1] - before[1]) / sent,
    }


@contextmanager
def _without_ledger() -> Iterator[None]:
    """Let the intent ask the gate, and write nothing of its answers."""
    kept = gate.authorise
    gate.authorise = _Bare().authorise
    try:
        yield
    finally:
        gate.authorise = kept


def _intend(ws: Workspace) -> float:
    """Take the next batch through its intent; give the seconds of that transaction, commit included."""
    with ws.store.write() as conn:
        claim = claiming.claim(conn, owner="bench", kind="marketing", at=AT)
    if claim is None:
        raise AssertionError("no batch is left to measure")
    with ws.store.read() as conn:
        rows = conn.execute(select(message).where(message.c.batch_id == claim.batch_id)).all()
    letters = tuple(_letter(row, claim.attempt) for row in rows)
    start = time.perf_counter()
    with ws.store.write() as conn:
        done = intent.intend(conn, ws, Composed(claim, letters), at=AT)
    spent = time.perf_counter() - start
    if len(done.ready) != BATCH:
        raise AssertionError("a mail of the benchmark was not permitted")
    return spent


def _letter(row: Any, attempt: int) -> Letter:  # noqa: ANN401  a row
    mail = Outgoing(row.public_id, attempt, "p@musterfirma.example", "", HELLO, AT)
    return Letter(row.id, row.public_id, row.subject, row.lead_id, None, tracked=False, outgoing=mail)


def _plan(ws: Workspace, count: int) -> None:
    """Queue one mail for each of so many leads with consent."""
    with ws.store.write() as conn:
        leads = make_leads(conn, ws.keyring, count)
        version = {"name": "bench", "version": 1, "sha256": "0" * 64, "definition": {}, "applied_at": AT}
        number = conn.execute(insert(sequence_version).returning(sequence_version.c.id), version).scalar_one()
        place = {"sequence": "bench", "sequence_version_id": number, "state": "active", "step": "hello"}
        place |= {"occurrence": 1, "due_at": AT, "entered_at": AT}
        conn.execute(insert(enrolment), [place | {"lead_id": lead_id} for lead_id in leads.values()])
        found = dict(conn.execute(select(enrolment.c.lead_id, enrolment.c.id)).tuples().all())
        planned = [
            queue.PlannedMessage(
                subject=subject, lead_id=lead_id, enrolment_id=found[lead_id], sequence="bench", step="hello",
                occurrence=1, purpose="newsletter.product", message_class="educational", temperature="cold",
                language="de", mail=_Mail(), tracked=False,
            )
            for subject, lead_id in leads.items()
        ]  # fmt: skip
        queue.queue(
            conn, planned, provider_name="outbox", batch_limit=BATCH, environment=queue.environment(conn),
            not_before=AT, not_after=AT + timedelta(days=2), at=AT,
        )  # fmt: skip
