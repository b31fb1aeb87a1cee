"""`nurture audit ...` as it is typed, on a real workspace."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pypdf
import pytest
import typer
from sqlalchemy import select, update
from typer.testing import CliRunner

from consent import checkpoints, ledger, verify
from consent.schema import ledger_entry
from nurture import clock
from nurture.audit import AuditError
from nurture.cli import audit
from nurture.leads import register
from nurture.leads.register import NewLead
from tests.consent.people import NEWSLETTER, TRACKING, People
from tests.nurture.audit.sabotage import guards_off

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection
    from typer.testing import Result

    from nurture.store.workspace import Workspace


@pytest.fixture
def person(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    """A confirmed lead, in the workspace that the command line opens."""
    monkeypatch.setenv("NURTURE_HOME", str(workspace.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.settings.database_url)
    monkeypatch.setenv("LOGNAME", "vera")
    people = People(workspace.store, workspace.keyring, clock.now() - timedelta(hours=1))
    people.publish()
    subject = people.confirmed(purposes=[NEWSLETTER, TRACKING])
    people.ask(subject)
    with workspace.store.write() as conn:
        register.register(conn, [NewLead(subject, "de", "form")], at=people.at)
    return subject


def run(*words: str, env: dict[str, str] | None = None) -> Result:
    """Type it."""
    app = typer.Typer()
    audit.register(app)
    return CliRunner().invoke(app, ["audit", *words], env=env)


def test_a_checkpoint_is_printed_and_delivered(person: str, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    done = run("checkpoint", "--json", env={"NURTURE_CHECKPOINT_TARGETS": json.dumps([f"dir:{tmp_path}/disk"])})
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (tmp_path / "disk" / "3.txt").read_text("utf-8") == told["note"]
    assert told["deliveries"] == [{"target": f"dir:{tmp_path}/disk", "taken": True, "detail": "written"}]


def test_an_undelivered_checkpoint_ends_with_an_error(person: str, tmp_path: Path) -> None:
    done = run("checkpoint", env={"NURTURE_CHECKPOINT_TARGETS": json.dumps([f"dir:{tmp_path}/away"])})
    assert done.exit_code == 1
    assert "FAILED: dir:" in done.stderr


def test_without_targets_the_note_is_for_keeping(person: str) -> None:
    done = run("checkpoint")
    assert done.exit_code == 0
    assert done.stdout.startswith("127.0.0.1:8321/default\n3\n")
    assert "No target is configured" in done.stderr


def test_a_changed_entry_is_not_signed(person: str, workspace: Workspace) -> None:
    """Its hash and the tree are as they were, so that only recomputing finds it."""
    with workspace.store.write() as conn:
        guards_off(conn)
        changed = update(ledger_entry).where(ledger_entry.c.seq == 1)
        conn.execute(changed.values(leaf=ledger_entry_leaf(conn).replace(b'"email"', b'"phone"')))
    done = run("checkpoint")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "nothing was signed: entry 1:" in done.stderr
    with workspace.store.read() as conn:
        assert checkpoints.latest(conn) is None


def ledger_entry_leaf(conn: Connection) -> bytes:
    """The leaf of the confirmation."""
    return bytes(conn.execute(select(ledger_entry.c.leaf).where(ledger_entry.c.seq == 1)).scalar_one())


def test_status_tells_what_is_exposed(person: str, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    env = {"NURTURE_CHECKPOINT_TARGETS": json.dumps([f"dir:{tmp_path}/disk"])}
    before = json.loads(run("status", "--json", env=env).stdout)
    run("checkpoint", env=env)
    after = json.loads(run("status", "--json", env=env).stdout)
    assert (before["checkpoint"], before["exposed_entries"]) == (None, 3)
    assert (after["checkpoint"]["size"], after["exposed_entries"]) == (3, 0)
    assert f"dir:{tmp_path}/disk: has 3 entries" in run("status", env=env).stdout


def test_an_export_holds_and_says_how_to_check_it(person: str, tmp_path: Path) -> None:
    done = run("export", str(tmp_path / "out"), "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["verified"], told["figures"]["consents"]) == (0, True, 2)
    assert verify.main([str(tmp_path / "out")]) == 0


def test_addresses_take_two_people_and_a_reason(person: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    refused = run("export", str(outside / "out"), "--reveal", "--by", "vera", "--second", "VERA", "--reason", "x")
    assert isinstance(refused.exception, AuditError)
    assert not (outside / "out").exists()
    half = run("export", str(outside / "out"), "--reason", "curious")
    assert half.exit_code == 64
    done = run("export", str(outside / "out"), "--reveal", "--by", "vera", "--second", "kim", "--reason", "authority")
    assert done.exit_code == 0
    assert "kim@firma.example" in (outside / "out" / "csv" / "consents.csv").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ([], "needs --by, --second, --reason as well"),
        (["--by", "vera", "--reason", "authority"], "needs --second as well"),
        (["--by", "vera", "--second", "kim"], "needs --reason as well"),
    ],
)
def test_what_lacks_for_showing_addresses_is_named(person: str, given: list[str], missing: str) -> None:
    done = run("proof", "2", "--reveal", *given)
    assert (done.exit_code, missing in done.stderr) == (64, True)


def test_one_lead_by_number_or_by_id(person: str, tmp_path: Path) -> None:
    for number, name in enumerate(("1", person)):
        run("export", str(tmp_path / str(number)), "--person", name)
        [line] = (tmp_path / str(number) / "people.jsonl").read_text("utf-8").splitlines()
        assert json.loads(line)["subject"] == person
    assert run("export", str(tmp_path / "none"), "--person", "99").exit_code == 1


@pytest.mark.parametrize(
    "words",
    [
        ["export", "x", "--separator", "|"],
        ["export", "x", "--lang", "fr"],
        ["export", "x", "--by", "vera@firma.example"],
        ["proof"],
        ["proof", "1", "--message", "m"],
        ["proof", "1", "-o", "proof.docx"],
    ],
)
def test_wrong_usage_ends_with_64(person: str, words: list[str]) -> None:
    assert run(*words).exit_code == 64


@pytest.mark.parametrize("ending", [".pdf", ".html", ".txt", ".json"])
def test_a_proof_is_written_for_its_owner_alone(person: str, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"proof{ending}"
    done = run("proof", "1", "-o", str(out))
    assert done.exit_code == 0
    assert out.stat().st_mode & 0o077 == 0
    if ending == ".pdf":
        assert "Nachweis" in pypdf.PdfReader(out).pages[0].extract_text()
    else:
        assert "Musterwerk GmbH darf mir per E-Mail" in out.read_text("utf-8")


def test_a_proof_shuts_the_file_it_is_written_over(person: str, tmp_path: Path) -> None:
    """One that others could read before does not stay open with addresses in it."""
    out = tmp_path / "proof.txt"
    out.write_text("old", "utf-8")
    out.chmod(0o644)
    run("proof", "1", "-o", str(out))

    assert (out.stat().st_mode & 0o777, "old" in out.read_text("utf-8")) == (0o600, False)


def test_a_proof_for_a_missing_folder_is_not_recorded(person: str, tmp_path: Path, workspace: Workspace) -> None:
    done = run("proof", "1", "-o", str(tmp_path / "away" / "proof.pdf"))
    with workspace.store.read() as conn:
        size = ledger.head(conn).size
    assert (done.exit_code, size) == (1, 3)
    assert f"there is no folder {tmp_path}/away" in done.stderr


def test_without_a_file_a_proof_is_text(person: str) -> None:
    done = run("proof", "1", "--lang", "en")
    assert done.stdout.startswith("Proof of a consent\n")
    assert "Both steps" in done.stdout


def test_verify_still_answers(person: str) -> None:
    assert json.loads(run("verify", "--json").stdout)["verified"] is True
