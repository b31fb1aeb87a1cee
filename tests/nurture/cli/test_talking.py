"""How the command line talks when nothing was asked, too little was said, or nobody listens any more."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

NURTURE = [sys.executable, "-m", "nurture"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home without a workspace."""
    return {**os.environ, "NURTURE_HOME": str(tmp_path), "NO_COLOR": "1"}


@pytest.mark.parametrize("words", [[], ["lead"], ["audit"]], ids=["nothing", "lead", "audit"])
def test_a_noun_without_a_verb_shows_its_help(environment: dict[str, str], words: list[str]) -> None:
    """As it stands, nothing before and nothing behind; still wrong usage to a script."""
    done = subprocess.run([*NURTURE, *words], check=False, capture_output=True, text=True, env=environment)
    helped = subprocess.run([*NURTURE, *words, "--help"], check=True, capture_output=True, text=True, env=environment)

    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.split() == helped.stdout.split()


@pytest.mark.parametrize(("unbuffered", "code"), [("", 0), ("1", 1)], ids=["at the end", "in the middle"])
def test_a_reader_who_has_seen_enough_hears_no_complaint(
    environment: dict[str, str], unbuffered: str, code: int
) -> None:
    """`nurture ... | head` closes the pipe early; a verb that was done by then did all it should."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*NURTURE, "--version"],
        check=False,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": unbuffered},
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (code, "")
