"""What does `nurture template` print, and how does it end?"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from nurture.cli import template
from nurture.settings import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

CHECK_FAILED = 4


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace of this test alone."""
    monkeypatch.setenv("NURTURE_HOME", str(tmp_path / "home"))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Our templates with one bad link and one step without mails."""
    templates = tmp_path / "templates"
    shutil.copytree(PROJECT / "templates", templates)
    body = templates / "welcome" / "hello" / "cold" / "body.de.mjml"
    body.write_text(
        body.read_text("utf-8").replace("https://musterwerk.example/de/wissen", "https://other.example"), "utf-8"
    )
    shutil.rmtree(templates / "reengage" / "choice")
    return templates


def nurture(*arguments: object) -> Result:
    app = typer.Typer()
    template.register(app)
    return CliRunner().invoke(app, ["template", *map(str, arguments)])


def test_check_of_our_mails_is_clean() -> None:
    result = nurture("check", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"mails": 32, "findings": [], "notes": []})


def test_check_notes_mails_that_go_one_by_one(broken: Path) -> None:
    body = broken / "welcome" / "hello" / "hot" / "body.en.mjml"
    body.write_text(
        body.read_text("utf-8").replace("{% if lead.company %}", "{{ lead }}{% if lead.company %}"), "utf-8"
    )
    told = nurture("check", "--templates", broken)
    assert "note: templates/welcome/hello/hot/body.en.mjml:16: one_by_one: lead is used as a whole" in told.stderr
    assert "one_by_one" not in told.stdout


def test_check_counts_what_is_wrong(broken: Path) -> None:
    result = nurture("check", "--templates", broken)
    assert result.exit_code == CHECK_FAILED
    assert "  1  templates/reengage/sequence.yaml:1: missing: step choice has no mails" in result.stdout
    assert "host: other.example is not among the library's own hosts" in result.stdout


def test_check_gives_findings_as_json(broken: Path) -> None:
    findings = json.loads(nurture("check", "--templates", broken, "--json").stdout)["findings"]
    assert {(one["file"], one["rule"]) for one in findings} == {
        ("reengage/sequence.yaml", "missing"),
        ("welcome/hello/cold/body.de.mjml", "host"),
    }


def test_build_lists_hashes() -> None:
    mails = json.loads(nurture("build", "--json").stdout)["mails"]
    assert [len(mail["sha256"]) for mail in mails] == [64] * 32


def test_build_writes_the_compiled_parts(tmp_path: Path) -> None:
    nurture("build", "--out", tmp_path / "out")
    assert "{{ lead.last_name }}" in (tmp_path / "out/welcome/hello/cold/de/body.html.j2").read_text("utf-8")


def test_preview_shows_every_mail_without_outside_help(tmp_path: Path) -> None:
    shown = json.loads(nurture("preview", "--out", tmp_path / "look", "--json").stdout)
    page = (tmp_path / "look" / "index.html").read_text("utf-8")
    assert shown["mails"] == page.count('"sha256"') == 32
    assert "<script src" not in page
    assert "<link" not in page


def test_preview_of_a_mail_cannot_end_the_script(tmp_path: Path) -> None:
    nurture("preview", "--out", tmp_path)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert page.count("</script>") == 1
