"""The ledger: appended whole, verified from zero, every change named."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, event, insert, select, text, update

from consent import canonical, entries, ledger, notes
from consent.ledger import Entry
from consent.merkle import EMPTY_ROOT, Growth, root_of
from consent.schema import checkpoint, ledger_entry, ledger_head, ledger_tile
from consent.tiles import Tiles
from consent.treeheads import TreeHead

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.store.engine import Store

GUARDS = {
    "ledger_entry": ("ledger_entry_no_update", "ledger_entry_no_delete", "ledger_entry_in_order"),
    "ledger_head": ("ledger_head_no_second", "ledger_head_no_delete", "ledger_head_forward"),
    "ledger_tile": ("ledger_tile_no_update", "ledger_tile_no_delete", "ledger_tile_no_replace"),
    "checkpoint": ("checkpoint_no_update", "checkpoint_no_delete", "checkpoint_in_order"),
}


def erased(at: datetime, number: int = 0) -> Entry:
    """An entry with a short body."""
    return Entry("subject.erased", {"reason": f"r{number}"}, at, "s" * 26)


def unguard(conn: Connection) -> None:
    """Do what the owner of the database can: remove the guards."""
    for table, names in GUARDS.items():
        if conn.dialect.name == "sqlite":
            for name in names:
                conn.execute(text(f"drop trigger {name}"))
        else:
            conn.execute(text(f"alter table {table} disable trigger user"))


def problem(store: Store) -> tuple[int | None, str]:
    """What does verification say?"""
    with store.read() as conn:
        found = ledger.verify(conn)
    assert found.ok is (found.problem is None)
    return found.bad_seq, found.problem or ""


@pytest.fixture
def filled(store: Store, at: datetime) -> Store:
    """A ledger of ten entries whose guards were removed."""
    with store.write() as conn:
        ledger.append(conn, [erased(at, number) for number in range(10)])
        unguard(conn)
    return store


def test_empty_ledger_verifies(store: Store) -> None:
    """Nothing happened, and nothing was changed: the hash of nothing."""
    with store.read() as conn:
        assert ledger.verify(conn) == ledger.Verification(True, 0, hashlib.sha256(b"").hexdigest())


def test_root_is_what_the_readme_says(store: Store, at: datetime) -> None:
    """The root of two entries, computed by hand."""
    with store.write() as conn:
        assert ledger.append(conn, [erased(at), erased(at, 1)]) == [0, 1]
        leaves = conn.execute(select(ledger_entry.c.leaf).order_by(ledger_entry.c.seq)).scalars().all()
        root = ledger.head(conn)

    left, right = (hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves)
    assert root == ledger.Head(2, hashlib.sha256(b"\x01" + left + right).hexdigest())
    assert canonical.decode(leaves[1]) == {
        "v": 1, "seq": 1, "at": "2026-11-23T08:00:00.000000Z", "type": "subject.erased", "subject": "s" * 26,
        "body": {"reason": "r1"},
    }  # fmt: skip


def test_appending_nothing_appends_nothing(store: Store) -> None:
    """An empty list is fine."""
    with store.write() as conn:
        assert ledger.append(conn, []) == []


def test_large_append_is_few_statements(store: Store, at: datetime) -> None:
    """2,500 entries go in three statements, their tiles in three, with three moves of the head."""
    seen: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))

    with store.write() as conn:
        seqs = ledger.append(conn, [erased(at, number) for number in range(2500)])
        assert ledger.verify(conn).ok

    assert seqs == list(range(2500))
    # COPY goes past SQLAlchemy's cursor.
    if store.dialect == "sqlite":
        assert sum(statement.lower().startswith("insert into ledger_entry") for statement in seen) == 3
        assert sum(statement.lower().startswith("insert into ledger_tile") for statement in seen) == 3
    assert sum(statement.lower().startswith("update") for statement in seen) == 3


def test_rolled_back_append_leaves_no_gap(store: Store, at: datetime) -> None:
    """Numbers come from the head, so a failed transaction leaves none behind."""

    def fail() -> None:
        with store.write() as conn:
            ledger.append(conn, [erased(at)])
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()

    with store.write() as conn:
        assert ledger.append(conn, [erased(at)]) == [0]


def test_parallel_writers_take_turns(store: Store, at: datetime) -> None:
    """Eight writers, 80 appends: every number once, one tree."""

    def write(number: int) -> list[int]:
        with store.write() as conn:
            return ledger.append(conn, [erased(at, number), erased(at, number)])

    with ThreadPoolExecutor(8) as pool:
        seqs = [seq for pair in pool.map(write, range(80)) for seq in pair]

    assert sorted(seqs) == list(range(160))
    assert problem(store) == (None, "")


UNFIT: list[tuple[str, dict[str, Any], str]] = [
    ("consent.sold", {}, "unknown type"),
    ("subject.erased", {}, "exactly the fields reason"),
    ("subject.erased", {"reason": "x", "name": "y"}, "exactly the fields reason"),
    ("subject.erased", {"reason": "kim@firma.example"}, "addresses belong into the evidence"),
    ("subject.erased", {"reason": "x" * 16_384}, "longer than 16384"),
]


def test_unfit_entries_are_refused(store: Store, at: datetime) -> None:
    """A type, field, address or length that may not enter; nothing is appended."""
    with store.write() as conn:
        for kind, body, message in UNFIT:
            with pytest.raises(ledger.LedgerError, match=message):
                ledger.append(conn, [erased(at), Entry(kind, body, at)])
        assert ledger.head(conn).size == 0


GOOD = {"v": 1, "seq": 0, "at": "2026-11-23T08:00:00.000000Z", "type": "t", "subject": None, "body": {}}


@pytest.mark.parametrize(
    "leaf",
    [
        [],
        list(GOOD),
        {},
        {name: value for name, value in GOOD.items() if name != "subject"},
        GOOD | {"name": "Kim"},
        GOOD | {"v": 2},
        GOOD | {"seq": "0"},
        GOOD | {"body": []},
        GOOD | {"subject": 7},
    ],
)
def test_a_leaf_of_another_shape_is_no_entry(leaf: object) -> None:
    """Fields missing, more than there are, or of another kind: refused by name, before anybody reads one."""
    assert entries.parse(GOOD).subject is None
    with pytest.raises(entries.LedgerError, match="a leaf"):
        entries.parse(leaf)


def test_missing_head_is_named(filled: Store) -> None:
    """Without its head nothing can be appended, and the message says what to do."""
    with filled.write() as conn:
        conn.execute(delete(ledger_head))
        with pytest.raises(ledger.LedgerError, match="db upgrade"):
            ledger.lock(conn)


def test_stale_head_is_refused(filled: Store, at: datetime) -> None:
    """A head moved by somebody else in between is noticed: compare, then set."""
    with filled.write() as conn:
        entry, growth = erased(at), Growth()
        growth.add([bytes(32)] * 9)
        conn.execute(delete(ledger_entry).where(ledger_entry.c.seq == 9))
        with pytest.raises(ledger.LedgerError, match="another writer"):
            ledger._write(conn, growth, [entry], [b"{}"])  # noqa: SLF001  the race, forced


def test_entries_are_found_by_subject_and_type(store: Store, at: datetime) -> None:
    """Reading one person's entries, one type, or only the first ones."""
    other = Entry("suppression.added", {"controller": "*", "reason": "import", "count": 1}, at)
    with store.write() as conn:
        ledger.append(conn, [erased(at), other, erased(at, 2)])
        assert [entry.seq for entry in ledger.read(conn, subject="s" * 26)] == [0, 2]
        assert [entry.seq for entry in ledger.read(conn, types=["suppression.added"])] == [1]
        assert [entry.seq for entry in ledger.read(conn, before=2)] == [0, 1]


