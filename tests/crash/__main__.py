"""How is the kill loop run by hand? `python -m tests.crash --database sqlite --kills 1000 --each 20`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.crash.campaign import campaign


def main() -> int:
    """Read the command line; 0 when every promise held."""
    asked = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    asked.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asked.add_argument("--kills", type=int, default=1000, help="at least so many kills (1000)")
    asked.add_argument("--each", type=int, default=20, help="at least so many at each failpoint (20)")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--json", type=Path, help="write the figures here, too")
    chosen = asked.parse_args()
    done = campaign(chosen.database, kills=chosen.kills, each=chosen.each, seed=chosen.seed)
    if chosen.json:
        chosen.json.write_text(json.dumps(done.as_dict(), indent=1), "utf-8")
    sys.stdout.write(done.table() + "\n")
    return 0 if done.verdict.good else 1


if __name__ == "__main__":
    raise SystemExit(main())
