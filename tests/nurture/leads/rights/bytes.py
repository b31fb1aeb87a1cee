"""Is a byte sequence still anywhere on the disk? Looks into every file, whatever it is for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from consent import merkle, notes, treeheads
from consent.schema import identity, opt_in_request, proof_vault
from nurture.store.tables import handover, raw_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from consent.checkpoints import Signer
    from tests.nurture.leads.rights.life import Life


def hits(folder: Path, wanted: Mapping[str, bytes]) -> list[str]:
    """Give "file: what" for each thing that a file holds."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            lowered = content.lower()
            found += [f"{path.name}: {name}" for name, needle in wanted.items()
                      if needle in content or needle.lower() in lowered]  # fmt: skip
    return found


def clear(texts: Sequence[str]) -> dict[str, bytes]:
    """Look for texts as UTF-8."""
    return {one: one.encode() for one in texts}


def sealed(life: Life, subject: str, lead_id: int) -> dict[str, bytes]:
    """Look for the sealed bytes of a person: with keys.json they could be opened."""
    found: dict[str, bytes] = {}
    with life.ws.store.read() as conn:
        row = conn.execute(select(identity).where(identity.c.subject == subject)).one()
        found |= {name: getattr(row, name) for name in ("wrapped_key", "sealed_address", "sealed_person")}
        for column, key, own in (
            (proof_vault.c.sealed_evidence, proof_vault.c.seq, proof_vault.c.subject == subject),
            (proof_vault.c.salt, proof_vault.c.seq, proof_vault.c.subject == subject),
            (opt_in_request.c.sealed_token, opt_in_request.c.id, opt_in_request.c.subject == subject),
            (handover.c.sealed_payload, handover.c.id, handover.c.lead_id == lead_id),
            (raw_event.c.sealed_body, raw_event.c.id, raw_event.c.sealed_body.is_not(None)),
        ):
            for number, value in conn.execute(select(key, column).where(own)):
                found |= {f"{column.name} {number}": value} if value else {}
    # The first bytes name the form and are common; what moved between pages may lie there in part.
    return {name: value[8:40] for name, value in found.items()}


def proves(text: str, leaf: bytes, signer: Signer) -> bool:
    """Does a .tlog-proof show, to somebody who has only the public key, that a leaf stands in the ledger?"""
    proof = treeheads.Proof.parse(text)
    head = treeheads.TreeHead.parse(notes.open_note(proof.note, [signer.verifier]))
    merkle.verify_inclusion(merkle.leaf_hash(leaf), proof.index, head.size, proof.hashes, head.root)
    return True


def database_files(life: Life, kept: Path) -> Path:
    """Give a folder with the files of the database, as they lie on the disk."""
    if life.ws.store.dialect == "sqlite":
        return Path(str(life.ws.store.engine.url.database)).parent
    with life.ws.store.engine.connect() as conn:
        folder = Path(str(conn.execute(text("show data_directory")).scalar_one()))
        number = conn.execute(text("select oid from pg_database where datname = current_database()")).scalar_one()
        conn.execute(text("checkpoint"))
    # A copy: the server goes on writing.
    return Path(shutil.copytree(folder / "base" / str(number), kept))