CHANGES: list[tuple[str, object, str]] = [
    ("leaf", b"{}", "no canonical JSON of an entry"),
    ("leaf", b'"x"', "no canonical JSON of an entry"),
    ("leaf", b"\x00", "no canonical JSON of an entry"),
    ("leaf_hash", b"\x00" * 32, "leaf was changed"),
    ("type", "consent.given", "columns say something else"),
    ("subject", "x" * 26, "columns say something else"),
]


@pytest.mark.parametrize("seq", [0, 9])
def test_every_changed_column_is_named(filled: Store, seq: int) -> None:
    """Whoever removes the guards and edits an entry is found at that entry."""
    for column, value, says in CHANGES:
        with filled.engine.connect() as conn, conn.begin() as transaction:
            conn.execute(update(ledger_entry).where(ledger_entry.c.seq == seq).values({column: value}))
            found = ledger.verify(conn)
            transaction.rollback()
        assert found.bad_seq == seq
        assert found.problem is not None
        assert found.problem.startswith(f"entry {seq}: ")
        assert says in found.problem


def test_rewritten_leaf_is_found(filled: Store) -> None:
    """A leaf replaced by another well-made one does not match its hash."""
    with filled.write() as conn:
        leaf = conn.execute(select(ledger_entry.c.leaf).where(ledger_entry.c.seq == 3)).scalar_one()
        forged = leaf.replace(b'"r3"', b'"r4"')
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 3).values(leaf=forged))

    assert problem(filled) == (3, "entry 3: its leaf was changed")


