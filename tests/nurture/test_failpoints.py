"""Are the failpoints a closed set, free until armed, and deadly exactly where they are told to be?"""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nurture.failpoints import POINTS, VARIABLE, committing, reach, watching

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
CROSS = "from nurture.failpoints import reach\nfor _ in range(5): reach('claim.after_commit')\nprint('lived')"


def run(orders: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, VARIABLE: orders}
    return subprocess.run(
        [sys.executable, "-c", CROSS], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


def placed() -> set[str]:
    """The names of all failpoints that stand in the code."""
    names = set()
    for path in (file for folder in ("nurture", "flows", "tasks") for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if called in {"reach", "committing"} and node.args and isinstance(node.args[0], ast.Constant):
                step = str(node.args[0].value)
                names |= {step} if called == "reach" else {f"{step}.before_commit", f"{step}.after_commit"}
    return names


def test_every_failpoint_stands_in_the_code_and_has_a_meaning() -> None:
    """Names are a closed set, and none of them is an empty promise."""
    assert placed() == set(POINTS)


def test_nothing_happens_unwatched() -> None:
    """Unarmed, a crossing does nothing, not even for an unknown name."""
    reach("claim.after_commit")
    reach("no such point")


def test_a_watcher_sees_the_crossings_until_it_leaves() -> None:
    """In its own process a test may watch, and an unknown name is refused then."""
    seen: list[str] = []
    with watching(seen.append):
        reach("claim.after_commit")
        with pytest.raises(KeyError, match="no such point"):
            reach("no such point")
    reach("claim.before_commit")
    assert seen == ["claim.after_commit"]


def test_a_transaction_has_a_point_on_each_side_of_its_commit() -> None:
    """`before_commit` lies inside of the transaction, `after_commit` behind it."""
    seen: list[str] = []

    @contextmanager
    def transaction() -> Iterator[str]:
        yield "connection"
        seen.append("commit")

    with watching(seen.append), committing("claim", transaction()) as connection:
        assert connection == "connection"
    assert seen == ["claim.before_commit", "commit", "claim.after_commit"]


def test_an_armed_process_kills_itself_at_the_crossing_that_was_named() -> None:
    """`kill:NAME@N` is SIGKILL at the N-th crossing, and only there."""
    assert run("kill:claim.after_commit@3").returncode == -signal.SIGKILL
    assert run("kill:claim.after_commit@6").stdout == "lived\n"
    assert run("kill:claim.before_commit@1").stdout == "lived\n"


def test_crossings_are_counted_up_to_the_kill(tmp_path: Path) -> None:
    """`count:FILE` keeps what was crossed, also by a process that died."""
    run(f"count:{tmp_path / 'crossed'}, kill:claim.after_commit@3")
    assert (tmp_path / "crossed").read_text("ascii").split() == ["claim.after_commit"] * 3


@pytest.mark.parametrize("orders", ["kill:nowhere@1", "kill:claim.after_commit", "kill:claim.after_commit@0", "yes"])
def test_an_unknown_order_is_refused(orders: str) -> None:
    """A typing error in a campaign must not look like a run without a crash."""
    refused = run(orders)
    assert refused.returncode == 1
    assert "is no order" in refused.stderr
    assert (refused.returncode, "Traceback" in refused.stderr, "claim.after_commit, " in refused.stderr) == (
        1,
        False,
        True,
    )
