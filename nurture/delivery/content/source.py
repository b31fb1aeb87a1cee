"""Where does each line of a template come from? Reads a file with its includes and keeps the origin of every line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.entities import html5
from typing import TYPE_CHECKING

from nurture.delivery.content import Finding, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

INCLUDE = re.compile(r'^\s*<mj-include\s+path="(?P<path>[^"]+)"\s*/>\s*$')
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]*;)")
DEEPEST = 4


@dataclass(frozen=True)
class Source:
    """The text of a template with its includes in place."""

    file: str
    """Path of the outermost file, below the templates folder."""
    text: str
    origins: tuple[tuple[str, int], ...]
    """File and line that each line of `text` came from."""

    def where(self, line: int) -> tuple[str, int]:
        """Tell the file and line behind a line of the whole (both count from 1)."""
        if not self.origins:
            return self.file, 1
        return self.origins[min(max(line, 1), len(self.origins)) - 1]

    def finding(self, line: int, rule: str, message: str) -> Finding:
        """Make a finding at a line of the whole."""
        return Finding(*self.where(line), rule, message)

    def refuse(self, line: int, rule: str, message: str) -> RefusedError:
        """Make the error for one finding; for `raise`."""
        return RefusedError([self.finding(line, rule, message)])

    def line_at(self, position: int) -> int:
        """Give the line of a character position, from 1."""
        return self.text.count("\n", 0, position) + 1


def read(templates: Path, file: Path) -> Source:
    """Read a template without its comments, each `<mj-include path="..."/>` line replaced by that file.

    Included paths count from the templates folder; both arguments are resolved paths. Raises
    RefusedError for a file that is missing, not UTF-8, outside of the folder, or included in a circle.
    """
    lines: list[str] = []
    origins: list[tuple[str, int]] = []
    _read(templates, file, (), lines, origins)
    text = COMMENT.sub(lambda found: "\n" * found[0].count("\n"), "\n".join(lines))
    # XML knows five entities, authors know more; any other becomes the character it means.
    text = ENTITY.sub(lambda found: html5.get(found[1], found[0]), text)
    return Source(file.relative_to(templates).as_posix(), text, tuple(origins))


def _read(
    templates: Path,
    file: Path,
    above: tuple[tuple[str, int], ...],
    lines: list[str],
    origins: list[tuple[str, int]],
) -> None:
    name, asked_at = (file.relative_to(templates).as_posix(), above[-1] if above else None)
    try:
        text = file.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "cannot be read"
        raise RefusedError([Finding(*(asked_at or (name, 1)), "file", f"{name} {reason}")]) from error
    for number, line in enumerate(text.rstrip("\n").split("\n"), start=1):
        found = INCLUDE.match(line)
        if found is None:
            lines.append(line)
            origins.append((name, number))
            continue
        inner = (templates / found["path"]).resolve()
        if not inner.is_relative_to(templates) or len(above) >= DEEPEST:
            message = f"{found['path']} lies outside of the templates folder or includes itself"
            raise RefusedError([Finding(name, number, "include", message)])
        _read(templates, inner, (*above, (name, number)), lines, origins)
