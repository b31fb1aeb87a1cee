"""What happened, in which order, and was any of it changed since? The append-only ledger of entries.

Entries are the leaves of a Merkle tree (`merkle.py`); one root stands for all of them, and one entry can be
proven to a stranger without showing the others. The order is `seq`; times are evidence, never order. Only
this module and `tiles.py` write its tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, update

from consent import ConsentError, canonical, entries, notes
from consent.bulk import insert_columns
from consent.entries import FIELDS, Entry, EntryType, LedgerError, Recorded
from consent.layout import split
from consent.leaves import write_all
from consent.merkle import TILE_HEIGHT, TILE_WIDTH, Growth, leaf_hash, leaf_hashes
from consent.schema import checkpoint, ledger_entry, ledger_head, ledger_tile
from consent.tiles import store
from consent.treeheads import TreeHead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.notes import Verifier

__all__ = [
    "FIELDS",
    "Entry",
    "EntryType",
    "Head",
    "LedgerError",
    "Recorded",
    "Verification",
    "append",
    "head",
    "leaf",
    "leaf_hash",
    "lock",
    "read",
    "verify",
]

CLOCK_SLACK = timedelta(minutes=10)
"""A writer may wait this long between looking at the clock and its turn; more means that the clock ran back."""
CHUNK = 1000
"""Entries per statement, written or read: bounds memory."""
# Made once: putting a statement together takes six times as long as executing it.
_HEAD = select(ledger_head).where(ledger_head.c.id == 1).with_for_update()
_TIME = select(ledger_entry.c.at).where(ledger_entry.c.seq == bindparam("of"))
_MOVE = update(ledger_head).where(ledger_head.c.id == 1, ledger_head.c.size == bindparam("before"))


@dataclass(frozen=True)
class Head:
    """How long the ledger is and the hash that stands for all of it."""

    size: int
    root_hex: str


@dataclass(frozen=True)
class Verification:
    """What recomputing the whole tree showed."""

    ok: bool
    size: int
    """Entries that the head claims."""
    root: str
    """Root recomputed up to the first problem, hexadecimal."""
    problem: str | None = None
    """What is wrong, naming the first bad entry; None when all is well."""
    bad_seq: int | None = None


def lock(conn: Connection) -> Head:
    """Become the one writer until the transaction ends, and give the head.

    Everything that reads a state and then appends calls this first: two of them never decide on the
    same past. It comes before the first identity or lead that the transaction writes, even where only
    its end appends: two that meet a person and the head in different orders wait for each other for
    ever. PostgreSQL locks the head row; SQLite's writers hold the file since BEGIN IMMEDIATE.
    """
    row = _locked(conn)
    return Head(row.size, row.root.hex())


def _locked(conn: Connection) -> Any:  # noqa: ANN401  a row
    row = conn.execute(_HEAD).one_or_none()
    if row is None:
        raise LedgerError("the ledger has no head row; run: nurture db upgrade")
    return row


def append(conn: Connection, new: Sequence[Entry]) -> list[int]:
    """Append entries in order, in chunks of one statement each; give their sequence numbers.

    Raises LedgerError for an entry that may not stand (see entries.write); nothing is appended then. A time
    before that of the last entry is noted by a clock.anomaly in front: order is the number, never the time.
    """
    if not new:
        return []
    row = _locked(conn)
    growth = Growth(row.size, split(row.frontier))
    noted = _anomaly(conn, growth.size, new[0].at)
    listed = [*noted, *new]
    leaves = write_all(growth.size, listed)
    first = growth.size + len(noted)
    for start in range(0, len(listed), CHUNK):
        _write(conn, growth, listed[start : start + CHUNK], leaves[start : start + CHUNK])
    return list(range(first, first + len(new)))


def _anomaly(conn: Connection, size: int, at: datetime) -> list[Entry]:
    """Note a clock that ran back since the last entry."""
    last = conn.execute(_TIME, {"of": size - 1}).scalar_one_or_none()
    if last is None or at >= last - CLOCK_SLACK:
        return []
    return [Entry(EntryType.CLOCK, {"seen": canonical.utc_text(at), "last": canonical.utc_text(last)}, at)]


def _write(conn: Connection, growth: Growth, new: Sequence[Entry], leaves: Sequence[bytes]) -> None:
    """Insert one chunk with the tiles it fills, and move the head onto its last entry, comparing first."""
    before = growth.size
    digests = leaf_hashes(leaves)
    growth.finished = {}
    growth.add(digests)
    columns = {
        "seq": range(before, growth.size),
        "at": [entry.at for entry in new],
        "type": [str(entry.type) for entry in new],
        "subject": [entry.subject for entry in new],
        "leaf": leaves,
        "leaf_hash": digests,
    }
    insert_columns(conn, ledger_entry, columns)
    store(conn, before, growth.finished)
    now = {"size": growth.size, "root": growth.root(), "frontier": b"".join(growth.frontier)}
    moved = conn.execute(_MOVE, {"before": before, **now})
    if moved.rowcount != 1:
        raise LedgerError("another writer moved the ledger's head; the transaction must be repeated")


def head(conn: Connection) -> Head:
    """Give the ledger's present length and root."""
    row = conn.execute(select(ledger_head.c.size, ledger_head.c.root).where(ledger_head.c.id == 1)).one()
    return Head(row.size, row.root.hex())


