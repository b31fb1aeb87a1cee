"""How does one hash stand for every entry, and how is that shown to somebody who has only the hash?

The Merkle tree of RFC 6962, section 2.1 (kept by RFC 9162): leaf hash = SHA-256(0x00 || leaf), node hash =
SHA-256(0x01 || left || right), and a tree of n leaves splits at the largest power of two below n. Pure: no
database, no clock. Hashes come from a source that knows complete subtrees.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from consent import ConsentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of no entries at all."""
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
"""Hashes in a full tile (C2SP tlog-tiles)."""


class ProofError(ConsentError):
    """A proof does not show what it claims; the message says what does not fit."""


class Source(Protocol):
    """Knows the hashes of complete subtrees."""

    def node(self, height: int, index: int) -> bytes:
        """Give the hash over the leaves from index * 2^height up to (index + 1) * 2^height."""
        ...


def leaf_hash(leaf: bytes) -> bytes:
    """Hash an entry's bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """Hash many entries' bytes; a call for each would take a fifth more."""
    return [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into one."""
    return hashlib.sha256(b"\x01" + left + right).digest()


# --- growing ---------------------------------------------------------------------------------


@dataclass
class Growth:
    """A tree while leaves are appended: its size and the hashes of its complete subtrees, largest first.

    `finished[level]` collects what belongs into tiles of that level: leaf hashes at 0, the hashes of full
    tiles of the level below further up.
    """

    size: int = 0
    frontier: list[bytes] = field(default_factory=list)
    finished: dict[int, list[bytes]] = field(default_factory=dict)

    def add(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaves, level by level: on average two hashes each, however long the tree is."""
        nodes = list(leaf_hashes)
        self.size, before = self.size + len(nodes), self.size
        kept: list[bytes] = []
        height = 0
        while nodes:
            if not height % TILE_HEIGHT:
                self.finished.setdefault(height // TILE_HEIGHT, []).extend(nodes)
            if before >> height & 1:
                nodes.insert(0, self.frontier.pop())
            if len(nodes) & 1:
                kept.append(nodes.pop())
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            # As node_hash, without the call: appending is the one place where it counts.
            nodes = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
            height += 1
        self.frontier += reversed(kept)

    def root(self) -> bytes:
        """Give the hash that stands for all leaves so far."""
        if not self.frontier:
            return EMPTY_ROOT
        node = self.frontier[-1]
        for left in reversed(self.frontier[:-1]):
            node = node_hash(left, node)
        return node


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Give the root over leaf hashes."""
    growth = Growth()
    growth.add(leaf_hashes)
    return growth.root()


def merged(hashes: Sequence[bytes]) -> bytes:
    """Give the hash over 1, 2, 4 ... neighbouring subtrees of one size."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


# --- proving ---------------------------------------------------------------------------------


def root(size: int, source: Source) -> bytes:
    """Give the root of the first `size` leaves."""
    return _range(0, size, source) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, source: Source) -> list[bytes]:
    """Give the hashes that lead from leaf `index` to the root of `size` leaves, the leaf's neighbour first.

    Raises ProofError for a leaf that the tree does not have.
    """
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not among the first {size}")
    return _path(index, 0, size, source)


def consistency_proof(old: int, new: int, source: Source) -> list[bytes]:
    """Give the hashes that show that the first `old` leaves begin the tree of `new` leaves.

    Raises ProofError for an old size of 0 (everything extends nothing) or beyond the new one.
    """
    if not 0 < old <= new:
        raise ProofError(f"a tree of {new} cannot be shown to extend one of {old}")
    return _subproof(old, 0, new, source, whole=True)


def _split(count: int) -> int:
    """Give the largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _range(low: int, high: int, source: Source) -> bytes:
    """Hash the leaves from low up to high, where low starts a subtree of the whole."""
    count = high - low
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return source.node(height, low >> height)
    middle = low + _split(count)
    return node_hash(_range(low, middle, source), _range(middle, high, source))


def _path(index: int, low: int, high: int, source: Source) -> list[bytes]:
    if high - low == 1:
        return []
    middle = low + _split(high - low)
    if index < middle:
        return [*_path(index, low, middle, source), _range(middle, high, source)]
    return [*_path(index, middle, high, source), _range(low, middle, source)]


def _subproof(old: int, low: int, high: int, source: Source, *, whole: bool) -> list[bytes]:
    """RFC 6962, 2.1.2; `whole` while the old tree is a subtree whose root the verifier holds."""
    if low + old == high:
        return [] if whole else [_range(low, high, source)]
    left = _split(high - low)
    middle = low + left
    if old <= left:
        return [*_subproof(old, low, middle, source, whole=whole), _range(middle, high, source)]
    return [*_subproof(old - left, middle, high, source, whole=False), _range(low, middle, source)]


# --- checking --------------------------------------------------------------------------------


def verify_inclusion(digest: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> None:
    """Check that leaf hash `digest` is entry `index` of the tree of `size` leaves with this root.

    RFC 9162, 2.1.3.2. Raises ProofError when the proof does not show it.
    """
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not among the first {size}")
    _check_width(digest, root_hash, *proof)
    node = digest
    for part, is_left in _climb(index, size - 1, proof):
        node = node_hash(part, node) if is_left else node_hash(node, part)
    if not hmac.compare_digest(node, root_hash):
        raise ProofError(f"entry {index} does not lead to the root")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree of `old` leaves begins the tree of `new` leaves. RFC 9162, 2.1.4.2.

    Raises ProofError when the proof does not show it, and always for an old size of 0.
    """
    if not 0 < old <= new:
        raise ProofError(f"a tree of {new} cannot be shown to extend one of {old}")
    if old == new:
        if proof or not hmac.compare_digest(old_root, new_root):
            raise ProofError("two trees of one size have different roots")
        return
    _check_width(old_root, new_root, *proof)
    # Where the old tree is one complete subtree, its root is the first hash; the proof leaves it out.
    parts = list(proof) if old & (old - 1) else [old_root, *proof]
    if not proof:
        raise ProofError("the proof is too short")
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    before = after = parts[0]
    for part, is_left in _climb(position, last, parts[1:]):
        if is_left:
            before, after = node_hash(part, before), node_hash(part, after)
        else:
            after = node_hash(after, part)
    if not (hmac.compare_digest(before, old_root) and hmac.compare_digest(after, new_root)):
        raise ProofError("the new tree does not begin with the old one")


def _climb(position: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Give each hash of a proof with whether it stands left of the node that we come from.

    `position` and `last` number that node and the last one of its row. Raises ProofError unless the proof
    ends exactly at the root.
    """
    for part in proof:
        if last == 0:
            raise ProofError("the proof is too long")
        is_left = bool(position & 1) or position == last
        yield part, is_left
        # The last node of a row without a neighbour rises until it has one.
        while is_left and not position & 1 and position:
            position, last = position >> 1, last >> 1
        position, last = position >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")


def _check_width(*parts: bytes) -> None:
    if any(len(part) != HASH_BYTES for part in parts):
        raise ProofError("a hash is not 32 bytes long")