def test_verification_tells_how_far_the_tree_was_good(filled: Store) -> None:
    """What the head claims, and the root up to the entry before the first bad one."""
    with filled.write() as conn:
        digests = list(conn.execute(select(ledger_entry.c.leaf_hash).order_by(ledger_entry.c.seq)).scalars())
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 3).values(leaf_hash=bytes(32)))
        found = ledger.verify(conn)

    root = root_of(digests[:3]).hex()
    assert found == ledger.Verification(False, 10, root, "entry 3: its leaf was changed", 3)


def test_a_head_over_nothing_is_compared_too(store: Store) -> None:
    """Of an empty ledger the root is that of nothing; the first entry is where the trouble begins."""
    with store.write() as conn:
        unguard(conn)
        conn.execute(update(ledger_head).values(root=bytes(32)))

    assert problem(store) == (0, "head: its hash is not that of the tree up to entry 0")


def test_rehashed_leaf_changes_the_root(filled: Store) -> None:
    """Whoever also recomputes the leaf hash no longer leads to the root."""
    with filled.write() as conn:
        leaf = conn.execute(select(ledger_entry.c.leaf).where(ledger_entry.c.seq == 3)).scalar_one()
        forged = leaf.replace(b'"r3"', b'"r4"')
        values = {"leaf": forged, "leaf_hash": ledger.leaf_hash(forged)}
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 3).values(values))

    assert problem(filled) == (9, "head: its hash is not that of the tree up to entry 9")


def test_any_flipped_byte_is_found(filled: Store) -> None:
    """T65, small: one flipped bit anywhere in any leaf or hash is found at its entry."""
    chance = random.Random(65)  # noqa: S311  a seed, to repeat a failure
    with filled.write() as conn:
        for _ in range(120):
            seq, column = chance.randrange(10), chance.choice(["leaf", "leaf_hash"])
            where = ledger_entry.c.seq == seq
            good = conn.execute(select(ledger_entry.c[column]).where(where)).scalar_one()
            at = chance.randrange(len(good))
            bad = good[:at] + bytes([good[at] ^ (1 << chance.randrange(8))]) + good[at + 1 :]
            conn.execute(update(ledger_entry).where(where).values({column: bad}))
            assert ledger.verify(conn).bad_seq == seq
            conn.execute(update(ledger_entry).where(where).values({column: good}))
        assert ledger.verify(conn).ok


@pytest.mark.parametrize("seq", [0, 5, 9])
def test_missing_entry_is_named(filled: Store, seq: int) -> None:
    """A removed entry is missed at its place, also the last."""
    with filled.write() as conn:
        conn.execute(delete(ledger_entry).where(ledger_entry.c.seq == seq))

    assert problem(filled) == (seq, f"entry {seq}: it is missing")


def test_moved_head_is_found(filled: Store) -> None:
    """A head that names another root."""
    with filled.write() as conn:
        conn.execute(update(ledger_head).values(root=bytes(32)))

    assert problem(filled) == (9, "head: its hash is not that of the tree up to entry 9")


def test_moved_frontier_is_found(filled: Store) -> None:
    """A head whose subtrees are not the tree's would let the next root go wrong."""
    with filled.write() as conn:
        conn.execute(update(ledger_head).values(frontier=bytes(64)))

    assert problem(filled) == (9, "head: its hash is not that of the tree up to entry 9")


def test_entry_behind_the_head_is_found(filled: Store) -> None:
    """A head set back would hide the last entries from every later check."""
    with filled.write() as conn:
        growth = Growth()
        growth.add(conn.execute(select(ledger_entry.c.leaf_hash).order_by(ledger_entry.c.seq).limit(8)).scalars())
        conn.execute(update(ledger_head).values(size=8, root=growth.root(), frontier=b"".join(growth.frontier)))

    assert problem(filled) == (8, "entry 8: it stands behind the head")


def test_replaced_history_changes_the_root(filled: Store, at: datetime) -> None:
    """What only a checkpoint shows: a wholly rewritten ledger verifies, under another root."""
    with filled.write() as conn:
        before = ledger.head(conn)
        conn.execute(delete(ledger_entry))
        conn.execute(delete(ledger_head))
        conn.execute(insert(ledger_head).values(id=1, size=0, root=EMPTY_ROOT, frontier=b""))
        ledger.append(conn, [erased(at, number + 1) for number in range(10)])
        after = ledger.head(conn)

    assert problem(filled) == (None, "")
    assert after.size == before.size
    assert after.root_hex != before.root_hex


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "musterwerk.example/consent"


