"""What exactly does SQLite write and sync, and in which order? A VFS that notes it while our code runs unchanged.

Registered with the very library that Python's sqlite3 is linked with, as the default: whoever opens a file
opens it through here. Only xWrite, xTruncate, xSync and xDelete are ours; all else, shared memory of the WAL
included, is the system's own.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

POINTER = ctypes.c_void_p
INT = ctypes.c_int
INT64 = ctypes.c_int64
NAME = b"nurture-recorder"

OPEN = ctypes.CFUNCTYPE(INT, POINTER, POINTER, POINTER, INT, POINTER)
DELETE = ctypes.CFUNCTYPE(INT, POINTER, ctypes.c_char_p, INT)
WRITE = ctypes.CFUNCTYPE(INT, POINTER, POINTER, INT, INT64)
TRUNCATE = ctypes.CFUNCTYPE(INT, POINTER, INT64)
SYNC = ctypes.CFUNCTYPE(INT, POINTER, INT)


class Vfs(ctypes.Structure):
    """`sqlite3_vfs`, version 3."""

    _fields_ = (
        ("iVersion", INT), ("szOsFile", INT), ("mxPathname", INT), ("pNext", POINTER), ("zName", ctypes.c_char_p),
        ("pAppData", POINTER), ("xOpen", POINTER), ("xDelete", POINTER),
        *((name, POINTER) for name in (
            "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose", "xRandomness", "xSleep",
            "xCurrentTime", "xGetLastError", "xCurrentTimeInt64", "xSetSystemCall", "xGetSystemCall",
            "xNextSystemCall")),
    )  # fmt: skip


class Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = (
        ("iVersion", INT),
        *((name, POINTER) for name in (
            "xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock", "xCheckReservedLock",
            "xFileControl", "xSectorSize", "xDeviceCharacteristics", "xShmMap", "xShmLock", "xShmBarrier",
            "xShmUnmap", "xFetch", "xUnfetch")),
    )  # fmt: skip


class File(ctypes.Structure):
    """`sqlite3_file`."""

    _fields_ = (("pMethods", ctypes.POINTER(Methods)),)


@dataclass(frozen=True)
class Op:
    """One thing that was asked of the disk."""

    kind: str
    """write, truncate, sync, delete."""
    name: str
    """The file's name, without its folder."""
    offset: int = 0
    """Of a write; the new size of a truncation."""
    data: bytes = b""


@dataclass
class Recording:
    """All that was asked, in order."""

    ops: list[Op] = field(default_factory=list)


class ForeignLibraryError(RuntimeError):
    """This Python carries an SQLite of its own that cannot be reached from outside."""


@contextmanager
def recording() -> Iterator[Recording]:
    """Record everything that SQLite writes in this process until the block ends.

    Raises ForeignLibraryError where Python's sqlite3 is not linked with the system's library.
    """
    library = ctypes.CDLL(ctypes.util.find_library("sqlite3") or "libsqlite3.so.0")
    library.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
    system = library.sqlite3_vfs_find(None)
    made = Recording()
    ours, kept = _vfs(system, made)
    library.sqlite3_vfs_register(ctypes.byref(ours), 1)
    try:
        _require_same_library()
        yield made
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(ours))
        # Python must not collect the callbacks before SQLite forgot them.
        kept.clear()


def _require_same_library() -> None:
    wire = sqlite3.connect(":memory:")
    wire.close()
    try:
        sqlite3.connect(f"file:/nowhere/at/all?vfs={NAME.decode()}", uri=True).close()
    except sqlite3.OperationalError as error:
        if "no such vfs" in str(error):
            raise ForeignLibraryError("Python's sqlite3 is not linked with the system's library") from error


def _vfs(system: Any, made: Recording) -> tuple[Vfs, list[Any]]:
    """Make the VFS: the system's with our way to open and delete."""
    ours = Vfs()
    ctypes.pointer(ours)[0] = system.contents
    kept: list[Any] = []
    names: dict[int, str] = {}
    tables: dict[int, Methods] = {}
    system_open = OPEN(system.contents.xOpen)
    system_delete = DELETE(system.contents.xDelete)

    def opened(_vfs: int, path: int | None, file: int, flags: int, out: int) -> int:
        # The very pointer goes on: the system's VFS keeps it, as SQLite promises that the text stays.
        code: int = system_open(ctypes.addressof(system.contents), path, file, flags, out)
        if code == 0 and path:
            names[file] = Path(ctypes.string_at(path).decode()).name
            wire = File.from_address(file)
            before = ctypes.addressof(wire.pMethods.contents)
            if before not in tables:
                tables[before] = _methods(wire.pMethods.contents, names, made, kept)
            wire.pMethods = ctypes.pointer(tables[before])
        return code

    def deleted(_vfs: int, path: bytes, durable: int) -> int:
        code: int = system_delete(ctypes.addressof(system.contents), path, durable)
        if code == 0:
            made.ops.append(Op("delete", Path(path.decode()).name, durable))
        return code

    kept += [OPEN(opened), DELETE(deleted), tables]
    ours.zName, ours.pNext = NAME, None
    ours.xOpen, ours.xDelete = (ctypes.cast(one, POINTER) for one in kept[:2])
    return ours, kept


def _methods(system: Methods, names: dict[int, str], made: Recording, kept: list[Any]) -> Methods:
    """Copy a table of methods with our own way to write, cut and sync."""
    table = Methods()
    ctypes.pointer(table)[0] = system
    write, truncate, sync = WRITE(system.xWrite), TRUNCATE(system.xTruncate), SYNC(system.xSync)

    def written(file: int, data: int, size: int, offset: int) -> int:
        made.ops.append(Op("write", names[file], offset, ctypes.string_at(data, size)))
        return int(write(file, data, size, offset))

    def cut(file: int, size: int) -> int:
        made.ops.append(Op("truncate", names[file], size))
        return int(truncate(file, size))

    def synced(file: int, flags: int) -> int:
        code = int(sync(file, flags))
        made.ops.append(Op("sync", names[file]))
        return code

    callbacks = [WRITE(written), TRUNCATE(cut), SYNC(synced)]
    kept += callbacks
    table.xWrite, table.xTruncate, table.xSync = (ctypes.cast(one, POINTER) for one in callbacks)
    return table
