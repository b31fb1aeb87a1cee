"""What `dev.py mutate` changes, and what it leaves alone."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mutate.mutants import code_of, mutants

CHANGES = [
    ("a < b <= c", ["a <= b <= c", "a < b < c"]),
    ("a is not None", ["a is None"]),
    ("a and not b", ["a or not b", "b"]),
    ("x = 1", ["x = None", "2"]),
    ("f(a, key=b)", ["pass", "f(None, key=b)", "f(a)"]),
    ("[a for a in b if c]", ["for a in b"]),
    ("if a: raise E('no')", ["if not a: raise E('no')", "pass"]),
    ("for a in b: break", ["continue"]),
    ("def f(a: int = 3) -> int:\n    '''Say.'''\n    return 'x'", ["4", "return None", "'xXX'"]),
    ("if TYPE_CHECKING: import a", []),
    ("__all__ = ['a']", []),
    ("@lru_cache(maxsize=3)\ndef f(): ...", []),
    ("f(comment='x')", ["pass"]),
]


@pytest.mark.parametrize(("source", "expected"), CHANGES)
def test_each_expression_has_its_mistakes(source: str, expected: list[str]) -> None:
    """The changes of a line, and none of what no test should have to notice."""
    found = [one.change.partition(" -> ")[2] for one in mutants(ast.parse(source))]

    assert found == expected


def test_a_mutant_stands_only_while_applied() -> None:
    """The tree is changed inside the block, and as before after it."""
    tree = ast.parse("def f():\n    return 1 + 2")
    one = next(mutant for mutant in mutants(tree) if mutant.change == "1 + 2 -> 1 - 2")
    with one.applied():
        inside: dict[str, object] = {}
        exec(compile(tree, "m", "exec"), inside)  # noqa: S102  the two lines above

    assert inside["f"]() == -1  # type: ignore[operator]
    assert ast.unparse(tree) == "def f():\n    return 1 + 2"


def test_the_code_of_a_function_is_found_by_its_first_line() -> None:
    """That of its first decorator, also inside a class."""
    tree = ast.parse("class A:\n    @property\n    def f(self):\n        return [x for x in self]")
    [functions] = {one.function for one in mutants(tree)}

    assert functions == 2
    assert code_of(tree, "m", 2).co_name == "f"


def test_every_test_that_calls_a_remembering_function_is_tried(tmp_path: Path) -> None:
    """Not only the first one, after which the function is called no more: here the second notices."""
    (tmp_path / "remembering.py").write_text(
        "from functools import cache\n\n@cache\ndef limit():\n    return 3\n", "utf-8"
    )
    tests = "import remembering\n\ndef test_runs():\n    remembering.limit()\n\n"
    tests += "def test_is_three():\n    assert remembering.limit() == 3\n"
    (tmp_path / "test_remembering.py").write_text(tests, "utf-8")
    program = """
import ast, pathlib, pytest
from mutate import mutants, trials
made = mutants.mutants(ast.parse(pathlib.Path("remembering.py").read_text("utf-8")))
chosen = {trials.name("remembering.py", one) for one in made}
plugin = trials.Trials(["remembering.py"], pathlib.Path("report"), [], chosen, 60)
pytest.main(["-q", "-p", "no:cacheprovider", "test_remembering.py"], plugins=[plugin])
"""
    known = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": ""}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=known, check=True, capture_output=True)
    lines = [json.loads(line) for line in (tmp_path / "report").read_text("utf-8").splitlines()]

    assert {one["mutant"].partition(" -> ")[2]: one["outcome"] for one in lines} == {
        "return None": "killed",
        "4": "killed",
    }
