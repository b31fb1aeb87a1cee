"""Is every hostile or broken file refused with line and remedy, and nothing of it taken?"""

from __future__ import annotations

import io
import random
import re
import zipfile
from typing import TYPE_CHECKING

import openpyxl
import pytest

from nurture.leads.importing import sheets
from nurture.leads.importing.mapping import Map
from nurture.leads.importing.problems import FileProblem, ImportFileError

if TYPE_CHECKING:
    from tests.nurture.leads.conftest import Desk

GOOD = "Email,First Name\nvera@firma.example,Vera\n"


def workbook(*rows: list[object]) -> bytes:
    """Write rows into a workbook."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def bomb() -> bytes:
    """A workbook of some kilobytes that unpacks to more than the limit."""
    out = io.BytesIO(workbook(["Email"], ["a@firma.example"]))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/x.bin", "w") as entry:
        for _ in range(80):
            entry.write(bytes(1 << 20))
    return out.getvalue()


CASES: dict[str, tuple[bytes, FileProblem, int | None]] = {
    "empty file": (b"", FileProblem.EMPTY, 1),
    "white space only": (b" \n \n", FileProblem.EMPTY, 1),
    "header only": (b"Email,Name\n", FileProblem.HEADER_ONLY, 1),
    "header only workbook": (workbook(["Email"]), FileProblem.HEADER_ONLY, 1),
    "binary file": (random.Random(7).randbytes(4096), FileProblem.BINARY, 1),  # noqa: S311
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(200), FileProblem.BINARY, 1),
    "10 MB line": (b"Email,Name\na@firma.example," + b"x" * 10_000_000, FileProblem.LONG_LINE, 2),
    "DOS letters": ("Email,Name\na@firma.example,Müller\n".encode("cp850"), FileProblem.ENCODING, 2),
    "Macintosh letters": ("Email,Name\na@firma.example,Müller\n".encode("mac_roman"), FileProblem.ENCODING, 2),
    "mixed encodings": ("Email,Name\na@b.example,Jürg\n".encode() + b"c@d.example,J\xfcrg\n", FileProblem.ENCODING, 3),
    "cut UTF-16": ("Email\na@firma.example\n".encode("utf-16")[:-1], FileProblem.ENCODING, 3),
    "no address column": (b"Name,Company\nVera,Firma\n", FileProblem.NO_ADDRESS_COLUMN, 1),
    "two address columns": (b"Name,Email,Work Email\nV,a@b.example,c@d.example\n", FileProblem.TWO_ADDRESS_COLUMNS, 1),
    "duplicate header": (b"Email,Company,Company\na@b.example,x,y\n", FileProblem.DUPLICATE_HEADER, 1),
    "duplicate address": (b"Email,Email\na@b.example,c@d.example\n", FileProblem.DUPLICATE_HEADER, 1),
    "open quote": (b'Email,Name\na@b.example,"Vera\nc@d.example,Udo\n', FileProblem.OPEN_QUOTE, 2),
    "open quote in a long file": (
        b'Email,Name\na@b.example,"V\n' + b"c@d.example,U\n" * 500,
        FileProblem.OPEN_QUOTE,
        2,
    ),
    "cut off workbook": (workbook(["Email"], ["a@b.example"])[:-300], FileProblem.BROKEN_WORKBOOK, None),
    "no workbook": (b"PK\x03\x04 but nothing else", FileProblem.BROKEN_WORKBOOK, None),
    "broken old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), FileProblem.BROKEN_WORKBOOK, None),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_as_a_whole(desk: Desk, case: str) -> None:
    """A file that cannot be understood names problem and line, and no table holds anything of it."""
    content, problem, line = CASES[case]
    with pytest.raises(ImportFileError) as caught:
        desk.take(content)
    assert (caught.value.problem, caught.value.line) == (problem, line)
    assert set(desk.sizes().values()) == {0}


@pytest.mark.parametrize("case", CASES)
def test_the_message_names_a_remedy_and_no_cell(desk: Desk, case: str) -> None:
    """The message ends with what to do, and repeats nothing that stands in the file."""
    with pytest.raises(ImportFileError, match=r"\. .+\. Nothing was imported\.$") as caught:
        desk.look(CASES[case][0])
    assert not re.search(r"@|Vera|Jürg|Müller", str(caught.value))


def test_a_zip_bomb_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workbook is stopped once it unpacks beyond the limit."""
    monkeypatch.setattr(sheets, "LARGEST_UNPACKED", 64 << 20)
    with pytest.raises(ImportFileError) as caught:
        desk.take(bomb())
    assert caught.value.problem is FileProblem.TOO_LARGE


