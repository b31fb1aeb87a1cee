"""Checkpoints: signed, each continuing the last, and entries proven against them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, insert, select, text, update

from consent import checkpoints, ledger, merkle, notes
from consent.checkpoints import CheckpointError, InconsistentError, Signer
from consent.ledger import Entry
from consent.merkle import ProofError
from consent.schema import checkpoint, ledger_entry, ledger_head
from consent.treeheads import FormatError, Proof, TreeHead

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from nurture.store.engine import Store

ORIGIN = "musterwerk.example/consent"


def fill(conn: Connection, at: datetime, count: int) -> None:
    """Append some entries."""
    ledger.append(conn, [Entry("subject.erased", {"reason": f"r{number}"}, at, "s" * 26) for number in range(count)])


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """A new key."""
    return Signer.load_or_create(tmp_path / "checkpoint_key.json", ORIGIN)


def test_a_checkpoint_says_what_it_signed(store: Store, signer: Signer, at: datetime) -> None:
    """Origin, number of entries, root, and a signature that the public key opens."""
    with store.write() as conn:
        fill(conn, at, 300)
        made = checkpoints.sign(conn, signer, at=at)
        head = ledger.head(conn)

    said = TreeHead.parse(notes.open_note(made.note, [signer.verifier]))
    assert said == TreeHead(ORIGIN, 300, bytes.fromhex(head.root_hex))
    assert (made.size, made.root, made.signed_at) == (300, said.root, at)


def test_nothing_new_gives_the_last_one(store: Store, signer: Signer, at: datetime) -> None:
    """An hourly run on a quiet ledger adds nothing."""
    with store.write() as conn:
        fill(conn, at, 3)
        first = checkpoints.sign(conn, signer, at=at)
        assert checkpoints.sign(conn, signer, at=at + timedelta(hours=1)) == first
        assert checkpoints.every(conn) == [first]


def test_checkpoints_follow_one_another(store: Store, signer: Signer, at: datetime) -> None:
    """Each is larger than the last; the newest counts."""
    with store.write() as conn:
        made = []
        for number, count in enumerate((1, 255, 1, 256, 600)):
            fill(conn, at, count)
            made.append(checkpoints.sign(conn, signer, at=at + timedelta(hours=number)))
        assert [one.size for one in made] == [1, 256, 257, 513, 1113]
        assert checkpoints.every(conn) == made
        assert checkpoints.latest(conn) == made[-1]
        assert ledger.verify(conn).ok


def test_an_empty_ledger_is_not_signed(store: Store, signer: Signer, at: datetime) -> None:
    """There is nothing to sign."""
    with store.write() as conn:
        assert checkpoints.latest(conn) is None
        with pytest.raises(CheckpointError, match="empty"):
            checkpoints.sign(conn, signer, at=at)


def unguard(conn: Connection, table: str, triggers: list[str]) -> None:
    """Do what the owner of the database can."""
    if conn.dialect.name == "sqlite":
        for trigger in triggers:
            conn.execute(text(f"drop trigger {trigger}"))
    else:
        conn.execute(text(f"alter table {table} disable trigger user"))


def test_a_changed_past_is_never_signed(store: Store, signer: Signer, at: datetime) -> None:
    """Who rewrites an entry, its hash and the head still fails at the last checkpoint."""
    with store.write() as conn:
        fill(conn, at, 10)
        checkpoints.sign(conn, signer, at=at)
        unguard(conn, "ledger_entry", ["ledger_entry_no_update"])
        unguard(conn, "ledger_head", ["ledger_head_forward"])
        forged = ledger.leaf(conn, 4).replace(b'"r4"', b'"r5"')
        values = {"leaf": forged, "leaf_hash": ledger.leaf_hash(forged)}
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 4).values(**values))
        growth = merkle.Growth()
        growth.add(conn.execute(select(ledger_entry.c.leaf_hash).order_by(ledger_entry.c.seq)).scalars())
        conn.execute(update(ledger_head).values(root=growth.root(), frontier=b"".join(growth.frontier)))
        fill(conn, at, 1)

        with pytest.raises(InconsistentError, match="does not continue checkpoint 10"):
            checkpoints.sign(conn, signer, at=at)


def test_a_forgotten_checkpoint_is_remembered_outside(store: Store, signer: Signer, at: datetime) -> None:
    """Who also deletes the checkpoints from the database still meets the one beside the key."""
    with store.write() as conn:
        fill(conn, at, 10)
        signer.remember(checkpoints.sign(conn, signer, at=at))
        unguard(conn, "checkpoint", ["checkpoint_no_delete"])
        conn.execute(delete(checkpoint))
        unguard(conn, "ledger_entry", ["ledger_entry_no_update"])
        unguard(conn, "ledger_head", ["ledger_head_forward"])
        forged = ledger.leaf(conn, 4).replace(b'"r4"', b'"r5"')
        values = {"leaf": forged, "leaf_hash": ledger.leaf_hash(forged)}
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 4).values(**values))
        growth = merkle.Growth()
        growth.add(conn.execute(select(ledger_entry.c.leaf_hash).order_by(ledger_entry.c.seq)).scalars())
        conn.execute(update(ledger_head).values(root=growth.root(), frontier=b"".join(growth.frontier)))

        with pytest.raises(InconsistentError, match="does not continue checkpoint 10"):
            checkpoints.sign(conn, signer, at=at)


def test_a_ledger_rolled_back_is_never_signed(store: Store, signer: Signer, at: datetime) -> None:
    """An older backup, put back in silence: it says what to do where that was meant."""
    with store.write() as conn:
        fill(conn, at, 3)
        early = checkpoints.sign(conn, signer, at=at)
        note = notes.sign(str(TreeHead(ORIGIN, 9, bytes(32))), ORIGIN, signer.private)
        signer.remember(replace(early, size=9, note=note))

        with pytest.raises(InconsistentError, match="older backup restored"):
            checkpoints.sign(conn, signer, at=at)


def test_the_memory_only_goes_forward(store: Store, signer: Signer, at: datetime) -> None:
    """Two processes that remember in the wrong order; and the file is its owner's alone."""
    with store.write() as conn:
        fill(conn, at, 3)
        first = checkpoints.sign(conn, signer, at=at)
        fill(conn, at, 3)
        second = checkpoints.sign(conn, signer, at=at)
    signer.remember(second)
    signer.remember(first)

    assert signer.remembered() == TreeHead(ORIGIN, 6, second.root)
    assert signer.memory.stat().st_mode & 0o777 == 0o600


