"""How is the kill loop run by hand? `python -m tests.crash --database sqlite --kills 1000 --each 20`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.crash.campaign import database, run
from tests.crash.loop import SENDING
from tests.simulation.broken import VARIANTS


def main() -> int:
    """Read the command line; 0 when every promise held."""
    asked = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    asked.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asked.add_argument("--url", help="use this empty database, not one made for the purpose")
    asked.add_argument("--kills", type=int, default=1000, help="at least so many kills (1000)")
    asked.add_argument("--each", type=int, default=20, help="at least so many at each failpoint (20)")
    asked.add_argument("--seconds", type=float, default=86400, help="kill no more after so long (a day)")
    asked.add_argument("--points", help="only at these failpoints, with commas between them")
    asked.add_argument("--variant", choices=[one.name for one in VARIANTS], help="a broken order of steps")
    asked.add_argument("--faults", type=float, default=1.0, help="how often the provider fails (1), 0: never")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--json", type=Path, help="write the figures here, too")
    chosen = asked.parse_args()
    # A short path: a Unix socket's may have no more than 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="nurture-crash-"))
    try:
        with database(chosen.url or chosen.database, folder) as url:
            done = run(
                folder, url, kills=chosen.kills, each=chosen.each, seed=chosen.seed, faults=chosen.faults,
                points=tuple(chosen.points.split(",")) if chosen.points else SENDING,
                seconds=chosen.seconds,
                variant=next((one for one in VARIANTS if one.name == chosen.variant), None),
            )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(done.as_dict(), indent=1), "utf-8")
    sys.stdout.write(done.table() + "\n")
    return 0 if done.verdict.good else 1


if __name__ == "__main__":
    raise SystemExit(main())
