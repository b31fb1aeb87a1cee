"""How often is a file of rules read? Once, until it changes: a batch of mails must not wait for YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_held: dict[tuple[Any, Path], tuple[tuple[int, int, int], Any]] = {}


def remembered(read: Callable[[Path], T], path: Path) -> T:
    """Give what `read` makes of a file, anew only when the file is another than last time. What it raises is not kept.

    The same object is given to all, so it must be immutable.
    """
    try:
        now = path.stat()
    except OSError:
        return read(path)
    # An editor writes a new file in place of the old one, or the old one longer, or later.
    mark = (now.st_ino, now.st_size, now.st_mtime_ns)
    known = _held.get((read, path))
    if known is not None and known[0] == mark:
        value: T = known[1]
        return value
    value = read(path)
    _held[read, path] = (mark, value)
    return value