def test_a_head_unlike_its_tree_is_never_signed(store: Store, signer: Signer, at: datetime) -> None:
    """The root is computed from the hashes, not believed."""
    with store.write() as conn:
        fill(conn, at, 10)
        unguard(conn, "ledger_head", ["ledger_head_forward"])
        conn.execute(update(ledger_head).values(root=bytes(32)))

        with pytest.raises(InconsistentError, match="audit verify"):
            checkpoints.sign(conn, signer, at=at)


def test_another_key_does_not_go_on(store: Store, signer: Signer, at: datetime, tmp_path: Path) -> None:
    """A lost key file is not replaced in silence: the last checkpoint is none of the new key's."""
    other = Signer.load_or_create(tmp_path / "other.json", ORIGIN)
    with store.write() as conn:
        fill(conn, at, 2)
        checkpoints.sign(conn, signer, at=at)
        fill(conn, at, 2)
        with pytest.raises(notes.UnknownKeyError):
            checkpoints.sign(conn, other, at=at)


def test_every_entry_is_proven_against_the_newest(store: Store, signer: Signer, at: datetime) -> None:
    """A .tlog-proof of each of 700 entries holds, with nothing but the text and the public key."""
    with store.write() as conn:
        fill(conn, at, 700)
        checkpoints.sign(conn, signer, at=at)
        fill(conn, at, 50)
        for seq in range(0, 700, 7):
            proof = Proof.parse(checkpoints.tlog_proof(conn, seq))
            head = TreeHead.parse(notes.open_note(proof.note, [signer.verifier]))
            digest = ledger.leaf_hash(ledger.leaf(conn, seq))
            merkle.verify_inclusion(digest, seq, head.size, proof.hashes, head.root)
            with pytest.raises(ProofError):
                merkle.verify_inclusion(digest, seq + 1, head.size, proof.hashes, head.root)


