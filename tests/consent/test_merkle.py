"""T68: the tree agrees with the published vectors, with a naive tree and with a second source of hashes."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import merkle
from consent.merkle import ProofError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 130
"""Trees up to this size are compared entry by entry."""


def naive(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return hashlib.sha256(b"\x01" + naive(leaves[:middle]) + naive(leaves[middle:])).digest()


class Leaves:
    """A source over leaf hashes in memory."""

    def __init__(self, hashes: list[bytes]) -> None:
        """Keep the hashes."""
        self.hashes = hashes

    def node(self, height: int, index: int) -> bytes:
        """Hash the leaves of a complete subtree."""
        part = self.hashes[index << height : (index + 1) << height]
        assert len(part) == 1 << height
        return merkle.merged(part)


LEAVES = [f"leaf {number}".encode() for number in range(LARGEST)]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
ROOTS = [naive(LEAVES[:size]) for size in range(LARGEST + 1)]
SOURCE = Leaves(HASHES)


def data(value: str | None) -> bytes:
    """Read a base64 field of the vectors."""
    return base64.b64decode(value or "")


def vectors(shared: Path, kind: str) -> dict[str, dict[str, Any]]:
    """The vectors of one kind of proof."""
    listed = json.loads((shared / "merkle" / "proof_vectors.json").read_text("utf-8"))
    return {name: vector for name, vector in listed.items() if name.startswith(f"testdata/{kind}/")}


def holds(check: Any, *arguments: Any) -> bool:
    """Does a check pass?"""
    try:
        check(*arguments)
    except ProofError:
        return False
    return True


@pytest.fixture(scope="session")
def merkle_data(shared: Path) -> Path:
    """The folder of vectors."""
    return shared / "data"


def test_t68_every_inclusion_vector_is_judged_as_published(merkle_data: Path) -> None:
    """T68: 98 good, tampered, truncated and swapped inclusion proofs of transparency-dev/merkle."""
    listed = vectors(merkle_data, "inclusion")
    judged = {
        name: holds(
            merkle.verify_inclusion, data(one["leafHash"]), one["leafIdx"], one["treeSize"],
            [data(part) for part in one["proof"] or []], data(one["root"]),
        )
        for name, one in listed.items()
    }  # fmt: skip

    assert len(listed) == 98
    assert judged == {name: not one["wantErr"] for name, one in listed.items()}


def test_t68_every_consistency_vector_is_judged_as_published(merkle_data: Path) -> None:
    """T68: 98 consistency proofs; one from size 0 is an error."""
    listed = vectors(merkle_data, "consistency")
    judged = {
        name: holds(
            merkle.verify_consistency, one["size1"], one["size2"],
            [data(part) for part in one["proof"] or []], data(one["root1"]), data(one["root2"]),
        )
        for name, one in listed.items()
    }  # fmt: skip

    assert len(listed) == 98
    assert judged == {name: not one["wantErr"] for name, one in listed.items()}


def test_t68_roots_agree_with_the_naive_tree() -> None:
    """T68: growing leaf by leaf gives the root that the definition gives, for every size."""
    growth = merkle.Growth()
    roots = [growth.root()]
    for digest in HASHES:
        growth.add([digest])
        roots.append(growth.root())

    assert roots == ROOTS
    assert [merkle.root(size, SOURCE) for size in range(LARGEST + 1)] == ROOTS


def test_t68_every_proof_of_small_trees_holds() -> None:
    """T68: 8,515 inclusion and 8,515 consistency proofs, each against the naive tree's root, and 262 edges."""
    proofs = 0
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, SOURCE)
            merkle.verify_inclusion(HASHES[index], index, size, proof, ROOTS[size])
            assert len(proof) <= (size - 1).bit_length()
            older = merkle.consistency_proof(index + 1, size, SOURCE)
            merkle.verify_consistency(index + 1, size, older, ROOTS[index + 1], ROOTS[size])
            proofs += 2
        for outside in (-1, size):
            with pytest.raises(ProofError):
                merkle.inclusion_proof(outside, size, SOURCE)
            proofs += 1

    assert proofs == 17_290


