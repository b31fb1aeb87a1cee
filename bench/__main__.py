"""Run every benchmark of this folder and print its figures; `--json` prints one object.

Ratios taken within one run hold on any machine; seconds are shown for orientation only.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main() -> None:
    """Parse, run one after another with progress on stderr, print."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help=f"which ones; all: {', '.join(NAMES)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute")
    chosen = parser.parse_args()
    results: dict[str, dict[str, object]] = {}
    for name in chosen.names or NAMES:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        results[name] = import_module(f"bench.{name}").run(quick=chosen.quick)
    if chosen.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        print(f"\n{name}")
        for key, value in figures.items():
            print(f"  {key:<36} {value:,.3f}" if isinstance(value, float) else f"  {key:<36} {value}")


if __name__ == "__main__":
    main()
