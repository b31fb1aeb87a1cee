"""How fast is it? `dev.py bench` compares the product with ceilings beside it, on both databases; a name runs one part.

Ratios taken within one run hold on any machine; rates are shown for orientation only. A ratio that this run did not
measure is null, with the reason; one whose ceiling wavered by more than a factor of two gets no verdict.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

from bench import _report

HERE = Path(__file__).resolve().parent
NAMES = sorted(
    path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_") and path.stem != "fake_sendgrid"
)
EXAMPLES = "Examples: dev.py bench --quick --database sqlite; dev.py bench content --quick"
SIZES = {"k": 1_000, "m": 1_000_000}


def sizes(text: str) -> tuple[int, ...]:
    """Read `10k,100k,1M`."""
    found = []
    for one in text.lower().split(","):
        factor = SIZES.get(one[-1:], 1)
        found.append(int(one.rstrip("km")) * factor)
    return tuple(found)


def main() -> int:
    """Parse, measure with progress on stderr, print, and write JSON and plot; 1 when a part failed."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__, epilog=EXAMPLES)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="PART",
        help=f"only these, all they have to say, printed and not written: {', '.join(NAMES)}; takes --quick and --json",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute in all")
    parser.add_argument("--database", choices=["both", "sqlite", "postgresql"], default="both")
    parser.add_argument("--leads", type=sizes, help="such as 10k,100k,1M (that is what a full run takes)")
    parser.add_argument("--out", type=Path, default=Path(".bench"), help="folder for bench.json and bench.svg (.bench)")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.names) - set(NAMES)):
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    if chosen.names:
        return _one_by_one(chosen.names, quick=chosen.quick, as_json=chosen.json)
    databases = ("sqlite", "postgresql") if chosen.database == "both" else (chosen.database,)
    result = _report.measure(databases, quick=chosen.quick, leads=chosen.leads)
    _report.write(result, chosen.out)
    print(json.dumps(result, indent=2) if chosen.json else _report.table(result))
    return 1 if result["failed"] else 0


def _one_by_one(names: list[str], *, quick: bool, as_json: bool) -> int:
    results: dict[str, dict[str, object]] = {}
    for name in names:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        module = import_module(f"bench.{name}")
        results[name] = module.run(quick=quick) if hasattr(module, "run") else _report.of_both(module, quick=quick)
    if as_json:
        print(json.dumps(results, indent=2))
        return 0
    for name, figures in results.items():
        print(f"\n{name}")
        for key, value in figures.items():
            print(f"  {key:<36} {value:,.3f}" if isinstance(value, float) else f"  {key:<36} {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