def leaf(conn: Connection, seq: int) -> bytes:
    """Give the hashed bytes of one entry; raises LedgerError where there is none."""
    found = conn.execute(select(ledger_entry.c.leaf).where(ledger_entry.c.seq == seq)).scalar_one_or_none()
    if found is None:
        raise LedgerError(f"the ledger has no entry {seq}")
    return bytes(found)


def read(
    conn: Connection, *, subject: str | None = None, types: Sequence[str] = (), before: int | None = None
) -> Iterator[Recorded]:
    """Give entries in order, in bounded memory; only those about one subject or of some types if asked.

    Entries that name a subject inside a list (send.authorised, send.blocked) are not "about" them here.
    """
    query = select(
        ledger_entry.c.seq, ledger_entry.c.at, ledger_entry.c.type, ledger_entry.c.subject, ledger_entry.c.leaf
    )
    if subject is not None:
        query = query.where(ledger_entry.c.subject == subject)
    if types:
        query = query.where(ledger_entry.c.type.in_([str(item) for item in types]))
    if before is not None:
        query = query.where(ledger_entry.c.seq < before)
    for row in _paged(conn, query):
        yield Recorded(row.seq, row.at, row.type, row.subject, canonical.decode(row.leaf)["body"])


class _ProblemError(Exception):
    """Something is not as it was written."""

    def __init__(self, problem: str, seq: int | None) -> None:
        """Say what, and at which entry."""
        super().__init__(problem)
        self.seq = seq


def verify(conn: Connection, *, signed_by: Verifier | None = None) -> Verification:
    """Recompute the tree from zero and compare; names the first entry that is not as it was written.

    Checks for each entry its place, that the plain columns say what the leaf says and its hash; then every stored
    tile, the root that every checkpoint's note says (with its signature, where the key is given), and that the head
    stands on the last entry. Memory does not grow with the ledger.
    """
    claimed = conn.execute(select(ledger_head).where(ledger_head.c.id == 1)).one()
    growth = Growth()
    try:
        _recompute(conn, claimed.size, growth, _marks(conn, signed_by))
        _compare(conn, claimed, growth)
    except _ProblemError as found:
        return Verification(False, claimed.size, growth.root().hex(), str(found), found.seq)
    return Verification(True, claimed.size, growth.root().hex())


def _marks(conn: Connection, signed_by: Verifier | None) -> dict[int, bytes]:
    """Give the root at each checkpoint, as its note says it and not only a column beside."""
    marks = {}
    for row in conn.execute(select(checkpoint)):
        try:
            text = notes.open_note(row.note, [signed_by]) if signed_by else notes.split(row.note)[0]
            said = TreeHead.parse(text)
        except ConsentError as error:
            raise _ProblemError(f"checkpoint {row.size}: its note does not hold: {error}", row.size) from None
        if (said.size, said.root) != (row.size, row.root):
            raise _ProblemError(f"checkpoint {row.size}: its note says something else than its columns", row.size)
        marks[row.size] = row.root
    return marks