def test_an_entry_behind_the_newest_is_not_proven(store: Store, signer: Signer, at: datetime) -> None:
    """It says which command helps."""
    with store.write() as conn:
        fill(conn, at, 2)
        with pytest.raises(CheckpointError, match="nurture audit checkpoint"):
            checkpoints.tlog_proof(conn, 0)
        checkpoints.sign(conn, signer, at=at)
        fill(conn, at, 1)
        with pytest.raises(CheckpointError, match="no checkpoint covers entry 2"):
            checkpoints.tlog_proof(conn, 2)


def test_a_proof_that_would_not_hold_is_not_given(store: Store, signer: Signer, at: datetime) -> None:
    """Of an entry that was changed behind the tree's back; those beside it are proven as before."""
    with store.write() as conn:
        fill(conn, at, 10)
        checkpoints.sign(conn, signer, at=at)
        unguard(conn, "ledger_entry", ["ledger_entry_no_update"])
        forged = ledger.leaf(conn, 4).replace(b'"r4"', b'"r5"')
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 4).values(leaf=forged))
        with pytest.raises(InconsistentError, match="entry 4 is not as it was written"):
            checkpoints.tlog_proof(conn, 4)
        assert Proof.parse(checkpoints.tlog_proof(conn, 5)).index == 5


def test_older_checkpoints_still_prove(store: Store, signer: Signer, at: datetime) -> None:
    """A proof can be asked for against a checkpoint from before."""
    with store.write() as conn:
        fill(conn, at, 300)
        old = checkpoints.sign(conn, signer, at=at)
        fill(conn, at, 300)
        checkpoints.sign(conn, signer, at=at)
        proof = Proof.parse(checkpoints.tlog_proof(conn, 299, old))

    merkle.verify_inclusion(proof_leaf(store, 299), 299, 300, proof.hashes, old.root)


def proof_leaf(store: Store, seq: int) -> bytes:
    """The hash of an entry."""
    with store.read() as conn:
        return ledger.leaf_hash(ledger.leaf(conn, seq))


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    """0600, the same at the second look, and it keeps the name it was made with."""
    path = tmp_path / "checkpoint_key.json"
    first = Signer.load_or_create(path, ORIGIN)
    again = Signer.load_or_create(path, "renamed.example/consent")

    assert path.stat().st_mode & 0o777 == 0o600
    assert str(again.verifier) == str(first.verifier)
    assert ORIGIN in repr(first)
    assert json.loads(path.read_text())["private"] not in repr(first)


def test_a_readable_or_spoilt_key_is_refused(tmp_path: Path) -> None:
    """Each with its remedy."""
    path = tmp_path / "checkpoint_key.json"
    Signer.load_or_create(path, ORIGIN)
    path.chmod(0o644)
    with pytest.raises(CheckpointError, match="chmod 600"):
        Signer.load_or_create(path, ORIGIN)
    path.chmod(0o600)
    for spoilt in ("", "{}", '{"origin": "x", "private": "AAAA"}', '{"origin": "x", "private": 7}'):
        path.write_text(spoilt)
        with pytest.raises(CheckpointError, match="restore it"):
            Signer.load_or_create(path, ORIGIN)
    key = json.dumps({"origin": "a b", "private": "A" * 43 + "="})
    path.write_text(key)
    with pytest.raises(CheckpointError, match="spaces"):
        Signer.load_or_create(path, ORIGIN)
    with pytest.raises(CheckpointError, match="spaces"):
        Signer.load_or_create(tmp_path / "new.json", "a b")


