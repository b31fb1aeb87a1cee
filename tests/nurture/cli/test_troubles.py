"""What a verb says when the machine around it refuses: one line with the remedy, never a traceback."""

from __future__ import annotations

import sys
from socket import socket
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


def test_a_taken_port_is_told_in_one_line(
    told: Callable[..., tuple[object, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `serve` as by `up`, before anything is opened."""
    with socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("NURTURE_WEB_PORT", str(other.getsockname()[1]))

        code, said = told("serve")

    assert (code, said.count("\n")) == (Exit.ERROR, 1)
    assert "of the public pages is taken by another program; stop that one" in said


@pytest.mark.parametrize("verb", [("explain", "77"), ("lead", "show", "77"), ("score", "show", "77")])
def test_an_unknown_number_leads_to_the_list(told: Callable[..., tuple[object, str]], verb: tuple[str, ...]) -> None:
    """Where the numbers stand."""
    code, said = told(*verb)

    assert (code, said) == (Exit.ERROR, "nurture: there is no lead 77; 'nurture lead list' shows the numbers\n")


@pytest.mark.parametrize("looking", [(), ("--dry-run",)])
def test_an_import_for_an_unknown_purpose_is_told_in_one_line(
    told: Callable[..., tuple[object, str]], tmp_path: Path, looking: tuple[str, ...]
) -> None:
    """By the map, with file and line, and by the option; the ledger gets nothing."""
    people, chosen, text = tmp_path / "a.csv", tmp_path / "a.map.yaml", tmp_path / "a.txt"
    people.write_text("email\nudo@firma.example\n", "utf-8")
    chosen.write_text("consent:\n  - purpose: newsletter.produkt\n    text: Ja\n", "utf-8")
    text.write_text("Ja", "utf-8")
    refused = "newsletter.produkt is no purpose of policies/consent.yaml; did you mean newsletter.product?"

    by_map = told("import", str(people), "--map", str(chosen), *looking)
    by_option = told("import", str(people), "--consent-text", str(text), "--purpose", "newsletter.produkt", *looking)

    assert by_map == (Exit.ERROR, f"nurture: a.map.yaml:2: consent[0].purpose: {refused}\n")
    assert by_option == (Exit.USAGE, f"nurture: --purpose: {refused}\n")


def test_a_file_in_place_of_a_folder_is_told_in_one_line(
    told: Callable[..., tuple[object, str]], tmp_path: Path
) -> None:
    """By every verb that writes below a folder."""
    file = tmp_path / "file"
    file.write_text("x", "utf-8")

    for words in (("template", "preview", "--out"), ("template", "build", "--out"), ("demo", "--home")):
        code, said = told(*words, str(file))

        assert (code, said.splitlines()[-1].startswith("nurture: "), str(file) in said) == (Exit.ERROR, True, True)
