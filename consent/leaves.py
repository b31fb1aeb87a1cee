"""How are the leaves of many entries written at once? Column by column, to the very bytes of `entries.write`.

The entries of a batch are of one shape. What all have in common (names of fields, the wording's hash) is written
once, each column of what differs in one go, and the leaves are put together from these parts. Whatever is
odd goes the way of a single entry, which refuses it by name.
"""

from __future__ import annotations

from itertools import chain, groupby, islice, repeat
from json.encoder import encode_basestring
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from consent import canonical, entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from consent.entries import Entry

Columns = dict[str, "Sequence[Any] | Columns"]
"""Of each field of many objects the values of all of them; of a field that holds objects, the same."""
Parts = list[list[str]]
"""What the texts of many values are made of, in order: a list of one text that all share, or of one for each."""


def write_all(first: int, new: Sequence[Entry]) -> list[bytes]:
    """Give the leaves of entries in a row, `first` being the number of the first; raises as `entries.write` does."""
    leaves: list[bytes] = []
    for kind, alike in groupby(new, key=attrgetter("type")):
        leaves += _write_alike(first + len(leaves), str(kind), list(alike))
    return leaves


def _write_alike(first: int, kind: str, new: Sequence[Entry]) -> list[bytes]:
    """Write entries of one type, together if they can be."""
    bodies, fields = [entry.body for entry in new], entries.FIELDS.get(kind)
    if fields and len(new) > 1 and all(body.keys() == fields for body in bodies):
        moments = {at: canonical.utc_text(at) for at in {entry.at for entry in new}}
        columns: Columns = {
            "v": [entries.LEAF_VERSION] * len(new),
            "seq": range(first, first + len(new)),
            "at": [moments[entry.at] for entry in new],
            "type": [kind] * len(new),
            "subject": [entry.subject for entry in new],
            "body": {name: [body[name] for body in bodies] for name in fields},
        }
        try:
            leaves = [text.encode() for text in _joined(_objects(columns, len(new)), len(new))]
        except UnicodeEncodeError:
            leaves = []
        if leaves and b"@" not in b"".join(leaves) and max(map(len, leaves)) <= entries.LONGEST_LEAF:
            return leaves
    return [entries.write(seq, entry) for seq, entry in enumerate(new, first)]


def _objects(columns: Columns, count: int) -> Parts:
    """Give the parts of objects with the same keys."""
    # Refuses keys that have no canonical form.
    canonical.encode(dict.fromkeys(columns))
    fields = [[[f"{encode_basestring(key)}:"], *_values(columns[key], count)] for key in sorted(columns)]
    return [["{"], *_listed(fields), ["}"]]


def _listed(parts: list[Parts]) -> Parts:
    """Put commas between."""
    return [one for part in parts for one in ([","], *part)][1:]


def _values(values: Sequence[Any] | Columns, count: int) -> Parts:
    """Give the parts of the values of a column, those of one type in one go."""
    if isinstance(values, dict):
        return _objects(values, count)
    kinds = set(map(type, values))
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind in WRITERS:
        # Equal values of one plain type have the same text.
        alike = values.count(values[0]) == count
        return [[WRITERS[kind](values[0])] if alike else list(map(WRITERS[kind], values))]
    if kind is dict and all(value.keys() == values[0].keys() for value in values):
        return _objects({key: [value[key] for value in values] for key in values[0]}, count)
    if kind is list and len(values[0]) < count and len(set(map(len, values))) == 1:
        return [["["], *_listed([_values(column, count) for column in zip(*values, strict=True)]), ["]"]]
    if kind is list:
        items = list(chain.from_iterable(values))
        texts = iter(_joined(_values(items, len(items)), len(items)))
        return [[f"[{','.join(islice(texts, len(value)))}]" for value in values]]
    return [[WRITERS.get(type(value), _single)(value) for value in values]]


def _joined(parts: Parts, count: int) -> list[str]:
    """Put the parts of each value together."""
    columns: list[Iterable[str]] = []
    for shared, run in groupby(parts, key=lambda part: len(part) == 1):
        listed = list(run)
        columns += [repeat("".join(part[0] for part in listed), count)] if shared else listed
    return list(map("".join, zip(*columns, strict=True)))


def _single(value: object) -> str:
    """Write a value of any kind, or refuse it."""
    return canonical.encode(value).decode()


def _integer(value: int) -> str:
    return str(value) if abs(value) <= canonical.SAFE_INTEGER else _single(value)


WRITERS: dict[type | None, Callable[[Any], str]] = {
    str: encode_basestring,
    int: _integer,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _value: "null",
}
"""How that is written which holds nothing else."""
