"""`nurture lead ...` for the rights of a person, as it is typed."""

from __future__ import annotations

import json
import os
import pwd
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from nurture.cli import leads
from tests.nurture.leads.rights.life import ADDRESS, Life

if TYPE_CHECKING:
    from datetime import datetime

    from typer.testing import Result

    from nurture.store.workspace import Workspace


@pytest.fixture
def life(workspace: Workspace, at: datetime, monkeypatch: pytest.MonkeyPatch) -> Life:
    """An installation that the command line opens."""
    monkeypatch.setenv("NURTURE_HOME", str(workspace.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.settings.database_url)
    made = Life(workspace, at)
    made.publish()
    return made


def run(*words: str, typed: str | None = None) -> Result:
    """Type a command."""
    app = typer.Typer()
    leads.register(app)
    return CliRunner().invoke(app, ["lead", *words], input=typed)


def test_export_writes_two_files(life: Life, tmp_path: Path) -> None:
    """Readable by their owner only; the command names them and nobody."""
    lead_id = life.lives()
    done = run("export", str(lead_id), "-o", str(tmp_path / "out"), "--by", "vera", "--json")
    files = {kind: Path(path) for kind, path in json.loads(done.stdout).items() if kind != "lead"}

    assert done.exit_code == 0
    assert json.loads(files["json"].read_text("utf-8"))["persons"][0]["address"].lower() == ADDRESS.lower()
    assert files["pdf"].read_bytes().startswith(b"%PDF")
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    assert "@" not in done.stdout
    assert [entry.type for entry in life.entries("record.exported")] == ["record.exported"]


def test_export_goes_to_the_export_folder(life: Life) -> None:
    """Where retention and erasure look for it."""
    done = run("export", str(life.joins()), "--at", "2026-11-23T10:00")

    assert done.stdout.splitlines()[0] == str(life.ws.home / "exports" / "lead-1-20261123-100000.json")


def test_export_of_nobody_tells_the_remedy(life: Life) -> None:
    """A number that is no lead."""
    done = run("export", "77")

    assert done.exit_code == 1
    assert "lead find" in str(done.exception)


def test_find_reads_the_address_from_stdin(life: Life) -> None:
    """It prints a number and nothing else; in any spelling; not for a stranger."""
    lead_id = life.joins()
    found = run("find", "--json", typed=f" {ADDRESS.upper()} \n")

    assert json.loads(found.stdout) == {"lead": lead_id}
    assert run("find", typed="stranger@nowhere.example\n").exit_code == 1
    assert "nowhere" not in run("find", typed="stranger@nowhere.example\n").output


def test_list_filters_and_names_nobody(life: Life) -> None:
    """By stage, temperature and whether a mail could go; numbers only."""
    hot, cold = life.lives(), life.joins("tom@zweite.example")
    run("object", str(cold))
    everybody = run("list", "--json")

    def numbers(*words: str) -> list[int]:
        return [one["lead"] for one in json.loads(run("list", "--json", *words).stdout)]

    assert "@" not in everybody.stdout
    assert numbers() == [hot, cold]
    assert numbers("--mailable") == [hot]
    assert numbers("--not-mailable") == [cold]
    assert numbers("--stage", "handed_over") == [hot]
    assert numbers("--after", str(hot)) == [cold]
    assert numbers("--limit", "1") == [hot]
    assert run("list", "--stage", "nonsense").exit_code == 64


def test_erase_asks_first_and_tells_what_went(life: Life) -> None:
    """Without an answer nothing happens; the numbers are told, and what lies outside is named."""
    lead_id = life.lives()
    assert run("erase", str(lead_id), typed="n\n").exit_code == 1
    assert life.entries("subject.erased") == []
    done = run("erase", str(lead_id), "--yes", "--json")

    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["requests"], told["left"]) == (1, [])
    assert told["rows"] > 5
    assert told["files"] == 2
    assert len(life.entries("subject.erased")) == 1
    assert run("erase", str(lead_id), "--yes").exit_code == 1


def test_erase_fails_its_check_where_something_is_left(life: Life) -> None:
    """Exit 4, with the path."""
    lead_id = life.joins()
    (life.ws.home / "list.txt").write_text(ADDRESS)
    done = run("erase", str(lead_id), "--yes")

    assert (done.exit_code, "list.txt" in done.stderr) == (4, True)


def test_restrict_and_unrestrict_say_what_is_new(life: Life) -> None:
    """Each twice."""
    number = str(life.joins())
    said = [run(verb, number).stdout.strip() for verb in ("restrict", "restrict", "unrestrict", "unrestrict")]

    assert said == [
        "lead 1 restricted", "lead 1 was restricted before", "lead 1 no longer restricted", "lead 1 was not restricted",
    ]  # fmt: skip


def test_show_says_first_what_tells_against_using_the_data(life: Life) -> None:
    """Nothing of it on a usual lead; an erased one stands in no stage."""
    number = str(life.joins())
    usual = run("show", number)
    run("restrict", number)
    restricted, told = run("show", number), json.loads(run("show", number, "--json").stdout)
    run("erase", number, "--yes")
    erased, left = run("show", number), json.loads(run("show", number, "--json").stdout)

    assert not {"restricted_since", "erased_at"} & set(usual.stdout.split())
    assert restricted.stdout.split().index("restricted_since") < restricted.stdout.split().index("stage")
    assert told["restricted_since"] is not None
    assert erased.stdout.split().index("erased_at") < erased.stdout.split().index("stage")
    assert (left["erased_at"] is not None, left["stage"], left["owner"]) == (True, None, None)