def _recompute(conn: Connection, size: int, growth: Growth, marks: dict[int, bytes]) -> None:
    """Let the tree grow from the entries, holding each of them, each tile and each checkpoint against it."""
    for row in _paged(conn, select(ledger_entry).where(ledger_entry.c.seq < size)):
        seq = growth.size
        problem = _problem(row, seq)
        if problem:
            raise _ProblemError(f"entry {seq}: {problem}", seq)
        growth.add([row.leaf_hash])
        if growth.size % TILE_WIDTH == 0:
            _compare_tiles(conn, growth)
        if growth.size in marks and growth.root() != marks[growth.size]:
            raise _ProblemError(f"entry {seq}: up to it the tree is not the one of checkpoint {growth.size}", seq)
    end = growth.size
    if end != size:
        raise _ProblemError(f"entry {end}: it is missing", end)
    if marks and max(marks) > size:
        raise _ProblemError(f"entry {size}: it is missing, for checkpoint {max(marks)} counts it", size)


def _compare(conn: Connection, claimed: Any, growth: Growth) -> None:  # noqa: ANN401  a row
    """Hold head and numbers of rows against the recomputed tree."""
    if growth.root() != claimed.root or growth.frontier != split(claimed.frontier):
        last = max(claimed.size - 1, 0)
        raise _ProblemError(f"head: its hash is not that of the tree up to entry {last}", last)
    # One statement, one moment: entries behind the head would be lost to every later check.
    size, stored, tiles = conn.execute(
        select(
            ledger_head.c.size,
            select(func.count()).select_from(ledger_entry).scalar_subquery(),
            select(func.count()).select_from(ledger_tile).scalar_subquery(),
        )
    ).one()
    if stored != size:
        raise _ProblemError(f"entry {size}: it stands behind the head", size)
    if tiles != _full_tiles(size):
        raise _ProblemError(f"tiles: there are {tiles}, a tree of {size} has {_full_tiles(size)}", None)


def _full_tiles(size: int) -> int:
    """Count the full tiles of a tree."""
    count = 0
    while size := size >> TILE_HEIGHT:
        count += size
    return count


def _compare_tiles(conn: Connection, growth: Growth) -> None:
    """Hold the tiles that just became full against those stored; names the first entry that differs."""
    level = 0
    while len(hashes := growth.finished.get(level, [])) == TILE_WIDTH:
        span = TILE_HEIGHT * (level + 1)
        index = (growth.size >> span) - 1
        first = index << span
        query = select(ledger_tile.c.hashes, ledger_tile.c.root)
        row = conn.execute(query.where(ledger_tile.c.level == level, ledger_tile.c.idx == index)).one_or_none()
        if row is None:
            raise _ProblemError(f"entry {first}: its tile {level}/{index} is missing", first)
        stored = split(row.hashes)
        if stored != hashes:
            differs = next((i for i, pair in enumerate(zip(stored, hashes, strict=False)) if pair[0] != pair[1]), 0)
            seq = first + (differs << (TILE_HEIGHT * level))
            raise _ProblemError(f"entry {seq}: its hash is not the one in tile {level}/{index}", seq)
        if row.root != growth.finished[level + 1][-1]:
            raise _ProblemError(f"entry {first}: the root of its tile {level}/{index} was changed", first)
        growth.finished[level] = []
        level += 1


def _problem(row: Any, expected: int) -> str | None:  # noqa: ANN401  a row
    """Say what is wrong with one entry, given where it should stand."""
    if row.seq != expected:
        return "it is missing"
    try:
        found = entries.read(row.leaf)
    except (canonical.CanonicalError, LedgerError):
        return "its leaf is no canonical JSON of an entry"
    if (found.seq, found.type, found.subject, found.at) != (row.seq, row.type, row.subject, row.at):
        return "its columns say something else than its leaf"
    if leaf_hash(row.leaf) != row.leaf_hash:
        return "its leaf was changed"
    return None


def _paged(conn: Connection, query: Any) -> Iterator[Any]:  # noqa: ANN401  a select of any columns
    """Read by key, page by page: no cursor stays open on a long ledger, on either database."""
    last = -1
    while rows := conn.execute(query.where(ledger_entry.c.seq > last).order_by(ledger_entry.c.seq).limit(CHUNK)).all():
        yield from rows
        last = rows[-1].seq
