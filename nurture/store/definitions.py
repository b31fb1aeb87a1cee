"""How does a file that people edit become a value, and how is a mistake named? `file:line: path: text`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from nurture import NurtureError
from nurture.clock import duration

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from datetime import timedelta
    from pathlib import Path


class DefinitionError(NurtureError):
    """A file that people edit is wrong; one line per mistake, each `file:line: path: text`."""


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

M = TypeVar("M", bound=BaseModel)


def load(path: Path, model: type[M], *, context: Mapping[str, Hashable] | None = None) -> M:
    """Read a YAML file as a value of `model`; a file that did not change is read once.

    Raises DefinitionError when it cannot be read, is no YAML, or does not fit the model.
    """
    try:
        seen = path.stat()
    except OSError as error:
        raise DefinitionError(f"{path.name}: cannot be read: {error.strerror}") from error
    held = tuple(sorted((context or {}).items()))
    return cast("M", _load(path, model, held, (seen.st_mtime_ns, seen.st_size, seen.st_ino)))


@lru_cache(maxsize=64)
def _load(
    path: Path, model: type[BaseModel], context: tuple[tuple[str, Hashable], ...], _version: tuple[int, ...]
) -> BaseModel:
    try:
        read = YAML().load(path.read_text("utf-8"))
    except OSError as error:
        raise DefinitionError(f"{path.name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{path.name}: is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionError(f"{path.name}:{line}: file: {error.problem}") from error
    try:
        return model.model_validate(read, context=dict(context))
    except ValidationError as error:
        mistakes = [f"{path.name}:{place(read, each['loc'])}: {each['msg']}" for each in error.errors()]
        raise DefinitionError("\n".join(mistakes)) from None


def place(read: object, location: tuple[int | str, ...]) -> str:
    """Give `line: path` of a mistake; the line of the nearest part that stands in the file."""
    line, node, path = 1, read, []
    for part in location:
        try:
            marks = node.lc.data  # type: ignore[attr-defined]  # ruamel's own attribute
            line = marks[part][0] + 1
            node = node[part]  # type: ignore[index]
        except (AttributeError, KeyError, IndexError, TypeError):
            # Names of union members stand in pydantic's location but not in the file.
            if isinstance(part, str) and part in getattr(node, "values", dict)():
                continue
        path.append(str(part))
    return f"{line}: {'.'.join(path) or 'file'}"
