"""What stands in a workbook? Read in a process of its own, with a bound on memory and time.

A small file can unpack to gigabytes, one cell in the last corner makes a table of billions of cells,
and the reader, which is not Python, ends its whole process then: it must not be ours. Started by
`sheets.py` with this file's path; speaks JSON lines on stdout, nothing else.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import orjson
import python_calamine

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK = 500
"""Rows in one line of the answer."""


def bound(memory: int, seconds: int) -> None:
    """Let the operating system stop what grows beyond a limit (where it can: not on Windows)."""
    try:
        import resource  # noqa: PLC0415  absent on Windows
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def cell(value: object) -> str:
    """Write a cell as an export in text form would."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def tell(value: object) -> None:
    """Send one line."""
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")


def choose(book: python_calamine.CalamineWorkbook, wanted: str) -> str:
    """Give the sheet asked for, else the first visible one."""
    if wanted:
        return wanted
    visible = [
        sheet.name for sheet in book.sheets_metadata if sheet.visible == python_calamine.SheetVisibleEnum.Visible
    ]
    return (visible or book.sheet_names)[0]


def rows(sheet: python_calamine.CalamineSheet) -> list[tuple[int, Sequence[object]]]:
    """Give all rows that are not empty, with their numbers in the sheet."""
    first = (sheet.start or (0, 0))[0] + 1
    numbered = enumerate(sheet.to_python(skip_empty_area=True), start=first)
    return [(line, values) for line, values in numbered if any(value not in ("", None) for value in values)]


def send(found: list[tuple[int, Sequence[object]]]) -> None:
    """Send rows as [line, [cells]], then an empty list."""
    for start in range(0, len(found), CHUNK):
        tell([(line, list(map(cell, values))) for line, values in found[start : start + CHUNK]])
    tell([])


def main(path: str, wanted: str, memory: str, seconds: str) -> None:
    """Open, then send the rows once for each line read from stdin."""
    bound(int(memory), int(seconds))
    try:
        book = python_calamine.CalamineWorkbook.from_path(path)
        sheet = book.get_sheet_by_name(choose(book, wanted))
    except python_calamine.PasswordError:
        return tell({"error": "password"})
    except python_calamine.WorksheetNotFound:
        return tell({"error": "sheet"})
    except (python_calamine.CalamineError, OSError, ValueError, IndexError):
        return tell({"error": "broken"})
    found = rows(sheet)
    head, values = found[0] if found else (1, [])
    tell({"rows": len(found), "columns": sheet.total_width, "line": head, "headers": list(map(cell, values))})
    sys.stdout.flush()
    for _ in sys.stdin:
        send(found[1:])
        sys.stdout.flush()
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
