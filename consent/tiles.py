"""Where do the hashes of the tree lie? Full tiles as rows of their own, 256 hashes each; the rest follows.

One row per 256 entries. A partial tile at the right edge is read from the entries, or from the roots of the tiles
one level below, so nothing that may still change is stored twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from consent.bulk import insert_all
from consent.entries import LedgerError
from consent.layout import split
from consent.merkle import TILE_HEIGHT, TILE_WIDTH, merged
from consent.schema import ledger_entry, ledger_tile

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FULL = select(ledger_tile.c.hashes).where(ledger_tile.c.level == bindparam("at"), ledger_tile.c.idx == bindparam("of"))
_OF_ENTRIES = (
    select(ledger_entry.c.leaf_hash)
    .where(ledger_entry.c.seq >= bindparam("low"), ledger_entry.c.seq < bindparam("high"))
    .order_by(ledger_entry.c.seq)
)
_OF_TILES = (
    select(ledger_tile.c.root)
    .where(
        ledger_tile.c.level == bindparam("below"),
        ledger_tile.c.idx >= bindparam("low"),
        ledger_tile.c.idx < bindparam("high"),
    )
    .order_by(ledger_tile.c.idx)
)


class Tiles:
    """The tree's hashes in the database; a merkle.Source. Keeps the tiles it read, so use one per question."""

    def __init__(self, conn: Connection) -> None:
        """Read through this connection."""
        self.conn = conn
        self._held: dict[tuple[int, int], list[bytes]] = {}

    def node(self, height: int, index: int) -> bytes:
        """Give the hash of a complete subtree; raises LedgerError where the ledger is too short for it."""
        level, within = divmod(height, TILE_HEIGHT)
        first = index << within
        tile, start = divmod(first, TILE_WIDTH)
        hashes = self.tile(level, tile)[start : start + (1 << within)]
        if len(hashes) != 1 << within:
            raise LedgerError(f"the ledger holds no complete subtree {index} of height {height}")
        return merged(hashes)

    def tile(self, level: int, index: int) -> list[bytes]:
        """Give the hashes of a tile: 256, or as many as there are at the right edge."""
        known = self._held.get((level, index))
        if known is None:
            known = self._held[level, index] = self._full(level, index) or self.partial(level, index)
        return known

    def _full(self, level: int, index: int) -> list[bytes]:
        found = self.conn.execute(_FULL, {"at": level, "of": index}).scalar_one_or_none()
        return split(found) if found is not None else []

    def partial(self, level: int, index: int, width: int = TILE_WIDTH) -> list[bytes]:
        """Give the first hashes of a tile that is not stored yet."""
        low = index * TILE_WIDTH
        high = low + width
        if level == 0:
            return list(self.conn.execute(_OF_ENTRIES, {"low": low, "high": high}).scalars())
        return list(self.conn.execute(_OF_TILES, {"below": level - 1, "low": low, "high": high}).scalars())


def store(conn: Connection, before: int, finished: dict[int, list[bytes]]) -> None:
    """Store the tiles that became full while a tree of `before` leaves grew by merkle.Growth.finished."""
    held, rows = Tiles(conn), []
    for level, added in sorted(finished.items()):
        first = before >> (TILE_HEIGHT * level)
        index, start = divmod(first, TILE_WIDTH)
        if start + len(added) < TILE_WIDTH:
            continue
        # What stands in the tile so far; its own rows were written before.
        hashes = [*held.partial(level, index, start), *added]
        above = iter(finished[level + 1])
        for number in range(len(hashes) // TILE_WIDTH):
            part = hashes[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
            rows.append({"level": level, "idx": index + number, "hashes": b"".join(part), "root": next(above)})
    insert_all(conn, ledger_tile, rows)
