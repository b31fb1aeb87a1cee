"""Which kind of file is this, and what are its rows? One face for CSV and workbooks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from nurture.leads.importing.problems import FileProblem, ImportFileError
from nurture.leads.importing.sheets import OLE_MAGIC, ZIP_MAGIC, SheetFile
from nurture.leads.importing.text_files import TextFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 512 << 20
"""Bytes of a file."""


class Source(Protocol):
    """A table of text."""

    kind: str
    """csv or excel."""
    encoding: str
    separator: str
    headers: list[str]
    header_line: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Give (line, cells) of each row below the header that is not empty; may be called again."""
        ...


@contextmanager
def open_source(path: Path, *, encoding: str | None = None, sheet: str = "") -> Iterator[Source]:
    """Open a list by what it is, not by its name's ending. Raises ImportFileError.

    The file must not change meanwhile: it is read more than once.
    """
    before = _stamp(path)
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(ZIP_MAGIC) or start == OLE_MAGIC:
        workbook = SheetFile(path, sheet=sheet)
        try:
            yield workbook
        finally:
            workbook.close()
    else:
        yield TextFile(path, encoding=encoding)
    if _stamp(path) != before:
        raise ImportFileError(FileProblem.CHANGED, "the file was changed while it was read", "Import it again")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
        if not path.is_file():
            raise IsADirectoryError
        with path.open("rb"):
            pass
    except OSError:
        raise ImportFileError(
            FileProblem.UNREADABLE, "the file cannot be read", "Check its path and permissions"
        ) from None
    if state.st_size == 0:
        raise ImportFileError(FileProblem.EMPTY, "the file is empty", "Export it again", line=1)
    if state.st_size > LARGEST:
        raise ImportFileError(
            FileProblem.TOO_LARGE, f"the file is larger than {LARGEST >> 20} MiB", "Split it into several files"
        )
    return state.st_size, state.st_mtime_ns