def test_merge_tells_what_it_did(life: Life) -> None:
    """Numbers and entries."""
    goes, stays = life.joins(), life.joins("tom@zweite.example")
    told = json.loads(run("merge", str(goes), str(stays), "--yes", "--json").stdout)

    assert (told["goes"], told["stays"], told["events"]) == (goes, stays, 0)
    assert [one["lead"] for one in json.loads(run("list", "--json").stdout)] == [stays]


def test_merge_asks_first(life: Life) -> None:
    """A no changes nothing, a yes joins them."""
    pair = [str(life.joins()), str(life.joins("tom@zweite.example"))]
    refused = run("merge", *pair, typed="n\n")

    assert (refused.exit_code, "Nothing parts them again" in refused.stderr) == (1, True)
    assert life.entries("subject.merged") == []
    assert run("merge", *pair, typed="y\n").exit_code == 0
    assert len(life.entries("subject.merged")) == 1


@pytest.mark.parametrize("words", [["erase", "1"], ["merge", "1", "2"]], ids=["erase", "merge"])
def test_what_cannot_be_undone_names_the_word_for_scripts(life: Life, words: list[str]) -> None:
    """Where nobody answers, such as in a cron job: wrong usage, and nothing happens."""
    life.joins()
    life.joins("tom@zweite.example")
    before = len(life.entries())
    done = run(*words, typed="")

    assert (done.exit_code, "--yes" in done.stderr) == (64, True)
    assert len(life.entries()) == before


def test_requests_keep_their_month(life: Life) -> None:
    """Taken down with the day it came, listed until it is answered."""
    number = str(life.joins())
    taken = run("request", number, "access", "--received", "2026-01-31T10:00", "--route", "letter")
    waiting = json.loads(run("requests", "--json").stdout)
    run("export", number)

    assert "answer before 01.03.2026 00:00" in taken.stdout
    assert [(one["lead"], one["kind"]) for one in waiting] == [(1, "access")]
    assert json.loads(run("requests", "--json").stdout) == []
    assert run("request", number, "nonsense").exit_code == 64


def test_words_for_people(life: Life) -> None:
    """Without --json: tables and sentences, still without a name."""
    number = str(life.lives())
    run("request", number, "erase")
    said = {
        "find": run("find", typed=f"{ADDRESS}\n").stdout,
        "list": run("list", "--limit", "1").output,
        "requests": run("requests").stdout,
        "merge": run("merge", str(life.joins("tom@zweite.example")), number, "--yes").stdout,
        "again": run("object", number).stdout + run("object", number).stdout,
        "retention": run("retention", "--dry-run", "--at", "2027-06-01").stdout,
        "erase": run("erase", number, "--yes", "--hold").output,
    }

    assert said["find"] == f"{number}\n"
    assert "nurture lead list --after 1" in said["list"]
    assert "erase" in said["requests"]
    assert "merged into lead 1" in said["merge"]
    assert "had objected before" in said["again"]
    assert "quarantined_bodies" in said["retention"]
    assert "the proof of consent is held" in said["erase"]
    assert "@" not in "".join(said.values())
    assert [row.kind for row in life.requests() if row.settled_at is None] == []


def test_retention_runs_by_hand(life: Life) -> None:
    """As the night does it, counted by class."""
    replace(life, at=life.at - timedelta(days=60)).hears("sendgrid", b"poison")
    told = json.loads(run("retention", "--dry-run", "--json", "--at", "2027-02-01").stdout)
    done = json.loads(run("retention", "--json").stdout)

    assert told["quarantined_bodies"] == done["quarantined_bodies"] == 1
    assert run("list", "--temperature", "lukewarm").exit_code == 64


@pytest.mark.parametrize(
    "words",
    [("request", "1", "access", "--received", "2100-01-01"), ("retention", "--at", "2100-01-01"),
     *((verb, "1", "--at", "2100-01-01") for verb in ("export", "restrict", "unrestrict", "object")),
     ("erase", "1", "--yes", "--at", "2100-01-01"), ("merge", "1", "2", "--yes", "--at", "2100-01-01")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_nothing_is_done_at_a_time_to_come(life: Life, words: tuple[str, ...]) -> None:
    """Usage error, no entry, no request: it would outlast whatever the person says until then."""
    life.joins(), life.joins("tom@zweite.example")
    before = len(life.entries())
    done = run(*words)

    assert (done.exit_code, len(life.entries()), life.requests()) == (64, before, [])
    assert "lies ahead" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["erase", "1", "--yes", "--reason", "Kim Weber rief an"],
        ["erase", "1", "--yes", "--by", "Kim Weber"],
        ["merge", "1", "2", "--yes", "--reason", "Tel. 0151 2345678"],
        ["restrict", "1", "--by", "kim@firma.example"],
        ["object", "1", "--by", "Kim Weber"],
    ],
)
def test_free_text_is_wrong_usage(life: Life, words: list[str]) -> None:
    """What enters the ledger stays there: a short name and one word, else nothing happens."""
    life.joins()
    before = len(life.entries())
    done = run(*words)

    assert (done.exit_code, len(life.entries())) == (64, before)
    assert "Weber" not in done.stderr


def test_a_login_name_becomes_an_actor(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, without what may not enter the ledger."""
    monkeypatch.setenv("LOGNAME", "FIRMA\\Jörg.W")
    life.joins()
    run("restrict", "1")
    [entry] = life.entries("subject.restricted")

    assert b'"actor":"operator:firma_j_rg.w"' in entry.leaf


def test_the_system_names_who_types(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment does not, as under cron and in services."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    life.joins()
    run("restrict", "1")
    [entry] = life.entries("subject.restricted")

    assert f'"actor":"operator:{pwd.getpwuid(os.getuid()).pw_name}"'.encode() in entry.leaf
