"""What stands in a CSV file? Encoding and separator found, every hostile shape refused with its line."""

from __future__ import annotations

import codecs
import csv
import re
from typing import TYPE_CHECKING

from nurture.leads.importing.problems import FileProblem, ImportFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 1 << 20
LONGEST_LINE = 1 << 20
"""Bytes. No export writes a longer line; one that does has lost a quotation mark or is no CSV."""
LONGEST_RECORD = 100
"""Lines of one record: an address cell has two or three, a note some dozens."""
SEPARATORS = ";,\t|"

STRAYS = 8
"""Control characters that text may hold before it counts as binary."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = (
    b"%PDF",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
    b"Rar!",
    b"SQLite format 3",
    b"\x7fELF",
)
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x1a")
_DOS = re.compile(rb"[A-Za-z][\x81\x84\x94][A-Za-z]")
_MAC = re.compile(rb"[A-Za-z]\x9f[a-z]")
_NO_WINDOWS = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_UTF8_PAIR = re.compile(rb"\xc3[\x80-\xbf]")


class TextFile:
    """A CSV file, checked from its first to its last byte before the first row is given."""

    kind = "csv"

    def __init__(self, path: Path, *, encoding: str | None = None) -> None:
        """Find encoding, separator and header. Raises ImportFileError."""
        self.path = path
        # Before anything reads a line: one line may be as large as the file.
        _check_lengths(path)
        self.encoding = encoding or _encoding(path)
        _check_letters(path, self.encoding)
        self.separator, skipped = self._separator()
        self._skip = skipped
        self.headers: list[str] = []
        self.header_line = 0
        for line, cells in self._records():
            self.headers, self.header_line = cells, line
            break
        if not self.headers:
            raise ImportFileError(FileProblem.EMPTY, "the file holds no text", "Export it again", line=1)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Give each row that is not empty with the line it starts in. May be called again."""
        records = self._records()
        next(records)
        yield from records

    def _separator(self) -> tuple[str, int]:
        """Find the separator by the header line; `sep=;` as the first line is Excel's own way to say it."""
        with self.path.open(encoding=self.encoding, newline="") as file:
            for number, line in enumerate(file, start=1):
                text = line.strip("\r\n")
                if number == 1 and text.lower().startswith("sep=") and len(text) == 5:  # noqa: PLR2004
                    return text[4], 1
                if text.strip(" " + SEPARATORS):
                    bare = re.sub(r'"[^"]*"', "", text)
                    return max(SEPARATORS, key=bare.count), 0
        return ",", 0

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        with self.path.open(encoding=self.encoding, newline="") as file:
            for _ in range(self._skip):
                next(file)
            lines = _Lines(file)
            reader = csv.reader(lines, delimiter=self.separator)
            start = self._skip + 1
            try:
                for cells in reader:
                    here, start = start, self._skip + reader.line_num + 1
                    if start - here > LONGEST_RECORD:
                        raise _open_quote(here)
                    if start - here > 1 or '"' in lines.record[-1]:
                        _check_closed(lines.record, here)
                    lines.record.clear()
                    if any(cells) and not all(cell.isspace() or not cell for cell in cells):
                        yield here, cells
            except csv.Error:
                raise _open_quote(start) from None


class _Lines:
    """Lines of a file, remembering those of the record being read."""

    def __init__(self, file: Iterator[str]) -> None:
        self._file = file
        self.record: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.record.append(line)
        if len(self.record) > LONGEST_RECORD + 1:
            raise csv.Error
        return line


def _check_closed(record: list[str], line: int) -> None:
    """Refuse a record that ends inside a quotation: csv would give the rest of the file as one cell."""
    text = "".join(record)
    if text.count('"') % 2 == 0:
        return
    # An odd number is also a lone inch sign inside a cell, which csv reads well.
    last = text.rstrip("\r\n").rpartition('"')
    if len(record) > 1 or not last[0] or last[0][-1] in SEPARATORS:
        raise _open_quote(line)


