"""How is the simulation run by hand? A campaign, or one seed again with its trace."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.simulation import installation
from tests.simulation.campaign import campaign, ground
from tests.simulation.installation import STEPS


def main() -> int:
    """Read the command line; 0 when every promise held and everything was reached."""
    asked = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    asked.add_argument("--crossings", type=int, default=1_000_000, help="failpoints to cross (1,000,000)")
    asked.add_argument("--seconds", type=float, default=86400, help="begin no more seeds after so long (a day)")
    asked.add_argument("--first", type=int, default=0, help="the first seed (0)")
    asked.add_argument("--processes", type=int, default=2)
    asked.add_argument("--json", type=Path, help="write the figures here, too")
    asked.add_argument("--seed", type=int, help="run this one seed and print what happened")
    asked.add_argument("--steps", type=int, default=STEPS, help="turns of the scheduler in that seed")
    chosen = asked.parse_args()
    if chosen.seed is not None:
        with ground() as here:
            done = installation.run(here, chosen.seed, steps=chosen.steps)
        sys.stdout.write("\n".join([*done.trace, str(done.fates), ""]))
        return 0
    total = campaign(crossings=chosen.crossings, first=chosen.first, processes=chosen.processes, seconds=chosen.seconds)
    if chosen.json:
        chosen.json.write_text(json.dumps(total.as_dict(), indent=1), "utf-8")
    sys.stdout.write(total.table() + "\n")
    return 1 if total.broken or total.never() else 0


if __name__ == "__main__":
    raise SystemExit(main())
