"""What can go wrong in delivery that a person must mend? Everything else is an `Outcome`."""

from __future__ import annotations

from nurture import NurtureError


class DeliveryError(NurtureError):
    """Base of delivery's errors; the message names no personal data."""
