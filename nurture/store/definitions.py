"""How does a file that people edit become a value, and how is a mistake named? `file:line: path: text`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from nurture import NurtureError
from nurture.clock import duration

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from datetime import timedelta
    from pathlib import Path

    from pydantic_core import ErrorDetails

LARGEST = 256 * 1024
"""Bytes. A definition is a page or two."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, order=True)
class Finding:
    """One mistake in one file. `line` counts from 1; `path` is the place inside, such as steps[2].for.

    Line 0: there is no such place, the file cannot be read at all.
    """

    file: str
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        """Write it the way editors and CI parse it."""
        return f"{self.file}:{self.line}: {self.path}: {self.text}" if self.line else f"{self.file}: {self.text}"


class DefinitionError(NurtureError):
    """Files that people edit have mistakes; `findings` names each with file and line."""

    def __init__(self, findings: list[Finding]) -> None:
        """Keep the findings, sorted by place."""
        self.findings = sorted(findings)
        super().__init__("\n".join(map(str, self.findings)))


class Part(BaseModel):
    """A part of such a file: unknown keys are refused, the value never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _length(value: object) -> object:
    return duration(value) if isinstance(value, str) else value


if TYPE_CHECKING:
    Length = timedelta
else:
    from datetime import timedelta

    Length = Annotated[timedelta, BeforeValidator(_length)]


def load(path: Path, model: type[Model], *, context: Mapping[str, Hashable] | None = None) -> Model:
    """Read a YAML file as a value of `model`; a file that did not change is read once.

    Raises DefinitionError when it cannot be read, is no YAML, or does not fit the model.
    """
    try:
        seen = path.stat()
    except OSError as error:
        raise DefinitionError([Finding(path.name, 0, "file", f"cannot be read: {error.strerror}")]) from error
    held = tuple(sorted((context or {}).items()))
    return cast("Model", _load(path, model, held, (seen.st_mtime_ns, seen.st_size, seen.st_ino)))


@lru_cache(maxsize=64)
def _load(
    path: Path, model: type[BaseModel], context: tuple[tuple[str, Hashable], ...], _version: tuple[int, ...]
) -> BaseModel:
    return parse(model, read(path, path.name), path.name, context=dict(context))


def read(path: Path, name: str, *, first: str = "") -> CommentedMap:
    """Read a YAML file of one mapping; `name` is how messages call it, `first` the key it should begin with.

    Raises DefinitionError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DefinitionError([Finding(name, 0, "file", f"cannot be read: {error.strerror}")]) from error
    if len(content) > LARGEST:
        raise DefinitionError(
            [Finding(name, 1, "file", f"is larger than {LARGEST // 1024} KiB; is it the right file?")]
        )
    try:
        data = YAML(typ="rt").load(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DefinitionError(
            [Finding(name, 1, "file", f"is not UTF-8 at byte {error.start}; save it as UTF-8")]
        ) from error
    except MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise DefinitionError([Finding(name, line, "file", f"is no YAML: {error.problem}")]) from error
    except YAMLError as error:
        raise DefinitionError(
            [Finding(name, 1, "file", "is no YAML: it holds characters that may not stand there")]
        ) from error
    except RecursionError as error:
        raise DefinitionError([Finding(name, 1, "file", "is nested too deeply")]) from error
    if not isinstance(data, CommentedMap):
        begins = f", beginning with '{first}:'" if first else ""
        raise DefinitionError([Finding(name, 1, "file", f"must hold keys and values{begins}")])
    return data


def parse(model: type[Model], data: CommentedMap, name: str, *, context: Mapping[str, Hashable] | None = None) -> Model:
    """Check data against a model, which may ask for a `context`.

    Raises DefinitionError with one finding for each mistake.
    """
    try:
        return model.model_validate(data, context=dict(context or {}))
    except ValidationError as error:
        raise DefinitionError([_finding(detail, data, name) for detail in error.errors(include_url=False)]) from error
    except RecursionError as error:
        raise DefinitionError([Finding(name, 1, "file", "an anchor contains itself")]) from error


def line_of(data: CommentedMap, path: tuple[str | int, ...]) -> int:
    """Give the line (from 1) of the innermost place of a path that is written in the file."""
    return _locate(data, path)[0]


def _locate(data: CommentedMap, path: tuple[str | int, ...]) -> tuple[int, str]:
    """Follow a path of pydantic's through the data: line, and the path as people write it.

    Names of union members stand in pydantic's path but not in the file: they match nothing and are left out.
    """
    place: Any = data
    line, written = 1, ""
    for part in path:
        if isinstance(place, CommentedMap) and part in place:
            line, written = place.lc.key(part)[0] + 1, f"{written}.{part}" if written else str(part)
            place = place[part]
        elif isinstance(place, CommentedSeq) and isinstance(part, int) and part < len(place):
            line, written = place.lc.item(part)[0] + 1, f"{written}[{part}]"
            place = place[part]
    return line, written


SAYINGS = {
    "extra_forbidden": "is no known key here",
    "missing": "is missing",
}


def _finding(detail: ErrorDetails, data: CommentedMap, name: str) -> Finding:
    context = detail.get("ctx", {})
    location = detail["loc"]
    line, path = _locate(data, location)
    if detail["type"] == "union_tag_invalid":
        key = str(context["discriminator"]).strip("'")
        line, path = _locate(data, (*location, key))
        text = f"{context['tag']!r} is no {key} known here; known are {context['expected_tags']}"
        return Finding(name, line, path, text.replace("'", ""))
    if detail["type"] == "union_tag_not_found":
        text = f"the key {context['discriminator']} is missing"
        return Finding(name, line, path, text.replace("'", ""))
    if detail["type"] == "missing":
        # The key stands nowhere: the line is that of the mapping it belongs to.
        path = f"{path}.{location[-1]}" if path else str(location[-1])
    text = SAYINGS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
    if "expected" in context and detail["type"] in {"enum", "literal_error"}:
        text = f"must be {context['expected']}".replace("'", "")
    return Finding(name, line, path or "file", text)