def _open_quote(line: int) -> ImportFileError:
    return ImportFileError(
        FileProblem.OPEN_QUOTE,
        "a quotation mark is opened and not closed, or a cell is far too long",
        "Close or remove the quotation mark in this line, or export the file again",
        line=line,
    )


def _encoding(path: Path) -> str:
    """Find the encoding; UTF-8 where it fits, else Windows-1252 where nothing speaks against it."""
    with path.open("rb") as file:
        sample = file.read(65_536)
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name
    if sample.startswith(_MAGIC):
        raise _binary()
    wide = _wide(sample)
    if wide:
        return wide
    if _is_binary(sample):
        raise _binary()
    return "utf-8" if _fits_utf8(path) else _windows(path)


def _is_binary(sample: bytes) -> bool:
    """Tell by control characters; a few NULs are a matter of single rows."""
    strange = len(sample) - len(sample.translate(None, _CONTROLS))
    return strange > max(STRAYS, len(sample) // 100) and not _wide(sample)


def _binary() -> ImportFileError:
    return ImportFileError(
        FileProblem.BINARY,
        "this is no text and no workbook but a binary file",
        "Export the list as CSV or Excel",
        line=1,
    )


def _wide(sample: bytes) -> str | None:
    """Tell UTF-16 without a mark by where its zero bytes stand."""
    half = len(sample) // 2
    if half < 2:  # noqa: PLR2004
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > half * 0.5 and even < half * 0.05:
        return "utf-16-le"
    if even > half * 0.5 and odd < half * 0.05:
        return "utf-16-be"
    return None


def _fits_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _windows(path: Path) -> str:
    """Accept Windows-1252, unless the letters say DOS, Macintosh or a mixture."""
    line, pairs, invalid = 1, 0, 0
    with path.open("rb") as file:
        for text in file:
            pairs += bool(_UTF8_PAIR.search(text))
            for pattern, name in ((_DOS, "cp850"), (_MAC, "mac_roman"), (_NO_WINDOWS, "")):
                if pattern.search(text):
                    hint = f"It looks like {name}: try --encoding {name}" if name else "Export the file again as UTF-8"
                    raise _undecided("these letters are neither UTF-8 nor Windows-1252", hint, line)
            if not invalid:
                try:
                    text.decode("utf-8")
                except UnicodeDecodeError:
                    invalid = line
            line += 1
    if pairs:
        raise _undecided("the file mixes UTF-8 with another encoding", "Export it again as UTF-8", invalid)
    return "cp1252"


def _undecided(text: str, remedy: str, line: int) -> ImportFileError:
    return ImportFileError(FileProblem.ENCODING, text, remedy, line=line)


def _check_lengths(path: Path) -> None:
    line, length = 1, 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            parts = re.split(rb"\r\n|\n|\r", block)
            for number, part in enumerate(parts):
                length = len(part) + (length if number == 0 else 0)
                if length > LONGEST_LINE and not _is_binary(block):
                    raise ImportFileError(
                        FileProblem.LONG_LINE,
                        f"the line is longer than {LONGEST_LINE // 1024} KiB",
                        "Check for a missing line break or quotation mark, or export the file again",
                        line=line + number,
                    )
            line += len(parts) - 1


def _check_letters(path: Path, encoding: str) -> None:
    """Decode the whole file once, so that no row is taken before the last one is known to be readable."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise ImportFileError(
            FileProblem.BAD_OPTION, "the encoding is unknown", "Name one such as utf-8, cp1252 or cp850"
        ) from None
    line = 1
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            _decode(decoder, block, encoding, line)
            line += len(re.findall(rb"\r\n|\n|\r", block))
    _decode(decoder, b"", encoding, line)


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, encoding: str, line: int) -> None:
    try:
        decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        line += len(re.findall(rb"\r\n|\n|\r", error.object[: error.start]))
        raise _undecided(f"the file is not {encoding}", "Export it again as UTF-8, or name --encoding", line) from None
