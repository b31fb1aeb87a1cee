"""How are the hashes of a tree laid out in tiles and files? As C2SP tlog-tiles says. Knows no database."""

from __future__ import annotations

from consent.merkle import HASH_BYTES, TILE_WIDTH


def split(data: bytes) -> list[bytes]:
    """Cut the bytes of a tile into hashes."""
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


def path(level: int, index: int, width: int) -> str:
    """Name the file of a tile as C2SP tlog-tiles does, such as tile/0/x001/234 or tile/1/000.p/17."""
    parts = [f"{index % 1000:03}"]
    while index := index // 1000:
        parts = [f"x{index % 1000:03}", *parts]
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(parts)}{partial}"
