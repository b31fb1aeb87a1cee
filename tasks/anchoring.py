"""How do checkpoints get signed and out of the house?"""

from __future__ import annotations

from dataclasses import dataclass

from consent import ledger
from consent.checkpoints import InconsistentError
from nurture import clock
from nurture.audit import anchoring
from nurture.audit.targets import open_targets
from nurture.delivery import sending
from tasks.unit import MINUTE, unit
from tasks.workplace import here


@dataclass(frozen=True)
class Signed:
    """What came of signing."""

    size: int
    """Entries of the newest checkpoint; 0 while there is none."""
    new: bool = False
    refused: bool = False
    """The ledger does not continue its last checkpoint: something was changed."""


@dataclass(frozen=True)
class Taken:
    """What came of one delivery. `target` names no address."""

    target: str
    size: int
    delivered: bool
    detail: str


@unit(timeout=10 * MINUTE)
def sign_newest() -> Signed:
    """Sign what the ledger is now; a tree that does not continue the last checkpoint is not signed, and told."""
    place = here()
    if place.now > clock.now():
        # Asked only then: a provider that is configured wrong must not keep the ledger from being signed.
        sending.refuse_ahead(place.provider, at=place.now, now=clock.now())
    before = anchoring.newest(place.workspace)
    size = before.size if before else 0
    with place.store.read() as connection:
        if ledger.head(connection).size == 0:
            return Signed(0)
    try:
        anchor = anchoring.sign(place.workspace, at=place.now)
    except InconsistentError:
        return Signed(size, refused=True)
    return Signed(anchor.size, new=anchor.size > size)


@unit(timeout=2 * MINUTE)
def count_targets() -> int:
    """How many targets are configured?"""
    return len(open_targets(here().workspace))


@unit(timeout=5 * MINUTE, retries=0)
def deliver_newest(number: int) -> Taken | None:
    """Take the newest checkpoint to a target, by its place in the setting; None where it has been.

    What fails is tried again by the next run, with the checkpoint that is newest then.
    """
    place = here()
    anchor = anchoring.newest(place.workspace)
    if anchor is None:
        return None
    done = anchoring.deliver(place.workspace, open_targets(place.workspace)[number], anchor, at=place.now)
    return Taken(done.target, anchor.size, done.taken, done.detail) if done else None
