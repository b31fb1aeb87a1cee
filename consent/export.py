"""How does the ledger leave the database, so that a stranger can check it without us? As a folder of plain files.

    manifest.json        size, root, origin, and SHA-256 of every other file
    manifest.note        its signature, by the key of the checkpoints
    entries.jsonl        one leaf per line, in order: exactly the bytes that were hashed
    tile/                the hashes of the tree (C2SP tlog-tiles)
    checkpoints/         <size>.txt, the signed notes, oldest to newest
    public_key.txt       who signed them
    wordings/            <sha256>.txt, what people agreed to, word by word
    proofs/              <seq>.tlog-proof and <seq>.json for each consent that is disclosed
    consent/             the verifier: python -B -m consent.verify . (needs Python and `cryptography` only)

Tiles are computed anew from the leaves, not copied: what was changed in the database shows in the export, too.
"""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import distinct, select

from consent import ConsentError, layout, merkle, notes
from consent.schema import checkpoint, consent_text, ledger_entry
from consent.verify import SIGNATURE, manifest_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sqlalchemy import Connection

    from consent.checkpoints import Signer

CHUNK = 1000
"""Entries read at once."""
FORMAT = "nurture-ledger-export/1"
MANIFEST = "manifest.json"
HERE = Path(__file__).resolve().parent
VERIFIER = "verify"


class ExportError(ConsentError):
    """The export cannot be written as asked."""


@dataclass
class Parcel:
    """A folder under construction. Everything written through it ends up in the manifest."""

    folder: Path
    files: dict[str, str] = field(default_factory=dict)
    """Path below the folder -> SHA-256."""

    @classmethod
    def begin(cls, folder: Path) -> Parcel:
        """Use a new or empty folder (0700); raises ExportError for one that holds something."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Also one that was there: what it will hold may name people.
        folder.chmod(0o700)
        if any(folder.iterdir()):
            raise ExportError("the folder of the export is not empty; name a new one")
        return cls(folder)

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole."""
        self.path(name).write_bytes(content)
        self.files[name] = hashlib.sha256(content).hexdigest()

    def path(self, name: str) -> Path:
        """Give the place of a file; folders above it are made."""
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def add(self, name: str) -> None:
        """Take a file into the manifest that was written piece by piece."""
        with (self.folder / name).open("rb") as file:
            self.files[name] = hashlib.file_digest(file, "sha256").hexdigest()

    def close(self, signer: Signer, **about: object) -> None:
        """Write and sign the manifest, last of all: an export without one was never finished."""
        manifest = {"format": FORMAT, "origin": signer.origin, **about, "files": dict(sorted(self.files.items()))}
        data = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
        (self.folder / MANIFEST).write_bytes(data)
        note = notes.sign(manifest_text(signer.origin, data), signer.origin, signer.private)
        (self.folder / SIGNATURE).write_text(note, "utf-8")


def leaves(conn: Connection, size: int) -> Iterator[bytes]:
    """Give the leaves of the first `size` entries, in bounded memory; raises ExportError where one is missing."""
    for first in range(0, size, CHUNK):
        query = select(ledger_entry.c.seq, ledger_entry.c.leaf)
        query = query.where(ledger_entry.c.seq >= first, ledger_entry.c.seq < min(first + CHUNK, size))
        expected = first
        for row in conn.execute(query.order_by(ledger_entry.c.seq)):
            if row.seq != expected:
                break
            yield row.leaf
            expected += 1
        if expected != min(first + CHUNK, size):
            raise ExportError(f"entry {expected} is missing; the ledger was changed. Keep a copy of the database")


def write_entries(parcel: Parcel, found: Iterable[bytes], see: Callable[[bytes], None]) -> bytes:
    """Write entries.jsonl and tile/, show each leaf to `see` on the way, and give the root over them all."""
    growth = merkle.Growth()
    with parcel.path("entries.jsonl").open("wb") as file:
        written: dict[int, int] = {}
        for leaf in found:
            file.write(leaf + b"\n")
            growth.add([merkle.leaf_hash(leaf)])
            see(leaf)
            if not growth.size % merkle.TILE_WIDTH:
                _write_full(parcel, growth, written)
    parcel.add("entries.jsonl")
    for level, hashes in sorted(growth.finished.items()):
        if hashes:
            parcel.write(layout.path(level, written.get(level, 0), len(hashes)), b"".join(hashes))
    return growth.root()


def _write_full(parcel: Parcel, growth: merkle.Growth, written: dict[int, int]) -> None:
    """Write the tiles that became full, and forget their hashes."""
    for level, hashes in growth.finished.items():
        if len(hashes) == merkle.TILE_WIDTH:
            number = written.get(level, 0)
            parcel.write(layout.path(level, number, merkle.TILE_WIDTH), b"".join(hashes))
            written[level] = number + 1
            hashes.clear()


def write_checkpoints(parcel: Parcel, conn: Connection, size: int, public_key: str) -> int:
    """Write the signed notes up to `size` and the key; give how many notes."""
    query = select(checkpoint.c.size, checkpoint.c.note).where(checkpoint.c.size <= size).order_by(checkpoint.c.size)
    count = 0
    for row in conn.execute(query):
        parcel.write(f"checkpoints/{row.size}.txt", row.note.encode())
        count += 1
    parcel.write("public_key.txt", f"{public_key.strip()}\n".encode())
    return count


def write_wordings(parcel: Parcel, conn: Connection) -> None:
    """Write every published wording under its hash, which is how entries name it."""
    for row in conn.execute(select(distinct(consent_text.c.sha256), consent_text.c.body)):
        parcel.write(f"wordings/{row.sha256}.txt", row.body.encode())


def write_proof(parcel: Parcel, seq: int, proof: str, told: Mapping[str, Any]) -> None:
    """Write what one entry is proven by: its tlog-proof, and leaf, wordings and (if revealed) salt and evidence."""
    parcel.write(f"proofs/{seq}.tlog-proof", proof.encode())
    parcel.write(f"proofs/{seq}.json", (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode())


def write_verifier(parcel: Parcel) -> None:
    """Copy consent.verify and what it imports of this package: `python -B -m consent.verify .` runs in the folder."""
    for module in sorted(closure(VERIFIER)):
        parcel.write(f"consent/{module}.py", (HERE / f"{module}.py").read_bytes())


def closure(module: str) -> set[str]:
    """Name the modules of this package that a module needs when it runs, itself and __init__ among them."""
    found: set[str] = set()
    waiting = [module, "__init__"]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imports(ast.parse((HERE / f"{name}.py").read_text("utf-8")))
    return found


def _imports(tree: ast.AST) -> Iterator[str]:
    """Name the modules of this package that a file imports, wherever, but not for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "consent":
            yield from (alias.name for alias in node.names if (HERE / f"{alias.name}.py").exists())
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("consent."):
            yield (node.module or "").partition(".")[2]
        yield from _imports(node)