@pytest.mark.parametrize(
    "text_",
    [
        "",
        "a\n1\n",
        f"{ORIGIN}\n01\n{'A' * 43}=\n",
        f"{ORIGIN}\n-1\n{'A' * 43}=\n",
        f"{ORIGIN}\n1\n{'A' * 42}\n",
        f"{ORIGIN}\n1\n{'A' * 42}B=\n",
        f"{ORIGIN}\n1\nnot base64\n",
        f"a b\n1\n{'A' * 43}=\n",
        f"{ORIGIN}\n{'9' * 21}\n{'A' * 43}=\n",
    ],
)
def test_malformed_checkpoints_are_refused(text_: str) -> None:
    """A cut, padded or oddly spelt one."""
    with pytest.raises(FormatError):
        TreeHead.parse(text_)


def test_extension_lines_are_passed_over() -> None:
    """C2SP allows more lines below."""
    assert TreeHead.parse(f"{ORIGIN}\n1\n{'A' * 43}=\nmore\n") == TreeHead(ORIGIN, 1, bytes(32))


def test_the_largest_trees_are_read() -> None:
    """2^64 entries, and a proof of 64 hashes: more is no tree's."""
    assert TreeHead.parse(f"{ORIGIN}\n{2**64}\n{'A' * 43}=\n").size == 2**64
    proof = Proof(2**64 - 1, (bytes(32),) * 64, NOTE)
    assert Proof.parse(str(proof)) == proof


HASH = "A" * 43 + "="
NOTE = f"{ORIGIN}\n1\n{HASH}\n\n— {ORIGIN} AAAA\n"


def test_a_proof_reads_back_and_may_carry_extra_data() -> None:
    """What we write, and what another log may write."""
    proof = Proof(7, (bytes(32), b"\x01" * 32), NOTE)

    assert Proof.parse(str(proof)) == proof
    assert Proof.parse(str(proof).replace("index", "extra AAAA\nindex")) == proof
    assert Proof.parse(str(Proof(0, (), NOTE))) == Proof(0, (), NOTE)


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        f"c2sp.org/tlog-proof@v2\nindex 1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nplace 1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 01\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\n{NOTE}",
        "c2sp.org/tlog-proof@v1\nindex 1\n",
        f"c2sp.org/tlog-proof@v1\nindex 1\n{(HASH + chr(10)) * 65}\n{NOTE}",
    ],
)
def test_malformed_proofs_are_refused(spoilt: str) -> None:
    """Another version, no index, cut hashes, no checkpoint, more hashes than a tree needs."""
    with pytest.raises(FormatError):
        Proof.parse(spoilt)


def test_whoever_comes_second_takes_the_first_key(tmp_path: Path) -> None:
    """Two processes that start at once agree on one key."""
    path = tmp_path / "checkpoint_key.json"
    first = Signer.load_or_create(path, ORIGIN)
    checkpoints._store(path, ORIGIN)  # noqa: SLF001  the race, forced

    assert str(Signer.load_or_create(path, ORIGIN).verifier) == str(first.verifier)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_key_signs_for_its_own_ledger(store: Store, signer: Signer, at: datetime) -> None:
    """A last checkpoint of another ledger is not continued, although the key is right."""
    with store.write() as conn:
        fill(conn, at, 2)
        note = notes.sign(str(TreeHead("else.example/consent", 2, bytes(32))), ORIGIN, signer.private)
        conn.execute(insert(checkpoint).values(size=2, root=bytes(32), note=note, signed_at=at))
        fill(conn, at, 2)
        with pytest.raises(CheckpointError, match="another ledger"):
            checkpoints.sign(conn, signer, at=at)
