"""Does the PDF say what it was given, all of it, and the same each time?"""

from __future__ import annotations

import hashlib
import io

import pypdf
import pytest

from nurture.store import pdf

LATIN = "ÄÖÜäöüß łŁ şŞ őŐ űŰ čřžšđćńśźżąęğİıțșăâîūēģķļņ ñçåæœø „Anführung“ € §"
GREEK_AND_CYRILLIC = "Ελλάδα Софія"


def pages(made: bytes) -> list[str]:
    """Read back the text of each page."""
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made)).pages]


def flat(text: str) -> str:
    """Forget where lines break."""
    return "".join(text.split())


def test_every_letter_of_europe_is_printed() -> None:
    """Latin with all its marks, Greek, Cyrillic."""
    made = pdf.write("Ł", [pdf.Text(LATIN), pdf.Facts([(GREEK_AND_CYRILLIC, LATIN)])])

    shown = flat(pages(made)[0])
    assert shown.count(flat(LATIN)) == 2
    assert flat(GREEK_AND_CYRILLIC) in shown


def test_what_the_font_lacks_stands_as_its_number() -> None:
    """Nothing vanishes without a trace."""
    made = pdf.write("t", [pdf.Text("東京 \x07 ok")])

    assert flat("[U+6771][U+4EAC] ok") in flat(pages(made)[0])


def test_mark_up_is_only_text() -> None:
    """Data from outside can neither format nor break the document."""
    nasty = "<b>fett</b> & </para> <img src='file:///etc/passwd'/> {x} %s"

    assert flat(nasty) in flat(pages(pdf.write(nasty, [pdf.Rows([nasty], [[nasty]])], footer=nasty))[0])


def test_a_head_is_not_broken_within_a_word() -> None:
    """Its column takes what it needs from the others; together too wide, they break and nothing is lost."""
    heads = ["Anmeldungen", "Verantwortlicher", *"abcdefg"]
    [made] = pages(pdf.write("t", [pdf.Rows(heads, [["1"] * 9], [0.2, 0.2, *[1.0] * 7])]))

    assert "Anmeldungen\n" in made
    assert "Verantwortlicher\n" in made
    many = [f"Verantwortlichkeiten{number}" for number in range(9)]
    assert flat(many[8]) in flat(pages(pdf.write("t", [pdf.Rows(many, [["1"] * 9])]))[0])


def test_same_blocks_give_same_bytes() -> None:
    """Two runs can be compared."""
    blocks: list[pdf.Block] = [
        pdf.Heading("H"),
        pdf.Rows(["a", "b"], [[str(n), "x"] for n in range(200)]),
        pdf.Exact("y"),
    ]

    made = {hashlib.sha256(pdf.write("t", blocks, language="en")).hexdigest() for _ in range(3)}

    assert len(made) == 1


def test_rows_longer_than_a_page_lose_nothing() -> None:
    """A cell of 12,000 letters is split over pages, heads are repeated, pages are counted."""
    words = " ".join(f"w{n}." for n in range(2500))
    made = pages(pdf.write("t", [pdf.Rows(["Spalte", "Text"], [["1", words], ["2", "Ende"]])], footer="F"))

    rest = flat("".join(made))
    for number in range(1, len(made) + 1):
        rest = rest.replace(f"FSeite{number}von{len(made)}", "").replace("SpalteText", "")
    assert len(made) > 1
    assert all(f"w{n}." in rest for n in range(2500))
    assert "2Ende" in rest


@pytest.mark.parametrize("block", [pdf.Rows(["a"], []), pdf.Facts([]), pdf.Text("")])
def test_empty_blocks_are_fine(block: pdf.Block) -> None:
    """A table without rows shows its head only."""
    assert len(pages(pdf.write("t", [block]))) == 1


def test_the_first_scale_that_fits_on_one_page_holds() -> None:
    """And the first of all where none does: then nobody is served by smaller letters."""
    some, many = ([pdf.Text("Zeile\n" * count)] for count in (90, 600))

    assert len(pages(pdf.write("t", some))) == 2
    assert pdf.write("t", some, scales=(1.0, 0.7, 0.5)) == pdf.write("t", some, scales=(0.7,))
    assert len(pages(pdf.write("t", some, scales=(0.7,)))) == 1
    assert pdf.write("t", many, scales=(1.0, 0.7)) == pdf.write("t", many)
