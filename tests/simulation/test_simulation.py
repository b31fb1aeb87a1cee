"""Does every promise hold in simulated installations, and would the simulation notice if one did not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation import installation
from tests.simulation.broken import VARIANTS
from tests.simulation.campaign import Total, ground, several
from tests.simulation.checker import BrokenPromiseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.broken import Variant
    from tests.simulation.installation import Ground

PARTS = 4
SEEDS = 40
STEPS = 40
"""Short lives in each part of the default suite; `python -m tests.simulation` runs as many as one likes."""
ENOUGH = 60
"""By then a broken variant has to be caught."""

pytestmark = pytest.mark.requirement(95)


@pytest.fixture(scope="module")
def here() -> Iterator[Ground]:
    """A ground for the seeds of this file."""
    with ground() as made:
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_a_promise(here: Ground, part: int) -> None:
    """A failure names its seed: `python -m tests.simulation --seed N --steps M` runs it again."""
    total = several(here, range(part * SEEDS, (part + 1) * SEEDS), steps=STEPS)
    assert total.broken == []
    assert total.taken > 0
    assert total.crashes > 0
    assert not [name for name in total.never() if name.startswith("point")]


def test_a_seed_gives_the_same_run_again(here: Ground) -> None:
    """What a campaign finds can be looked at."""
    first, second = (installation.run(here, 7) for _ in range(2))
    assert first.trace == second.trace
    assert (first.fates, first.taken) == (second.fates, second.taken)
    assert installation.run(here, 8).trace != first.trace


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.name)
def test_a_broken_order_of_steps_is_caught(here: Ground, variant: Variant) -> None:
    """Of each variant some seed shows what is wrong with it."""
    said = []
    for seed in range(ENOUGH):
        try:
            installation.run(here, seed, variant)
        except BrokenPromiseError as error:
            said.append(str(error))
            if any(one in said[-1] for one in variant.complaint):
                return
    pytest.fail(f"not caught in {ENOUGH} seeds; they said {sorted(set(said))}")


def test_a_total_names_what_was_never_reached() -> None:
    """A campaign that crosses nothing must not look like a proof."""
    assert "point intent.after_commit" in Total().never()
    assert "change claimed -> submitting" in Total().never()
