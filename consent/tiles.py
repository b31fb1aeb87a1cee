"""Where do the hashes of the tree lie? Full tiles as rows of their own, 256 hashes each; the rest follows.

One row per 256 entries. A partial tile at the right edge is read from the entries, or from the roots of the tiles
one level below, so nothing that may still change is stored twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from consent.bulk import insert_all
from consent.entries import LedgerError
from consent.layout import split
from consent.merkle import TILE_HEIGHT, TILE_WIDTH, merged
from consent.schema import ledger_entry, ledger_tile

if TYPE_CHECKING:
    from sqlalchemy import Connection


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
            known = self._held[level, index] = self._full(level, index) or self._partial(level, index)
        return known

    def _full(self, level: int, index: int) -> list[bytes]:
        query = select(ledger_tile.c.hashes).where(ledger_tile.c.level == level, ledger_tile.c.idx == index)
        found = self.conn.execute(query).scalar_one_or_none()
        return split(found) if found is not None else []

    def _partial(self, level: int, index: int) -> list[bytes]:
        low, high = index * TILE_WIDTH, (index + 1) * TILE_WIDTH
        query: Any
        if level == 0:
            query = select(ledger_entry.c.leaf_hash).where(ledger_entry.c.seq >= low, ledger_entry.c.seq < high)
            query = query.order_by(ledger_entry.c.seq)
        else:
            query = select(ledger_tile.c.root).where(
                ledger_tile.c.level == level - 1, ledger_tile.c.idx >= low, ledger_tile.c.idx < high
            )
            query = query.order_by(ledger_tile.c.idx)
        return list(self.conn.execute(query).scalars())


def store(conn: Connection, before: int, finished: dict[int, list[bytes]]) -> None:
    """Store the tiles that became full while a tree of `before` leaves grew by merkle.Growth.finished."""
    held, rows = Tiles(conn), []
    for level, added in sorted(finished.items()):
        first = before >> (TILE_HEIGHT * level)
        start = first % TILE_WIDTH
        if start + len(added) < TILE_WIDTH:
            continue
        # What stands in the tile so far; its own rows were written before.
        hashes = [*held.tile(level, first // TILE_WIDTH)[:start], *added]
        above = iter(finished[level + 1])
        for number in range(len(hashes) // TILE_WIDTH):
            part = hashes[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
            rows.append(
                {
                    "level": level,
                    "idx": first // TILE_WIDTH + number,
                    "hashes": b"".join(part),
                    "root": next(above),
                }
            )
    if rows:
        insert_all(conn, ledger_tile, rows)
