"""What does it cost that entries can be proven? Against the same rows inserted bare, and proofs in a long ledger."""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Index, LargeBinary, MetaData, String, Table

from bench._databases import stores
from consent import checkpoints, export, ledger, merkle, verify
from consent.bulk import insert_columns
from consent.entries import Entry, EntryType
from consent.leaves import write_all
from consent.schema import Id, UtcTime
from consent.tiles import Tiles
from consent.tokens import random_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from nurture.store.engine import Store

BATCH = 1_000
ROUNDS = 30
"""Enough that the index on persons no longer fits in a handful of pages, as in any ledger in use."""
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
BARE = Table(
    "bare_entry",
    MetaData(),
    Column("seq", Id, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("type", String(32), nullable=False),
    Column("subject", String(26)),
    Column("leaf", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary(32), nullable=False),
    Index("ix_bare_entry_subject", "subject"),
)
"""The ledger's columns and index, with no guard, no tree and no head."""


def run(*, quick: bool = False) -> dict[str, object]:
    """Give appends per second as a ratio to bare rows, in turn in one run, and the cost of proofs at full length."""
    long = 20_000 if quick else 1_000_000
    figures: dict[str, object] = {"batch": BATCH, "rounds": ROUNDS, "long ledger, entries": long}
    with stores() as made:
        for name, store in made.items():
            figures |= {f"{name}: {what}": value for what, value in _appends(store).items()}
        figures |= {f"sqlite: {what}": value for what, value in _proofs(made["sqlite"], long).items()}
    return figures


def _appends(store: Store) -> dict[str, object]:
    """Append and insert in turn, each batch in a transaction of its own."""
    with store.write() as conn:
        BARE.create(conn)
    bare, tree = [], []
    for number in range(ROUNDS):
        entries = _entries(BATCH)
        rows = _columns(entries, number * BATCH)
        bare.append(_timed(partial(_insert, store, rows)))
        tree.append(_timed(partial(_append, store, entries)))
    ratio = statistics.median(b / t for b, t in zip(bare, tree, strict=True))
    return {
        "bare rows/s": BATCH / statistics.median(bare),
        "ledger entries/s": BATCH / statistics.median(tree),
        "ledger / bare": ratio,
    }


def _insert(store: Store, columns: dict[str, Sequence[Any]]) -> None:
    """Insert what `append` would, by its own fastest way, in a transaction as durable."""
    with store.write() as conn:
        insert_columns(conn, BARE, columns)


def _append(store: Store, entries: list[Entry]) -> None:
    with store.write() as conn:
        ledger.append(conn, entries)


def _entries(count: int) -> list[Entry]:
    """Confirmations, the longest of the common entries, each of another person with a body of its own."""
    return [Entry(EntryType.CONFIRMED, _body(number), AT, random_id()) for number in range(count)]


def _body(request: int) -> dict[str, Any]:
    """Write a body that shares no value with another but those that consents of one form share."""
    return {
        "controller": "default",
        "channel": "email",
        "purposes": [{"purpose": "newsletter.product", "text": "9d" * 32, "version": 1}],
        "request": request,
        "lifted": 0,
        "commit": os.urandom(32).hex(),
    }


def _columns(entries: list[Entry], first: int) -> dict[str, Sequence[Any]]:
    """Give the rows that appending would write, prepared outside the measured time."""
    leaves = write_all(first, entries)
    return {
        "seq": range(first, first + len(entries)),
        "at": [entry.at for entry in entries],
        "type": [str(entry.type) for entry in entries],
        "subject": [entry.subject for entry in entries],
        "leaf": leaves,
        "leaf_hash": [merkle.leaf_hash(leaf) for leaf in leaves],
    }


def _proofs(store: Store, size: int) -> dict[str, object]:
    """Build and check proofs in a long ledger; each with nothing read before."""
    with store.read() as conn:
        there = ledger.head(conn).size
    for start in range(there, size, 10 * BATCH):
        _append(store, _entries(min(10 * BATCH, size - start)))
        print(f"\r  {start:,} entries", end="", file=sys.stderr, flush=True)
    print("\r", end="", file=sys.stderr)
    chance = random.Random(1)  # noqa: S311  places to look at
    building, checking, consistency = [], [], []
    with store.read() as conn:
        root = bytes.fromhex(ledger.head(conn).root_hex)
        for _ in range(300):
            seq, old = chance.randrange(size), chance.randrange(1, size)
            digest = ledger.leaf_hash(ledger.leaf(conn, seq))
            proof: list[bytes] = []
            building.append(_timed(partial(_prove, conn, seq, size, proof)))
            checking.append(_timed(partial(merkle.verify_inclusion, digest, seq, size, proof, root)))
            consistency.append(_timed(partial(_extend, conn, old, size)))
        verified = _timed(partial(ledger.verify, conn))
    exported, checked = _export(store, size)
    return {
        "proof building, ms (median)": statistics.median(building) * 1_000,
        "proof checking, ms (median)": statistics.median(checking) * 1_000,
        "consistency proof building, ms (median)": statistics.median(consistency) * 1_000,
        "hashes in a proof": len(proof),
        "recomputing the ledger, s": verified,
        "recomputing, entries/s": size / verified,
        "writing the export, s": exported,
        "verifying the export offline, s": checked,
        "verifying, entries/s": size / checked,
    }


def _export(store: Store, size: int) -> tuple[float, float]:
    """Write the part of an export that the stand-alone verifier reads, and let it verify; seconds of both."""
    with tempfile.TemporaryDirectory(prefix="nurture-bench-") as name:
        signer = checkpoints.Signer.load_or_create(Path(name) / "key.json", "bench.example/consent")
        with store.write() as conn:
            signed = checkpoints.sign(conn, signer, at=AT)
        parcel = export.Parcel.begin(Path(name) / "export")
        began = time.perf_counter()
        with store.read() as conn:
            export.write_entries(parcel, export.leaves(conn, signed.size), lambda _leaf: None)
            export.write_checkpoints(parcel, conn, signed.size, str(signer.verifier))
        parcel.close(signer, size=signed.size, root=signed.root.hex())
        exported = time.perf_counter() - began
        report: list[verify.Report] = []
        checked = _timed(lambda: report.append(verify.verify(parcel.folder, key=str(signer.verifier))))
    if report[0].size != size:
        raise AssertionError
    return exported, checked


def _prove(conn: Connection, seq: int, size: int, into: list[bytes]) -> None:
    into.extend(merkle.inclusion_proof(seq, size, Tiles(conn)))


def _extend(conn: Connection, old: int, size: int) -> None:
    merkle.consistency_proof(old, size, Tiles(conn))


def _timed(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started
