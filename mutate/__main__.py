"""Try the mutants of some modules against their tests, in a copy of the checkout, and tell which survived."""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from mutate.mutants import mutants
from mutate.trials import SURVIVED, UNREACHED, Trials, name

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Parse, try, print."""
    parser = argparse.ArgumentParser(prog="dev.py mutate", description=__doc__)
    parser.add_argument("paths", nargs="+", help="modules, or folders of them, such as consent/gate.py")
    parser.add_argument("--tests", nargs="+", default=["tests/consent"], help="what should notice (tests/consent)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--sample", type=int, help="try only so many, chosen at random")
    parser.add_argument("--seed", type=int, default=1, help="of that choice (1)")
    parser.add_argument(
        "--seconds", type=float, default=60, help="of tests for one mutant; the fastest come first (60)"
    )
    parser.add_argument("--report", type=Path, required=True, help="file that grows by a JSON line for each mutant")
    parser.add_argument("--again", action="store_true", help="try only the survivors in the report again")
    chosen = parser.parse_args()
    report: Path = chosen.report.resolve()
    modules = list(dict.fromkeys(str(path) for given in chosen.paths for path in _modules(Path(given))))
    named = [name(module, one) for module in modules for one in mutants(ast.parse(Path(module).read_text("utf-8")))]
    if chosen.sample is not None:
        named = random.Random(chosen.seed).sample(named, min(chosen.sample, len(named)))  # noqa: S311  no secret
    if chosen.again:
        named = _reopen(report, set(named))
    pytest_arguments = ["-q", "-o", "addopts=--import-mode=importlib", "-p", "no:randomly", "-p", "no:cacheprovider",
                        "-o", "tmp_path_retention_policy=failed", "--database", chosen.database]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="nurture-mutate-") as folder:
        _copy(Path(folder))
        pytest_arguments += ["--basetemp", f"{folder}/pytest"]
        trials = Trials(modules, report, pytest_arguments, set(named), chosen.seconds)
        code = pytest.main([*pytest_arguments, "-s", *chosen.tests], plugins=[trials])
    if code == 0:
        _tell(report)
    return int(code)


def _modules(path: Path) -> list[Path]:
    return sorted(path.glob("*.py")) if path.is_dir() else [path]


def _reopen(report: Path, named: set[str]) -> list[str]:
    """Take the survivors out of a report; give their names."""
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    again = [one["mutant"] for one in lines if one["outcome"] in {SURVIVED, UNREACHED} and one["mutant"] in named]
    kept = [json.dumps(one) + "\n" for one in lines if one["mutant"] not in again]
    report.write_text("".join(kept), "utf-8")
    return again


def _copy(folder: Path) -> None:
    """Go to a copy of the checkout: modules are rewritten there."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for line in listed.stdout.decode().splitlines():
        if (ROOT / line).is_file():
            target = folder / "checkout" / line
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / line, target)
    (folder / "shared").symlink_to(ROOT.parent / "shared")
    os.chdir(folder / "checkout")
    # Bytecode is found by the second in which a file was written: two mutants may share one.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(Path.cwd()))


def _tell(report: Path) -> None:
    """Print the score of each module, and who survived."""
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    alive = [one["mutant"] for one in lines if one["outcome"] in {SURVIVED, UNREACHED}]
    every = Counter(one["mutant"].partition(":")[0] for one in lines)
    left = Counter(named.partition(":")[0] for named in alive)
    for module, count in [*sorted(every.items()), ("all", len(lines))]:
        lost = left[module] if module != "all" else len(alive)
        print(f"{module:<28} {count:>5} mutants {count - lost:>5} killed {(count - lost) / count:>7.1%}")
    print("", *alive, sep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
