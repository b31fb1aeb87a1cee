"""The ledger leaves the database as plain files, whole or not at all."""

from __future__ import annotations

import ast
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, select

from consent import export, layout, ledger, merkle
from consent.checkpoints import Signer
from consent.export import ExportError, Parcel
from consent.ledger import Entry, EntryType
from consent.schema import ledger_entry, ledger_head
from tests.nurture.audit.sabotage import guards_off

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from nurture.store.engine import Store


def fill(store: Store, count: int, at: datetime) -> None:
    """Append entries about nobody."""
    entry = Entry(EntryType.SUPPRESSED, {"controller": "*", "reason": "blocked", "count": 1}, at)
    with store.write() as conn:
        ledger.append(conn, [entry] * count)


def tiles_of(size: int) -> list[tuple[int, int, int]]:
    """Name every tile of a tree as C2SP tlog-tiles counts them: level, index, hashes in it."""
    listed, level, count = [], 0, size
    while count:
        full, rest = divmod(count, 256)
        listed += [(level, index, 256) for index in range(full)]
        listed += [(level, full, rest)] if rest else []
        level, count = level + 1, full
    return listed


def test_the_tiles_of_the_specifications_example() -> None:
    """A tree of 70,000: 273 full tiles and one of 112 at level 0, one full and one of 17 at level 1, one of 1."""
    listed = tiles_of(70_000)

    assert [sum(level == wanted for level, _, _ in listed) for wanted in range(3)] == [274, 2, 1]
    assert [width for _, _, width in listed if width != 256] == [112, 17, 1]


@pytest.mark.parametrize(
    ("level", "index", "width", "name"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 999, 17, "tile/1/999.p/17"),
        (0, 1_000, 256, "tile/0/x001/000"),
        (0, 1_234_067, 1, "tile/0/x001/x234/067.p/1"),
    ],
)
def test_tiles_are_named_as_specified(level: int, index: int, width: int, name: str) -> None:
    """C2SP tlog-tiles, among them its own example 1234067."""
    assert layout.path(level, index, width) == name


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 600])
def test_entries_and_tiles_lead_to_the_root_of_the_ledger(
    store: Store, at: datetime, tmp_path: Path, count: int
) -> None:
    fill(store, count, at)
    seen: list[bytes] = []
    parcel = Parcel.begin(tmp_path / "out")
    with store.read() as conn:
        root = export.write_entries(parcel, export.leaves(conn, count), seen.append)
        stored = conn.execute(select(ledger_entry.c.leaf).order_by(ledger_entry.c.seq)).scalars().all()
        head = ledger.head(conn)
    assert root.hex() == head.root_hex
    assert seen == stored
    assert (tmp_path / "out" / "entries.jsonl").read_bytes() == b"".join(leaf + b"\n" for leaf in stored)
    tiles = {name for name in parcel.files if name.startswith("tile/")}
    assert tiles == {layout.path(*place) for place in tiles_of(count)}


def test_tiles_hold_the_hashes_of_their_place(store: Store, at: datetime, tmp_path: Path) -> None:
    fill(store, 300, at)
    parcel = Parcel.begin(tmp_path / "out")
    with store.read() as conn:
        leaves = list(export.leaves(conn, 300))
    export.write_entries(parcel, leaves, lambda _: None)
    full, rest = ((tmp_path / "out" / "tile" / "0" / name).read_bytes() for name in ("000", "001.p/44"))
    assert full + rest == b"".join(merkle.leaf_hash(leaf) for leaf in leaves)


@pytest.mark.parametrize("gone", [0, 7, 999, 1000, 1001])
def test_a_missing_entry_is_named(store: Store, at: datetime, gone: int) -> None:
    """Also at the borders of what is read at once, and at the end."""
    fill(store, 1002, at)
    with store.write() as conn:
        guards_off(conn)
        guards_off(conn, "ledger_head")
        conn.execute(delete(ledger_entry).where(ledger_entry.c.seq == gone))
        assert conn.execute(select(ledger_head.c.size)).scalar_one() == 1002
    with store.read() as conn, pytest.raises(ExportError, match=rf"entry {gone} is missing"):
        list(export.leaves(conn, 1002))


def test_the_manifest_comes_last_and_names_every_file(tmp_path: Path) -> None:
    parcel = Parcel.begin(tmp_path / "out")
    parcel.write("b.txt", b"b")
    parcel.path("a/c.txt").write_bytes(b"c")
    parcel.add("a/c.txt")
    assert not (tmp_path / "out" / "manifest.json").exists()
    signer = Signer.load_or_create(tmp_path / "key.json", "musterwerk.example/consent")
    parcel.close(signer, size=3)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8")) == {
        "format": "nurture-ledger-export/1",
        "origin": "musterwerk.example/consent",
        "size": 3,
        "files": {"a/c.txt": hashlib.sha256(b"c").hexdigest(), "b.txt": hashlib.sha256(b"b").hexdigest()},
    }


def test_an_export_is_its_owners_alone(tmp_path: Path) -> None:
    """Also in a folder that was there and open to all."""
    (tmp_path / "out").mkdir(mode=0o755)
    Parcel.begin(tmp_path / "out")

    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("theirs", "utf-8")
    with pytest.raises(ExportError, match="not empty"):
        Parcel.begin(tmp_path)


def test_the_verifier_is_copied_with_what_it_imports_and_nothing_else(tmp_path: Path) -> None:
    """What is imported for types alone stays; what is imported must be there."""
    parcel = Parcel.begin(tmp_path / "out")
    export.write_verifier(parcel)
    copied = {name.removeprefix("consent/").removesuffix(".py") for name in parcel.files}
    assert copied == export.closure("verify")
    assert {"verify", "__init__", "merkle", "rules"} <= copied
    assert not {"schema", "ledger", "gate", "identity"} & copied
    source = (tmp_path / "out" / "consent" / "verify.py").read_text("utf-8")
    assert ast.parse(source)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from consent import merkle, ConsentError", ["merkle"]),
        ("from consent.notes import Verifier", ["notes"]),
        ("if TYPE_CHECKING:\n    from consent import ledger", []),
        ("def f():\n    from consent.rules import judged", ["rules"]),
        ("import hashlib\nfrom sqlalchemy import select", []),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, found: list[str]) -> None:
    assert list(export._imports(ast.parse(source))) == found  # noqa: SLF001  the rule itself
