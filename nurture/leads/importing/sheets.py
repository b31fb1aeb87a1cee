"""What stands in an Excel or OpenDocument file? Unpacked with a limit, read in a process with a limit."""

from __future__ import annotations

import subprocess
import sys
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from nurture.leads.importing import sheet_child
from nurture.leads.importing.problems import FileProblem, ImportFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_UNPACKED = 1 << 30
"""Bytes. A million rows of an export unpack to about 700 MB."""
MOST_ENTRIES = 10_000
MEMORY = 2 << 30
"""Bytes of address space for the reading process."""
SECONDS = 120
"""CPU time of the reading process."""
MOST_COLUMNS = 1000
ZIP_MAGIC = b"PK\x03\x04"
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class SheetFile:
    """The first visible sheet of a workbook (or the one named)."""

    encoding = ""
    separator = ""

    def __init__(self, path: Path, *, sheet: str = "") -> None:
        """Check the container, start the reader, find the header. Raises ImportFileError."""
        self.path = path
        self.kind = "excel"
        with path.open("rb") as file:
            if file.read(4) == ZIP_MAGIC:
                check_container(path)
        self._child = subprocess.Popen(  # noqa: S603  our own file with our own Python
            [sys.executable, "-I", str(Path(sheet_child.__file__)), str(path), sheet, str(MEMORY), str(SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        told = self._receive()
        if "error" in told:
            problem = _ERRORS[told["error"]]()
            raise problem
        if told["columns"] > MOST_COLUMNS:
            raise ImportFileError(
                FileProblem.TOO_LARGE,
                f"the sheet has more than {MOST_COLUMNS} columns",
                "Delete the columns that are not needed",
            )
        if not told["rows"]:
            raise ImportFileError(
                FileProblem.EMPTY, "the sheet is empty", "Name another one with the map key sheet", line=1
            )
        self.header_line, self.headers = told["line"], told["headers"]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Give each row that is not empty with its number in the sheet. May be called again."""
        while self._unread:
            self._unread = bool(self._receive())
        self._ask()
        while chunk := self._receive():
            yield from chunk
        self._unread = False

    _unread = False
    """Did an earlier reading stop before its end?"""

    def close(self) -> None:
        """End the reading process."""
        self._child.kill()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        self._child.wait()

    def _ask(self) -> None:
        if self._child.stdin is None:
            raise _broken()
        try:
            self._child.stdin.write(b"rows\n")
            self._child.stdin.flush()
        except OSError:
            raise _broken() from None
        self._unread = True

    def _receive(self) -> Any:  # noqa: ANN401  JSON of our own child
        line = self._child.stdout.readline() if self._child.stdout else b""
        if not line.endswith(b"\n"):
            # The child was stopped by its limits or by a fault of the reader.
            raise ImportFileError(
                FileProblem.BROKEN_WORKBOOK,
                "the workbook needs more memory or time than an import may take, or is damaged",
                "Save it again with only the list in it, or export it as CSV",
            )
        return orjson.loads(line)


def _broken() -> ImportFileError:
    return ImportFileError(
        FileProblem.BROKEN_WORKBOOK,
        "the workbook is damaged or cut off",
        "Open it in a spreadsheet program and save it again, or export it as CSV",
    )


def _protected() -> ImportFileError:
    return ImportFileError(
        FileProblem.BROKEN_WORKBOOK, "the workbook is protected by a password", "Save it without a password"
    )


def _no_sheet() -> ImportFileError:
    return ImportFileError(FileProblem.BAD_OPTION, "the workbook has no sheet of that name", "Mend the map key sheet")


_ERRORS = {"broken": _broken, "password": _protected, "sheet": _no_sheet}


def check_container(path: Path) -> None:
    """Unpack a zip container into nothing, and refuse one that grows too large or contradicts itself.

    The sizes an archive states about itself are not believed: a bomb lies.
    """
    budget = LARGEST_UNPACKED
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > LARGEST_UNPACKED:
                raise _bomb()
            for entry in entries:
                with archive.open(entry) as packed:
                    while block := packed.read(1 << 20):
                        budget -= len(block)
                        if budget < 0:
                            raise _bomb()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        raise _broken() from None


def _bomb() -> ImportFileError:
    return ImportFileError(
        FileProblem.TOO_LARGE,
        f"the workbook unpacks to more than {LARGEST_UNPACKED >> 20} MiB",
        "Save it again with only the list in it, or export it as CSV",
    )
