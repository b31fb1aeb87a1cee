"""What a verb says when the machine around it refuses: one line with the remedy, never a traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from nurture.cli.main import run
from nurture.cli.output import Exit
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nurture.settings import Settings


@pytest.fixture
def told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str]]:
    """Type a verb in a fresh workspace; give its exit code and what it said on stderr."""
    monkeypatch.setenv("NURTURE_HOME", str(settings.home))
    with open_workspace(settings):
        pass

    def typed(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["nurture", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            run()
        return end.value.code, capsys.readouterr().err

    return typed


@pytest.mark.parametrize("verb", [("audit", "verify"), ("delivery", "status"), ("consent", "texts"), ("run",)])
def test_a_silent_database_is_told_in_one_line(
    told: Callable[..., tuple[object, str]], monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    """Where no PostgreSQL listens; the password of the address is not shown."""
    monkeypatch.setenv("NURTURE_DATABASE_URL", "postgresql://nurture:very-secret@127.0.0.1:1/nurture")

    code, said = told(*verb)

    assert (code, said.count("\n"), "very-secret" in said) == (Exit.ERROR, 1, False)
    assert "the database does not answer" in said
    assert "database_url" in said


def test_a_file_in_place_of_a_folder_is_told_in_one_line(
    told: Callable[..., tuple[object, str]], tmp_path: Path
) -> None:
    """By every verb that writes below a folder."""
    file = tmp_path / "file"
    file.write_text("x", "utf-8")

    for words in (("template", "preview", "--out"), ("template", "build", "--out"), ("demo", "--home")):
        code, said = told(*words, str(file))

        assert (code, said.splitlines()[-1].startswith("nurture: "), str(file) in said) == (Exit.ERROR, True, True)