def test_no_proof_serves_another_entry() -> None:
    """Each proof of a tree of 33, offered for every other place, size, leaf and root."""
    for index in range(33):
        proof = merkle.inclusion_proof(index, 33, SOURCE)
        others = [
            *((HASHES[index], place, 33, proof, ROOTS[33]) for place in range(-1, 35) if place != index),
            *((HASHES[other], index, 33, proof, ROOTS[33]) for other in range(33) if other != index),
            *((HASHES[index], index, 33, proof, ROOTS[other]) for other in range(LARGEST) if other != 33),
            *((HASHES[index], index, 33, proof[:cut], ROOTS[33]) for cut in range(len(proof))),
            (HASHES[index], index, 33, [*proof, bytes(32)], ROOTS[33]),
            (HASHES[index], index, 33, [proof[0][:31], *proof[1:]], ROOTS[33]),
        ]
        assert not any(holds(merkle.verify_inclusion, *other) for other in others)


@given(st.integers(1, LARGEST), st.integers(1, LARGEST), st.data())
def test_a_flipped_bit_breaks_every_consistency_proof(one: int, other: int, chance: st.DataObject) -> None:
    """Whatever bit of proof or roots is flipped: it no longer holds."""
    old, new = sorted((one, other))
    parts = [*merkle.consistency_proof(old, new, SOURCE), ROOTS[old], ROOTS[new]]
    number = chance.draw(st.integers(0, len(parts) - 1))
    byte, bit = chance.draw(st.integers(0, 31)), chance.draw(st.integers(0, 7))
    bad = bytearray(parts[number])
    bad[byte] ^= 1 << bit
    parts[number] = bytes(bad)

    assert not holds(merkle.verify_consistency, old, new, parts[:-2], parts[-2], parts[-1])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (6, 5), (-1, 5)])
def test_a_tree_extends_only_a_smaller_one(old: int, new: int) -> None:
    """Size 0 is no checkpoint, and a tree does not shrink."""
    with pytest.raises(ProofError, match="cannot be shown"):
        merkle.consistency_proof(old, new, SOURCE)
    with pytest.raises(ProofError, match="cannot be shown"):
        merkle.verify_consistency(old, new, [], ROOTS[0], ROOTS[5])


def test_a_refused_proof_says_why() -> None:
    """A hash of another width, and one hash more than the way to the root has."""
    good = merkle.consistency_proof(3, 5, SOURCE)
    merkle.verify_consistency(3, 5, good, ROOTS[3], ROOTS[5])

    for spoilt in ([good[0][:-1], *good[1:]], [*good[:-1], good[-1] + b"x"]):
        with pytest.raises(ProofError, match="not 32 bytes"):
            merkle.verify_consistency(3, 5, spoilt, ROOTS[3], ROOTS[5])
    with pytest.raises(ProofError, match="not 32 bytes"):
        merkle.verify_consistency(3, 5, good, ROOTS[3][:-1], ROOTS[5])
    with pytest.raises(ProofError, match="too long"):
        merkle.verify_consistency(3, 5, [*good, good[-1]], ROOTS[3], ROOTS[5])


@given(st.lists(st.integers(1, 700), min_size=1, max_size=6))
def test_growth_collects_what_tiles_need(steps: list[int]) -> None:
    """However a tree grows, level 0 gets its leaves and level 1 the root of every 256 of them."""
    growth, leaves = merkle.Growth(), [number.to_bytes(32) for number in range(sum(steps))]
    start = 0
    for step in steps:
        growth.add(leaves[start : start + step])
        start += step

    assert growth.finished[0] == leaves
    tiles = [leaves[first : first + 256] for first in range(0, len(leaves) - 255, 256)]
    assert growth.finished.get(1, []) == [merkle.root_of(tile) for tile in tiles]
    assert growth.root() == merkle.root(len(leaves), Leaves(leaves))
