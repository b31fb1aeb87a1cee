"""How does a fact become the one and only sequence of bytes that is hashed?

A restricted form of canonical JSON (RFC 8785): keys are ASCII and sorted, values are texts, integers,
booleans, null, lists and objects. Numbers with a fraction are refused: their spelling differs
between languages, and a hash would then depend on who computes it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from consent import ConsentError

SAFE_INTEGER = 2**53 - 1
"""Larger integers do not survive every JSON reader."""


_PLAIN = frozenset({str, bool, type(None)})
"""Types that need no look inside; half of an append was spent on looking."""
_written = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


class CanonicalError(ConsentError):
    """A value has no canonical form; the message names its type, never its content."""


def encode(value: object) -> bytes:
    """Give the canonical bytes of a value.

    Raises CanonicalError for floats, bytes, keys that are not ASCII texts, integers beyond 2^53-1 and
    texts that UTF-8 cannot carry (lone surrogates).
    """
    _check(value)
    try:
        return _written(value).encode("utf-8")
    except UnicodeEncodeError:
        raise CanonicalError("a text holds half a character (a lone surrogate); clean it at the edge") from None


def decode(data: bytes) -> Any:  # noqa: ANN401  JSON is what it is
    """Read canonical bytes back; raises CanonicalError unless they are exactly what `encode` gives."""
    value = loads(data)
    if encode(value) != data:
        raise CanonicalError("the bytes are JSON, but not in canonical form")
    return value


def loads(data: bytes) -> Any:  # noqa: ANN401  JSON is what it is
    """Read JSON of whatever spelling; raises CanonicalError for anything else."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise CanonicalError("the bytes are no JSON") from None


def utc_text(moment: datetime) -> str:
    """Spell an aware time as UTC with microseconds, such as 2026-11-23T08:00:00.000000Z.

    Raises CanonicalError for a time without a zone.
    """
    if moment.tzinfo is None:
        raise CanonicalError("a time without a zone; pass an aware datetime")
    return _spelt(moment.astimezone(UTC))


@lru_cache(maxsize=1024)
def _spelt(moment: datetime) -> str:
    """Spell a UTC time; the entries of one batch share theirs."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@lru_cache(maxsize=1024)
def utc_time(text: str) -> datetime:
    """Read what `utc_text` wrote, aware and in UTC; raises CanonicalError for any other spelling."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or _spelt(found.astimezone(UTC)) != text:
        raise CanonicalError("a time is not spelt as UTC with microseconds")
    return found.astimezone(UTC)


def _check(value: object) -> None:
    """Refuse what has no canonical form, wherever it is nested."""
    if isinstance(value, dict):
        _check_keys(value)
        value = value.values()
    elif not isinstance(value, list | tuple):
        value = (value,)
    for item in value:
        kind = type(item)
        if kind in _PLAIN:
            continue
        if isinstance(item, int):
            if abs(item) > SAFE_INTEGER:
                raise CanonicalError("an integer beyond 2^53-1 has no portable form")
        elif isinstance(item, dict | list | tuple):
            _check(item)
        elif not isinstance(item, str):
            raise CanonicalError(f"a {kind.__name__} has no canonical form")


def _check_keys(value: dict[Any, object]) -> None:
    """Refuse keys that are no ASCII texts."""
    try:
        ascii_only = "".join(value).isascii()
    except TypeError:
        ascii_only = False
    if not ascii_only:
        raise CanonicalError("a key is not ASCII text")
