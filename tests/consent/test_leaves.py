"""The leaves of a batch: the bytes of each entry by itself, and its refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consent import ConsentError, canonical, entries
from consent.entries import Entry, EntryType
from consent.leaves import write_all

if TYPE_CHECKING:
    from collections.abc import Callable

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
IN_BERLIN = AT.astimezone(timezone(timedelta(hours=1)))
WORDS = st.text(st.characters(exclude_characters="@", exclude_categories=["Cs"]), max_size=5) | st.just("%s")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.integers(0, 1) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(max_codepoint=127, exclude_characters="@"), max_size=2), inner)
        | st.tuples(inner)
    ),
    max_leaves=8,
)
COLUMN = st.lists(VALUES, min_size=4, max_size=4) | VALUES.map(lambda value: [value] * 4)


def one_by_one(first: int, new: list[Entry]) -> list[bytes]:
    """Write each entry by itself."""
    return [entries.write(seq, entry) for seq, entry in enumerate(new, first)]


def restricted(reason: object, actor: object = "staff", at: datetime = AT, subject: str | None = None) -> Entry:
    """Make an entry; its two fields may hold anything."""
    return Entry(EntryType.RESTRICTED, {"reason": reason, "actor": actor}, at, subject)


@given(COLUMN, COLUMN)
@example([[1], [True], [1], [1]], [1, True, 1, 1])
@example([{"a": 1}, {"a": 1, "b": 1}, {"b": 1}, {}], [{}, {}, {}, {}])
@example([[], [], [], []], [[["a"], ["b"]], [["c"]], [], [["d"]]])
@example([[["a", 1, None]] * 5, [["b", 2, 7]] * 5, [], [["c", 3, None]]], [EntryType.ERASED] * 4)
def test_a_batch_is_the_bytes_of_its_entries(reasons: list[object], actors: list[object]) -> None:
    """Whatever the fields hold, of one shape or of many."""
    new = [restricted(reason, actor) for reason, actor in zip(reasons, actors, strict=True)]

    assert write_all(7, new) == one_by_one(7, new)


def test_types_subjects_and_times_may_change_within_a_batch() -> None:
    """Runs of one type, an entry with a field that may be left out, no subject, and one moment told in two zones."""
    sent = {"controller": "default", "channel": "email", "purpose": "p", "lease_until": "t", "permits": [["m", "s", 1]]}
    new = [
        restricted("a", subject="s" * 26),
        restricted("b", at=IN_BERLIN),
        restricted("c", at=AT + timedelta(microseconds=1)),
        Entry("send.authorised", sent, AT),
        Entry("send.authorised", {**sent, "scope": {"name": "n", "words": ["w"]}}, AT),
        Entry("send.authorised", sent, AT),
        Entry("send.authorised", sent, AT),
        restricted("d"),
    ]

    assert write_all(0, new) == one_by_one(0, new)


def test_a_batch_of_none_has_no_leaves() -> None:
    """Nothing in, nothing out."""
    assert write_all(0, []) == []


ODD: list[Callable[[], Entry]] = [
    lambda: Entry("consent.sold", {}, AT),
    lambda: Entry(EntryType.RESTRICTED, {"reason": "a"}, AT),
    lambda: Entry(EntryType.RESTRICTED, {"reason": "a", "actor": "b", "name": "c"}, AT),
    lambda: restricted("kim@firma.example"),
    lambda: restricted("x" * entries.LONGEST_LEAF),
    lambda: restricted("\ud800"),
    lambda: restricted(2**53),
    lambda: restricted(-(2**53)),
    lambda: restricted(1.0),
    lambda: restricted(b"x"),
    lambda: restricted({1: "a"}),
    lambda: restricted({"ä": "a"}),
    lambda: restricted("a", at=datetime(2026, 11, 23)),  # noqa: DTZ001  the mistake under test
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_may_not_stand_is_refused_as_by_itself(odd: Callable[[], Entry], count: int) -> None:
    """The same error in the same words, alone among good ones, twice, or everywhere."""
    with pytest.raises(ConsentError) as alone:
        entries.write(0, odd())
    good = [restricted("a"), restricted("b")]
    with pytest.raises(type(alone.value)) as together:
        write_all(0, [*good[: 3 - count], *(odd() for _ in range(count))])

    assert str(together.value) == str(alone.value)


def test_the_longest_leaf_is_still_one() -> None:
    """A leaf of exactly 16 KiB stands, in a batch as alone."""
    spare = entries.LONGEST_LEAF - len(entries.write(0, restricted("")))
    new = [restricted("x" * spare), restricted("y")]

    assert max(map(len, write_all(0, new))) == entries.LONGEST_LEAF
    assert write_all(0, new) == one_by_one(0, new)


def test_integers_reach_as_far_in_a_batch() -> None:
    """2^53-1 in either direction is the last that every reader keeps."""
    new = [restricted(canonical.SAFE_INTEGER), restricted(-canonical.SAFE_INTEGER)]

    assert write_all(0, new) == one_by_one(0, new)
