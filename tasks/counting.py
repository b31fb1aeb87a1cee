"""How do counts travel? As a flat dict of whole numbers: safe to log, to show and to add."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Tally = dict[str, int]
"""Counts by name; a reason stands behind a dot: {"withheld.stale": 2}."""


def tally(counts: Mapping[str, Any]) -> Tally:
    """Flatten counts as the machine room gives them; leaves out zeros and whatever is no number."""
    flat: Counter[str] = Counter()
    for name, value in counts.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{reason}": number for reason, number in value.items() if number})
        elif isinstance(value, int) and value and not isinstance(value, bool):
            flat[name] += value
    return dict(flat)