def mark(conn: Connection, at: datetime, size: int, root: bytes, /, **changed: Any) -> None:
    """Put a checkpoint into the database; what it says need not be so."""
    note = notes.sign(str(TreeHead(ORIGIN, size, root)), ORIGIN, KEY)
    values = {"size": size, "root": root, "note": note, "signed_at": at} | changed
    conn.execute(insert(checkpoint).values(**values))


@pytest.fixture
def tiled(store: Store, at: datetime) -> Store:
    """A ledger of 700 entries whose guards were removed: two full tiles and a partial one."""
    with store.write() as conn:
        ledger.append(conn, [erased(at, number) for number in range(700)])
        unguard(conn)
    return store


TILES: list[tuple[dict[str, Any], int, str]] = [
    ({"hashes": bytes(8192)}, 256, "entry 256: its hash is not the one in tile 0/1"),
    ({"root": bytes(32)}, 256, "entry 256: the root of its tile 0/1 was changed"),
]


@pytest.mark.parametrize(("change", "seq", "says"), TILES)
def test_a_changed_tile_is_named(tiled: Store, change: dict[str, Any], seq: int, says: str) -> None:
    """A tile that no longer holds the hashes of its entries."""
    with tiled.write() as conn:
        conn.execute(update(ledger_tile).where(ledger_tile.c.idx == 1).values(**change))

    assert problem(tiled) == (seq, says)


@pytest.mark.parametrize("lost", [-1, 1])
def test_a_tile_of_another_length_is_named_at_its_first_entry(tiled: Store, lost: int) -> None:
    """All that it holds fits, and yet a hash is missing or one stands behind the last."""
    tile = ledger_tile.c.idx == 1
    with tiled.write() as conn:
        hashes = conn.execute(select(ledger_tile.c.hashes).where(tile)).scalar_one()
        changed = hashes[: 32 * lost] if lost < 0 else hashes + bytes(32)
        conn.execute(update(ledger_tile).where(tile).values(hashes=changed))

    assert problem(tiled) == (256, "entry 256: its hash is not the one in tile 0/1")


def test_a_missing_tile_is_named(tiled: Store) -> None:
    """Without its tiles no proof can be built."""
    with tiled.write() as conn:
        conn.execute(delete(ledger_tile).where(ledger_tile.c.idx == 0))

    assert problem(tiled) == (0, "entry 0: its tile 0/0 is missing")


def test_a_rehashed_leaf_in_a_full_tile_is_named(tiled: Store) -> None:
    """Whoever also recomputes the leaf hash is found by the tile, at the entry."""
    with tiled.write() as conn:
        forged = conn.execute(select(ledger_entry.c.leaf).where(ledger_entry.c.seq == 301)).scalar_one()
        forged = forged.replace(b'"r301"', b'"r302"')
        values = {"leaf": forged, "leaf_hash": ledger.leaf_hash(forged)}
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 301).values(values))

    assert problem(tiled) == (301, "entry 301: its hash is not the one in tile 0/1")


def test_a_surplus_tile_is_found(tiled: Store) -> None:
    """A tile that the tree does not have."""
    with tiled.write() as conn:
        conn.execute(insert(ledger_tile).values(level=0, idx=2, hashes=bytes(8192), root=bytes(32)))

    assert problem(tiled) == (None, "tiles: there are 3, a tree of 700 has 2")


def test_a_tree_unlike_its_checkpoint_is_found(tiled: Store, at: datetime) -> None:
    """A wholly rewritten ledger that kept an old checkpoint: the entries up to it are not the ones it signed."""
    with tiled.write() as conn:
        mark(conn, at, 300, bytes(32))

    assert problem(tiled) == (299, "entry 299: up to it the tree is not the one of checkpoint 300")


def test_entries_that_a_checkpoint_counted_are_missed(tiled: Store, at: datetime) -> None:
    """A ledger rolled back behind its own checkpoint."""
    with tiled.write() as conn:
        mark(conn, at, 800, bytes(32))

    assert problem(tiled) == (700, "entry 700: it is missing, for checkpoint 800 counts it")