def test_a_cell_in_the_last_corner_is_no_bomb(desk: Desk) -> None:
    """A table of seventeen billion cells, two of them filled, ends in a refusal and not in all memory."""
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "Email", "boom"  # type: ignore[index]
    out = io.BytesIO()
    book.save(out)
    with pytest.raises(ImportFileError) as caught:
        desk.take(out.getvalue())
    assert caught.value.problem in {FileProblem.BROKEN_WORKBOOK, FileProblem.TOO_LARGE}
    assert set(desk.sizes().values()) == {0}


def test_a_missing_file_is_told(desk: Desk) -> None:
    """A path that leads nowhere is told as such."""
    with pytest.raises(ImportFileError, match="cannot be read"):
        desk.take(desk.folder / "nothing.csv")


def test_a_map_naming_no_column_is_told(desk: Desk) -> None:
    """A map that speaks of a column the file lacks is refused with the line of the headers."""
    with pytest.raises(ImportFileError, match="line 1: 1 of the columns named in the map"):
        desk.take(GOOD, Map.model_validate({"columns": {"Mail": "email"}}))


ROWS: dict[str, tuple[str, str]] = {
    "formula": ("=cmd|'/C calc'!A0", "formula"),
    "full-width formula": ("\uff1d1+1", "formula"),
    "plus formula": ("+SUM(A1)", "formula"),
    "line break": ('"Vera\r\nBcc: x"', "control_character"),
    "NUL": ("Ve\x00ra", "control_character"),
    "zero width": ("Ve\u200bra", "control_character"),
    "broken letters": ("JÃ¼rgen", "mojibake"),
    "endless": ("x" * 300, "too_long"),
    "one cell too many": ("Vera,Firma,more", "too_many_cells"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_is_refused_and_the_rest_taken(desk: Desk, case: str) -> None:
    """One bad cell costs its own row only."""
    cell, code = ROWS[case]
    report = desk.take(f"Email,First Name\nudo@firma.example,Udo\nvera@firma.example,{cell}\n")
    assert report.counts.refused == {code: 1}
    assert report.imported == 1


def test_the_report_names_line_and_remedy_only(desk: Desk) -> None:
    """The report holds line, reason and remedy of each refused row, and no cell of the list."""
    report = desk.take("Email,First Name\nudo@firma.example,Udo\nvera@@firma.example,Vera\n,Nobody\n")
    assert report.report is not None
    lines = report.report.read_text("utf-8-sig").splitlines()
    assert lines[1].startswith('"3";"bad_address:syntax";"als name@firma.example schreiben"')
    assert lines[2].startswith('"4";"no_address"')
    assert "Vera" not in "".join(lines)


def test_short_rows_are_padded(desk: Desk) -> None:
    """A row without its last empty cells is taken, as programs write such."""
    assert desk.take("First Name,Email,Company\nVera,vera@firma.example\n").imported == 1


def test_repeated_headers_without_meaning_are_fine(desk: Desk) -> None:
    """Two columns of one name disturb only where one of them would be kept."""
    assert desk.take("Email,Foo,Foo\nvera@firma.example,1,2\n").imported == 1
