"""Which of the product's 120 requirements does a test carry? Run by `dev.py check`; prints, never fails.

A test names them with `@pytest.mark.requirement(42, 43)`, by the numbers of the product's list of requirements.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ALL = range(1, 121)


def marked(tree: ast.AST) -> set[int]:
    """Give the numbers named by requirement markers in one file."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.requirement"):
            found |= {
                part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, int)
            }
    return found


def carried(folder: Path = TESTS) -> dict[int, list[str]]:
    """Give for each requirement the test files that carry it."""
    files: dict[int, list[str]] = {number: [] for number in ALL}
    for path in sorted(folder.rglob("test_*.py")):
        for number in marked(ast.parse(path.read_text("utf-8"))):
            if number not in files:
                sys.exit(f"{path.name}: there is no requirement {number}; they run from {ALL[0]} to {ALL[-1]}")
            files[number].append(path.relative_to(folder).as_posix())
    return files


def spans(numbers: list[int]) -> str:
    """Write numbers shortly: 1-3, 7."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def main() -> None:
    """Print the coverage and what is missing."""
    files = carried()
    have = [number for number, names in files.items() if names]
    missing = [number for number, names in files.items() if not names]
    print(f"requirements carried by tests: {len(have)} of {len(ALL)}")  # noqa: T201  a report
    print(f"not yet: {spans(missing) or 'none'}")  # noqa: T201


if __name__ == "__main__":
    main()