NOTES: list[tuple[dict[str, Any], str]] = [
    ({"root": b"\x01" * 32}, "its note says something else than its columns"),
    ({"note": "spoilt"}, "its note does not hold"),
    ({"note": notes.sign(f"{ORIGIN}\n7\n", ORIGIN, KEY)}, "its note does not hold"),
]


@pytest.mark.parametrize(("change", "says"), NOTES)
def test_a_checkpoint_is_what_its_note_says(tiled: Store, at: datetime, change: dict[str, Any], says: str) -> None:
    """Who forges a ledger also changes the column beside the note."""
    with tiled.write() as conn:
        mark(conn, at, 300, bytes(32), **change)

    seq, said = problem(tiled)
    assert seq == 300
    assert says in said


def test_a_checkpoint_of_another_key_is_found(tiled: Store, at: datetime) -> None:
    """With the public key at hand the signature counts, too."""
    root = root_of(leaf_hashes(tiled, 300))
    stranger = Ed25519PrivateKey.generate()
    with tiled.write() as conn:
        mark(conn, at, 300, root, note=notes.sign(str(TreeHead(ORIGIN, 300, root)), ORIGIN, stranger))
        assert ledger.verify(conn).ok
        found = ledger.verify(conn, signed_by=notes.verifier(ORIGIN, KEY))
    assert found.bad_seq == 300
    assert "its note does not hold" in (found.problem or "")


def leaf_hashes(store: Store, count: int) -> list[bytes]:
    """The hashes of the first entries."""
    with store.read() as conn:
        query = select(ledger_entry.c.leaf_hash).order_by(ledger_entry.c.seq).limit(count)
        return list(conn.execute(query).scalars())


@pytest.mark.parametrize("step", [1, 100, 255, 256, 257, 699])
def test_the_tree_is_the_same_however_it_grew(store: Store, at: datetime, step: int) -> None:
    """One entry at a time or hundreds: the same root, tiles and frontier."""
    listed = [erased(at, number) for number in range(700)]
    with store.write() as conn:
        for start in range(0, len(listed), step):
            ledger.append(conn, listed[start : start + step])
        root = root_of(conn.execute(select(ledger_entry.c.leaf_hash).order_by(ledger_entry.c.seq)).scalars())
        assert ledger.head(conn) == ledger.Head(700, root.hex())
        assert ledger.verify(conn).ok


def test_a_clock_that_ran_back_is_noted(store: Store, at: datetime) -> None:
    """Order is the number; the entry in front says that times around it mislead."""
    earlier = at - timedelta(minutes=11)
    with store.write() as conn:
        assert ledger.append(conn, [erased(at)]) == [0]
        assert ledger.append(conn, [erased(earlier), erased(earlier)]) == [2, 3]
        [noted] = ledger.read(conn, types=["clock.anomaly"])
        assert noted.seq == 1
        assert noted.body == {"seen": canonical.utc_text(earlier), "last": canonical.utc_text(at)}


def test_waiting_for_ones_turn_is_no_anomaly(store: Store, at: datetime) -> None:
    """A writer looks at the clock, then waits for the others."""
    with store.write() as conn:
        assert ledger.append(conn, [erased(at)]) == [0]
        assert ledger.append(conn, [erased(at - timedelta(minutes=10))]) == [1]


def test_a_full_tile_of_the_second_level_is_stored_and_checked(store: Store, at: datetime) -> None:
    """65,536 entries fill 256 tiles, and those one tile above; a changed hash there names what begins under it."""
    with store.write() as conn:
        ledger.append(conn, [erased(at)] * 65_537)
        unguard(conn)
        upper = conn.execute(select(ledger_tile.c.hashes).where(ledger_tile.c.level == 1)).scalar_one()
        lower = conn.execute(select(ledger_tile.c.root).where(ledger_tile.c.level == 0).order_by(ledger_tile.c.idx))
        assert upper == b"".join(lower.scalars())
        assert ledger.verify(conn).ok
        forged = upper[:96] + bytes(32) + upper[128:]
        conn.execute(update(ledger_tile).where(ledger_tile.c.level == 1).values(hashes=forged))

    assert problem(store) == (768, "entry 768: its hash is not the one in tile 1/0")


def test_what_is_not_there_is_not_given(store: Store, at: datetime) -> None:
    """An entry, or a subtree, beyond the end."""
    with store.write() as conn:
        ledger.append(conn, [erased(at)] * 3)
        with pytest.raises(ledger.LedgerError, match="no entry 3"):
            ledger.leaf(conn, 3)
        with pytest.raises(ledger.LedgerError, match="no complete subtree 0 of height 2"):
            Tiles(conn).node(2, 0)
