"""When does each batch of a large mailing leave, so that it does not leave all at once?

Spread on our side, by the batches' own times: consent is asked when a mail leaves, and whoever says no, or stops
everything, half-way through is obeyed. A mail that waits at the provider cannot be called back (decision 0028).
"""

from __future__ import annotations

from datetime import timedelta

GOLDEN = 0.6180339887498949
"""Of a circle: however many steps of this length were made, their ends lie evenly."""
MOST_OF_THE_TIME = 0.5
"""No batch is put off by more than this part of the time in which it may leave."""


def offset(number: int, spread: timedelta, *, lasts: timedelta) -> timedelta:
    """By how much is a batch put off? `number` counts batches in the order they are planned; any beginning will do.

    Whatever run of numbers a mailing has, its batches lie evenly over `spread`, without anybody knowing how many
    will follow. `lasts` is how long the batch may wait in all. Whole seconds.
    """
    longest = min(spread, lasts * MOST_OF_THE_TIME)
    return timedelta(seconds=int(longest.total_seconds() * (number * GOLDEN % 1.0)))
