"""Canonical JSON: one spelling per value, and none for what has none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import canonical
from consent.entries import EntryType

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
    max_leaves=20,
)


@given(VALUES)
def test_decoding_gives_the_value_back(value: object) -> None:
    """What was encoded comes back, and encodes to the same bytes."""
    data = canonical.encode(value)

    assert canonical.decode(data) == value


@given(st.dictionaries(st.text(st.characters(max_codepoint=127)), st.integers(0, 9)))
def test_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    """Two objects with the same members are the same bytes."""
    turned = dict(reversed(value.items()))

    assert canonical.encode(turned) == canonical.encode(value)


def test_example_is_the_bytes_of_rfc_8785() -> None:
    """Sorted keys, no spaces, UTF-8, short escapes in lower case."""
    value = {"b": [True, None, -1], "a": 'ä"\\\n\x1f\u2028'}

    assert canonical.encode(value) == '{"a":"ä\\"\\\\\\n\\u001f\u2028","b":[true,null,-1]}'.encode()


def test_a_word_of_a_closed_set_is_its_text() -> None:
    """A member of a StrEnum is written as what it stands for; another mapping than dict is refused, not guessed."""
    assert canonical.encode({"state": EntryType.ERASED}) == b'{"state":"subject.erased"}'
    assert canonical.encode([EntryType.ERASED]) == b'["subject.erased"]'
    with pytest.raises(canonical.CanonicalError, match="a mappingproxy has no canonical form"):
        canonical.encode(MappingProxyType({"a": 1}))


@pytest.mark.parametrize("value", [1.5, b"x", {1: 2}, {"ä": 1}, {1, 2}, 2**53, "\ud800", [float("nan")], datetime.now])
def test_values_without_a_form_are_refused(value: object) -> None:
    """Floats, bytes, odd keys, large integers, half characters."""
    with pytest.raises(canonical.CanonicalError):
        canonical.encode(value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"b":1,"a":2}', b'{"a": 1}', b"1.0", b'{"a":1,"a":1}', b"\xff", b"[" * 100_000, b"1" * 5_000]
)
def test_other_spellings_are_refused(data: bytes) -> None:
    """JSON in another order, with spaces, with doubles, or no JSON at all."""
    with pytest.raises(canonical.CanonicalError):
        canonical.decode(data)


def test_times_are_spelt_in_utc() -> None:
    """Any zone becomes UTC with microseconds, and comes back."""
    berlin = datetime(2026, 11, 23, 9, 0, tzinfo=timezone(timedelta(hours=1)))

    assert canonical.utc_text(berlin) == "2026-11-23T08:00:00.000000Z"
    assert canonical.utc_time("2026-11-23T08:00:00.000000Z") == berlin
    assert canonical.utc_text(datetime(999, 1, 1, tzinfo=UTC)).endswith("-01-01T00:00:00.000000Z")


def test_times_without_zone_are_refused() -> None:
    """A naive time, and a text in another spelling."""
    with pytest.raises(canonical.CanonicalError):
        canonical.utc_text(datetime(2026, 11, 23))  # noqa: DTZ001  the mistake under test
    with pytest.raises(canonical.CanonicalError):
        canonical.utc_time("2026-11-23T08:00:00Z")
