"""What do `nurture stop`, `resume`, `delivery` and `outbox` print, and how do they end?"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select

from consent.keys import Keyring
from nurture.cli.main import run
from nurture.delivery import brakes, circuit, gap
from nurture.delivery.content.pieces import Content
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Outgoing, Refused, Sender, Unknown
from nurture.delivery.sending import send_next
from nurture.sequences import definition
from nurture.settings import Settings
from nurture.store.tables import (
    kill_switch,
    message,
    send_batch,
    sequence_version,
    switch_change,
    template_version,
)
from nurture.store.workspace import open_workspace
from tests.nurture.delivery.world import Scripted
from tests.nurture.delivery.world import World as People

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
USAGE = 64
CHECK_FAILED = 4


@dataclass
class Ended:
    """How a verb ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Path:
    """A workspace in which nothing has happened yet."""
    monkeypatch.setenv("NURTURE_HOME", str(settings.home))
    shutil.copyfile(sqlite_template, tmp_path / "nurture.db")
    Keyring.load_or_create(tmp_path / "keys.json")
    return tmp_path


@pytest.fixture
def nurture(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Type a verb, as in a shell."""

    def typed(*arguments: str) -> Ended:
        assert home.is_dir()
        monkeypatch.setattr(sys, "argv", ["nurture", *arguments])
        with pytest.raises(SystemExit) as end:
            run()
        told = capsys.readouterr()
        return Ended(int(end.value.code or 0), told.out, told.err)

    return typed


def rows(home: Path, query: Any) -> Sequence[Any]:
    """Read anything."""
    with open_workspace(Settings(home=home)) as ws, ws.store.read() as conn:
        return conn.execute(query).all()


def apply_sequence(home: Path, name: str = "welcome") -> None:
    """Have a sequence applied here."""
    row = {"name": name, "version": 1, "sha256": "b" * 64, "definition": {}, "applied_at": AT}
    with open_workspace(Settings(home=home)) as ws, ws.store.write() as conn:
        conn.execute(insert(sequence_version), [row])


def plan_mail(home: Path, state: str = "planned") -> None:
    """Queue a mail for somebody, in a batch of this state."""
    with open_workspace(Settings(home=home)) as ws:
        subject = People(ws, AT).person()
        batch = {
            "kind": "marketing", "state": state, "provider": "outbox", "environment": "e", "count": 1, "attempt": 1,
            "sequence": "welcome", "planned_at": AT, "not_before": AT, "not_after": AT,
        }  # fmt: skip
        template = {"key": "welcome/hello/cold/de", "sha256": "0" * 64, "links": [], "seen_at": AT}
        with ws.store.write() as conn:
            values = {
                "public_id": "a" * 26, "kind": "marketing", "subject": subject, "step": "hello", "occurrence": 1,
                "class": "educational", "language": "de", "tracked": False, "planned_at": AT,
                "batch_id": conn.execute(insert(send_batch).values(batch).returning(send_batch.c.id)).scalar_one(),
                "template_version_id": conn.execute(
                    insert(template_version).values(template).returning(template_version.c.id)
                ).scalar_one(),
            }  # fmt: skip
            conn.execute(insert(message).values(values))


def put_out(home: Path, *public_ids: str, subject: str = "Guten Tag") -> None:
    """Lay mails into the outbox."""
    box = Outbox(home / "outbox", Sender("news@musterwerk.example", "Musterwerk"))
    for public_id in public_ids:
        mail = Outgoing(
            public_id=public_id, attempt=1, to_address="erika@example.org", to_name="Erika",
            content=Content.whole(subject, "<p>Hallo als HTML</p>", "Hallo als Text"), at=AT,
            category="welcome.hello",
        )  # fmt: skip
        box.submit([mail])


# --- stop and resume ---------------------------------------------------------------------------


def test_stop_all_stops_everything(nurture: Callable[..., Ended], home: Path) -> None:
    done = nurture("stop", "--all", "--reason", "wrong price")
    assert (done.code, done.out) == (0, "stopped: all\n")
    assert [(row.scope, row.reason) for row in rows(home, select(kill_switch))] == [("all", "wrong price")]


def test_stopping_twice_keeps_the_first_word(nurture: Callable[..., Ended], home: Path) -> None:
    nurture("stop", "--all", "--reason", "first")
    done = nurture("stop", "--all", "--reason", "second")
    assert (done.code, done.out) == (0, "already stopped: all\n")
    assert rows(home, select(kill_switch.c.reason)) == [("first",)]


def test_one_sequence_can_be_stopped(nurture: Callable[..., Ended], home: Path) -> None:
    apply_sequence(home)
    done = nurture("stop", "--sequence", "welcome", "--reason", "typo")
    assert (done.code, done.out, done.err) == (0, "stopped: sequence:welcome\n", "")


def test_a_misspelt_sequence_is_not_said_to_be_stopped(nurture: Callable[..., Ended], home: Path) -> None:
    """The nearest name is told; the sequence of that name goes on sending."""
    done = nurture("stop", "--sequence", "welcom", "--reason", "typo")
    assert (done.code, done.out, rows(home, select(kill_switch))) == (USAGE, "", [])
    assert "nothing is stopped: there is no sequence 'welcom'; did you mean 'welcome'?" in done.err


def test_a_sequence_whose_file_is_gone_can_be_stopped(nurture: Callable[..., Ended], home: Path) -> None:
    """Its mails may be planned."""
    apply_sequence(home, "former")
    done = nurture("stop", "--sequence", "former", "--reason", "x")
    assert (done.code, done.out) == (0, "stopped: sequence:former\n")


def test_a_sequence_with_a_slip_can_be_stopped(
    nurture: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of its file is read but where it lies."""
    monkeypatch.setenv("NURTURE_PROJECT", str(tmp_path / "project"))
    broken = tmp_path / "project" / "templates" / "broken"
    broken.mkdir(parents=True)
    (broken / "sequence.yaml").write_text("sequence: [", "utf-8")
    assert nurture("stop", "--sequence", "broken", "--reason", "x").out == "stopped: sequence:broken\n"


def test_the_change_names_who_typed(nurture: Callable[..., Ended], home: Path) -> None:
    nurture("stop", "--all", "--reason", "wrong price")
    nurture("resume", "--all", "--reason", "mended")
    changes = rows(home, select(switch_change).order_by(switch_change.c.id))
    assert [(row.change, row.reason) for row in changes] == [("stop", "wrong price"), ("resume", "mended")]
    assert all(row.actor.startswith("cli") for row in changes)


def test_stop_tells_what_may_still_arrive(nurture: Callable[..., Ended], home: Path) -> None:
    plan_mail(home, "submitting")
    done = nurture("stop", "--all", "--reason", "wrong price")
    assert "1 messages were on their way to the provider and may still arrive" in done.err


@pytest.mark.parametrize("verb", ["stop", "resume"])
@pytest.mark.parametrize("scope", [[], ["--all", "--sequence", "welcome"], ["--sequence", " "]])
def test_a_scope_must_be_chosen(nurture: Callable[..., Ended], verb: str, scope: list[str]) -> None:
    done = nurture(verb, *scope, "--reason", "x")
    assert (done.code, done.out) == (USAGE, "")
    assert "say what: --all or --sequence NAME" in done.err


@pytest.mark.parametrize("verb", ["stop", "resume"])
def test_a_reason_is_wanted(nurture: Callable[..., Ended], verb: str) -> None:
    done = nurture(verb, "--all")
    assert (done.code, done.out) == (USAGE, "")
    assert "--reason" in done.err


def test_resume_lifts_the_stop(nurture: Callable[..., Ended], home: Path) -> None:
    nurture("stop", "--all", "--reason", "x")
    done = nurture("resume", "--all", "--reason", "mended")
    assert (done.code, done.out, done.err) == (0, "resumed: all\n", "")
    assert rows(home, select(kill_switch)) == []


def test_resuming_what_runs_says_so(nurture: Callable[..., Ended]) -> None:
    done = nurture("resume", "--all", "--reason", "x")
    assert (done.code, done.out) == (0, "was not stopped: all\n")


def test_resume_names_what_stays_stopped(nurture: Callable[..., Ended]) -> None:
    nurture("stop", "--all", "--reason", "x")
    nurture("stop", "--sequence", "welcome", "--reason", "x")
    assert "still stopped: sequence:welcome" in nurture("resume", "--all", "--reason", "x").err


def test_resume_names_a_brake_that_stays_pulled(nurture: Callable[..., Ended], home: Path) -> None:
    """Whoever lifts a stop learns that mail stands still all the same."""
    nurture("stop", "--all", "--reason", "x")
    pull(home)
    assert "still stopped: brake:in_doubt:outbox" in nurture("resume", "--all", "--reason", "x").err


def test_resume_offers_the_brake(nurture: Callable[..., Ended]) -> None:
    assert "--all or --sequence NAME or --brake NAME" in nurture("resume", "--reason", "x").err


# --- delivery ----------------------------------------------------------------------------------


def test_status_of_nothing_says_so(nurture: Callable[..., Ended]) -> None:
    done = nurture("delivery", "status")
    assert (done.code, done.out) == (0, "no messages yet\nin doubt 0, unknown 0\nnothing is stopped\n")


def test_status_of_nothing_as_json(nurture: Callable[..., Ended]) -> None:
    told = json.loads(nurture("delivery", "status", "--json").out)
    counts = {"messages": {}, "in_doubt": 0, "unknown": 0, "stopped": [], "brakes": [], "circuits": []}
    figures = {"provider": "outbox", "doubts": "0 of 0 (0 %)", "complaints": "0 of 0 (0 %)", "ramp": None}
    assert told == {**counts, "refusals": [], "forged": 0, "figures": figures}


def test_status_counts_messages_by_state(nurture: Callable[..., Ended], home: Path) -> None:
    plan_mail(home, "in_doubt")
    told = json.loads(nurture("delivery", "status", "--json").out)
    assert (told["messages"], told["in_doubt"]) == ({"marketing": {"in_doubt": 1}}, 1)
    assert "in_doubt" in nurture("delivery", "status").out


def test_status_tells_what_is_stopped(nurture: Callable[..., Ended]) -> None:
    nurture("stop", "--all", "--reason", "x")
    assert json.loads(nurture("delivery", "status", "--json").out)["stopped"] == ["all"]
    assert "stopped: all" in nurture("delivery", "status").out


def pull(home: Path, name: brakes.Brake = brakes.Brake.IN_DOUBT, level: brakes.Level = brakes.Level.STOP) -> None:
    """Let nurture stop something itself."""
    with open_workspace(Settings(home=home)) as ws, ws.store.write() as conn:
        brakes.pull(conn, name, "6 of 8", AT, provider="outbox", level=level)


def test_status_tells_which_brake_is_pulled_and_why(nurture: Callable[..., Ended], home: Path) -> None:
    pull(home)
    [told] = json.loads(nurture("delivery", "status", "--json").out)["brakes"]
    assert (told["name"], told["provider"], told["level"], told["reason"]) == ("in_doubt", "outbox", "stop", "6 of 8")
    assert "brake: in_doubt outbox: 6 of 8" in nurture("delivery", "status").out


def test_status_tells_a_warning(nurture: Callable[..., Ended], home: Path) -> None:
    pull(home, brakes.Brake.COMPLAINTS, brakes.Level.WARN)
    assert "warning: complaints outbox: 6 of 8" in nurture("delivery", "status").out


def test_status_says_nothing_is_stopped_only_where_nothing_is(nurture: Callable[..., Ended], home: Path) -> None:
    """A warning stops nothing; a stop, a brake and a circuit do."""
    said = "nothing is stopped\n"
    pull(home, brakes.Brake.COMPLAINTS, brakes.Level.WARN)
    assert said in nurture("delivery", "status").out
    pull(home)
    assert said not in nurture("delivery", "status").out
    nurture("resume", "--brake", "in_doubt", "--reason", "x")
    assert said in nurture("delivery", "status").out
    nurture("stop", "--all", "--reason", "x")
    assert said not in nurture("delivery", "status").out
    nurture("resume", "--all", "--reason", "x")
    open_circuit(home)
    assert said not in nurture("delivery", "status").out


@pytest.mark.parametrize("name", list(brakes.Brake))
def test_status_names_the_command_for_each_brake(nurture: Callable[..., Ended], home: Path, name: brakes.Brake) -> None:
    """Whoever reads it at night needs no handbook."""
    pull(home, name)
    told = nurture("delivery", "status").out
    command = "nurture delivery home --original" if name == "copied" else f"nurture resume --brake {name} --reason"
    assert command in told


def test_reconcile_says_whether_anything_still_stands(nurture: Callable[..., Ended], home: Path) -> None:
    """So that nobody has to ask for the status as well."""
    none = "proven to be accepted: 0; given up as unknown: 0\n"
    assert nurture("delivery", "reconcile").out == f"{none}nothing is stopped\n"
    pull(home, brakes.Brake.COMPLAINTS)
    assert nurture("delivery", "reconcile").out.startswith(f"{none}brake: complaints outbox: 6 of 8\n  look at ")


@pytest.mark.parametrize(
    ("provider", "way"),
    [("outbox", "outbox folder"), ("sendgrid", "sendgrid_logs"), ("smtp", "log of your mail server")],
)
def test_status_says_where_proof_comes_from(nurture: Callable[..., Ended], home: Path, provider: str, way: str) -> None:
    """Each provider has another way to show what left."""
    with open_workspace(Settings(home=home)) as ws, ws.store.write() as conn:
        brakes.pull(conn, brakes.Brake.IN_DOUBT, "6 of 8", AT, provider=provider)
    assert way in nurture("delivery", "status").out


@pytest.mark.parametrize(("stop", "back"), [("--all", "--all"), ("--sequence=welcome", "--sequence welcome")])
def test_status_names_the_command_that_ends_a_stop(nurture: Callable[..., Ended], stop: str, back: str) -> None:
    """With the scope that was stopped."""
    nurture("stop", stop, "--reason", "x")
    assert f"nurture resume {back} --reason" in nurture("delivery", "status").out


def test_a_brake_is_released_by_a_person(nurture: Callable[..., Ended], home: Path) -> None:
    pull(home)
    assert nurture("resume", "--brake", "in_doubt", "--reason", "provider had an outage").out == "released: in_doubt\n"
    change = rows(home, select(switch_change).order_by(switch_change.c.id))[-1]
    assert (change.change, change.reason, change.actor[:3]) == ("resume", "provider had an outage", "cli")
    assert nurture("resume", "--brake", "in_doubt", "--reason", "x").out == "was not pulled: in_doubt\n"


def test_an_unknown_brake_is_refused(nurture: Callable[..., Ended]) -> None:
    done = nurture("resume", "--brake", "indoubt", "--reason", "x")
    assert (done.code, "known are in_doubt, complaints" in done.err) == (USAGE, True)


def test_a_brake_and_a_scope_are_two_things(nurture: Callable[..., Ended]) -> None:
    assert nurture("resume", "--all", "--brake", "in_doubt", "--reason", "x").code == USAGE


def test_a_run_says_that_a_brake_is_pulled(nurture: Callable[..., Ended], home: Path) -> None:
    pull(home)
    assert "Sending is stopped (brake:in_doubt:outbox)" in nurture("run", "--dry-run").err


def project_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str]) -> None:
    """Make our project once more, with these lines put at the end of its policies, and work in it."""
    project = tmp_path / "project"
    shutil.copytree(Settings().policies, project / "policies")
    (project / "templates").symlink_to(Settings().templates.resolve())
    for name, text in changed.items():
        path = project / "policies" / name
        path.write_text(path.read_text("utf-8") + text, "utf-8")
    monkeypatch.setenv("NURTURE_PROJECT", str(project))


POLICIES = sorted(str(path.relative_to(Settings().policies)) for path in Settings().policies.rglob("*.yaml"))


@pytest.mark.parametrize("name", POLICIES)
def test_check_reads_every_policy(
    nurture: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A slip in any of them shows before a flow fails on it, with file and line."""
    line = len((Settings().policies / name).read_text("utf-8").splitlines()) + 1
    project_with(tmp_path, monkeypatch, {name: "slip: 1\n"})
    done = nurture("check")
    said = f"{Path(name).name}:{line}: slip: is no known key here"
    assert (done.code, done.out.count(said)) == (CHECK_FAILED, 1)


def test_check_tells_of_all_policies_at_once(
    nurture: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the first only. The names of events stay whole: scoring.yaml is read by them."""
    broken = [name for name in POLICIES if name != "vocabulary/events.yaml"]
    project_with(tmp_path, monkeypatch, dict.fromkeys(broken, "slip: 1\n"))
    done = nurture("check")
    assert (done.code, done.out.count("slip: is no known key")) == (CHECK_FAILED, len(broken))


def test_wrong_usage_names_the_help_of_its_verb(nurture: Callable[..., Ended]) -> None:
    """Not that of the group, which does not show the option."""
    done = nurture("delivery", "gap")
    assert (done.code, "Try 'nurture delivery gap --help'." in done.err) == (USAGE, True)


def open_circuit(home: Path) -> None:
    """Let the provider refuse our key."""
    with open_workspace(Settings(home=home)) as ws, ws.store.write() as conn:
        circuit.record(conn, "sendgrid", "marketing", [Refused("http 401", None, opens_circuit=True)], AT)


def test_status_tells_why_a_circuit_is_open(nurture: Callable[..., Ended], home: Path) -> None:
    open_circuit(home)
    [told] = json.loads(nurture("delivery", "status", "--json").out)["circuits"]
    assert (told["provider"], told["state"], told["reason"]) == ("sendgrid", "open", "http 401")
    assert "sendgrid: open http 401" in nurture("delivery", "status").out


def test_status_says_what_to_do_about_mails_that_were_rejected_all_alike(
    nurture: Callable[..., Ended], home: Path
) -> None:
    """With the command that ends it."""
    with open_workspace(Settings(home=home)) as ws, ws.store.write() as conn:
        circuit.record(conn, "smtp", "marketing", [Refused(circuit.alike("rcpt 550"), None, opens_circuit=True)], AT)
    told = nurture("delivery", "status").out
    assert "smtp: open all rejected: rcpt 550\n  no mail was taken" in told
    assert "'nurture delivery close-circuit smtp'" in told


def refuse(home: Path, code: str, *, opens_circuit: bool = False) -> None:
    """Plan two mails; the provider refuses them for now."""
    with open_workspace(Settings(home=home)) as ws:
        world = People(ws, AT)
        with ws.store.write() as conn:
            world.sequence = definition.register(conn, definition.load(ws.settings.templates), at=AT)["welcome"]
        world.plan(world.person(), world.person())
        provider = Scripted([Refused(code, 90.0, opens_circuit=opens_circuit)])
        send_next(ws, world.library, provider, kind="marketing", owner="w1", at=AT)


def test_status_and_run_tell_what_the_provider_refused(nurture: Callable[..., Ended], home: Path) -> None:
    """How many mails, why, and when they are tried again, in the legal zone."""
    refuse(home, "connect failed")
    said = "refused by outbox for now: 2 marketing mails (connect failed); next try 2026-11-23 09:0"
    assert said in nurture("delivery", "status").out
    assert said in nurture("run", "--dry-run").err
    [told] = json.loads(nurture("run", "--dry-run", "--json").out)["refusals"]
    assert (told["code"], told["mails"]) == ("connect failed", 2)


def test_run_tells_that_the_circuit_opened(nurture: Callable[..., Ended], home: Path) -> None:
    """And what to do; the next try is the probe's."""
    refuse(home, "http 401", opens_circuit=True)
    told = nurture("run", "--dry-run").err
    assert "next try 2026-11-23 09:15:00 CET" in told
    assert "The circuit to outbox is open: http 401\n  mend the cause" in told


def test_closing_a_circuit_by_hand(nurture: Callable[..., Ended], home: Path) -> None:
    open_circuit(home)
    assert nurture("delivery", "close-circuit", "sendgrid").out == "sendgrid: closed\n"
    assert "sendgrid: closed" in nurture("delivery", "status").out


def test_closing_a_closed_circuit_says_so(nurture: Callable[..., Ended]) -> None:
    done = nurture("delivery", "close-circuit", "smtp")
    assert (done.code, done.out) == (0, "smtp: was not open\n")


def test_an_unknown_provider_is_refused(nurture: Callable[..., Ended]) -> None:
    done = nurture("delivery", "close-circuit", "sendgird")
    assert (done.code, done.out) == (USAGE, "")
    assert "choose one of outbox, sendgrid, smtp" in done.err


# --- outbox ------------------------------------------------------------------------------------


def test_an_empty_outbox_says_so(nurture: Callable[..., Ended]) -> None:
    done = nurture("outbox", "list")
    assert (done.code, done.out) == (0, "")
    assert "the outbox is empty" in done.err


def test_an_empty_outbox_is_an_empty_list(nurture: Callable[..., Ended]) -> None:
    assert json.loads(nurture("outbox", "list", "--json").out) == []


def test_the_outbox_lists_its_mails(nurture: Callable[..., Ended], home: Path) -> None:
    put_out(home, "a" * 26, subject="Grüße")
    assert json.loads(nurture("outbox", "list", "--json").out) == [
        {"id": "a" * 26, "date": AT.isoformat(), "subject": "Grüße"}
    ]
    assert "Grüße" in nurture("outbox", "list").out


def test_the_list_keeps_to_its_limit(nurture: Callable[..., Ended], home: Path) -> None:
    put_out(home, *(letter * 26 for letter in "abc"))
    assert len(json.loads(nurture("outbox", "list", "--limit", "2", "--json").out)) == 2


def test_a_limit_of_none_is_refused(nurture: Callable[..., Ended]) -> None:
    assert nurture("outbox", "list", "--limit", "0").code == USAGE


def test_show_prints_headers_and_text(nurture: Callable[..., Ended], home: Path) -> None:
    put_out(home, "a" * 26)
    done = nurture("outbox", "show", "a" * 26)
    shown = message_from_string(done.out)
    assert (done.code, shown["Subject"]) == (0, "Guten Tag")
    assert "Hallo als Text" in done.out
    assert "Hallo als HTML" not in done.out


def test_show_prints_the_html_alone(nurture: Callable[..., Ended], home: Path) -> None:
    put_out(home, "a" * 26)
    done = nurture("outbox", "show", "a" * 26, "--html")
    assert done.out.startswith("<p>Hallo als HTML</p>")


@pytest.mark.parametrize("public_id", ["b" * 26, "../keys", ""])
def test_an_unknown_mail_is_an_error(nurture: Callable[..., Ended], home: Path, public_id: str) -> None:
    put_out(home, "a" * 26)
    done = nurture("outbox", "show", public_id)
    assert (done.code, done.out) == (1, "")
    assert "`nurture outbox list` gives the ids" in done.err


def test_a_mistyped_home_is_no_empty_one(nurture: Callable[..., Ended], home: Path) -> None:
    """A reading verb makes no workspace and says where there is none."""
    (home / "keys.json").unlink()
    (home / "nurture.db").unlink()
    ended = nurture("delivery", "status")

    assert (ended.code, "no workspace in" in ended.err, (home / "keys.json").exists()) == (1, True, False)


@pytest.mark.parametrize("verb", ["stop", "resume"])
def test_a_blank_reason_is_refused(nurture: Callable[..., Ended], verb: str) -> None:
    """A reason is for those who ask later."""
    assert nurture(verb, "--all", "--reason", "  ").code == USAGE


def test_a_number_beyond_all_is_an_error(nurture: Callable[..., Ended]) -> None:
    """No traceback for a slip of the keyboard."""
    assert nurture("explain", "60000000000000000000").code == USAGE


def test_a_run_says_that_sending_is_stopped(nurture: Callable[..., Ended]) -> None:
    """Nobody should wonder why nothing leaves."""
    nurture("stop", "--all", "--reason", "test")

    assert "Sending is stopped (all)" in nurture("run", "--dry-run").err


def test_a_run_says_which_sequence_is_stopped(nurture: Callable[..., Ended]) -> None:
    """The others leave; a run of another alone has nothing to say, and one of it leaves nothing."""
    nurture("stop", "--sequence", "welcome", "--reason", "test")
    other = next(name for name in definition.load(Settings().templates) if name != "welcome")

    assert "Stopped: welcome. Mails of that leave only after" in nurture("run", "--dry-run").err
    assert nurture("run", other, "--dry-run").err == ""
    assert "Sending is stopped (sequence:welcome)" in nurture("run", "welcome", "--dry-run").err


# --- backup, restore, and whose database it is -------------------------------------------------


def test_a_backup_can_be_restored(nurture: Callable[..., Ended], home: Path) -> None:
    """All mail stands still, and what to do is said."""
    made = nurture("backup", str(home / "copy.db"))
    done = nurture("restore", str(home / "copy.db"))

    assert (made.code, made.out.startswith("written: ")) == (0, True)
    assert (done.code, "in doubt: 0 messages" in done.out, "who withdrew" in done.err) == (0, True, True)
    assert "brake: restored" in nurture("delivery", "status").out


def test_a_restored_database_is_released_step_by_step(nurture: Callable[..., Ended], home: Path) -> None:
    """Reconcile, then release."""
    nurture("backup", str(home / "copy.db"))
    nurture("restore", str(home / "copy.db"))
    early = nurture("resume", "--brake", "restored", "--reason", "x")
    looked = nurture("delivery", "reconcile")
    late = nurture("resume", "--brake", "restored", "--reason", "checked")

    assert (early.code, "run 'nurture delivery reconcile'" in early.err) == (1, True)
    assert looked.out.startswith("proven to be accepted: 0; given up as unknown: 0\nbrake: restored: ")
    assert late.out == "released: restored\n"


def test_status_asks_for_the_gap_only_where_it_is_not_marked(nurture: Callable[..., Ended], home: Path) -> None:
    """What `restore` has done is not asked for again; a file that was put back by hand has it to come."""
    nurture("backup", str(home / "copy.db"))
    nurture("restore", str(home / "copy.db"))
    after_restore = nurture("delivery", "status").out
    with open_workspace(Settings(home=home)) as ws, ws.store.write() as conn:
        gap.announce(conn, AT, AT)
    announced = nurture("delivery", "status").out

    assert ("delivery gap" in after_restore, "nurture delivery reconcile, then" in after_restore) == (False, True)
    assert "nurture delivery gap --since TIME" in announced


def test_keys_are_copied_on_demand_and_elsewhere(nurture: Callable[..., Ended], home: Path) -> None:
    """Never beside the database they open."""
    done = nurture("backup", str(home / "a" / "copy.db"), "--keys", str(home / "a"))
    assert (done.code, "folder of the copy itself" in done.err) == (USAGE, True)

    (home / "a").mkdir()
    nurture("backup", str(home / "a" / "copy.db"), "--keys", str(home / "b"))
    assert (home / "b" / "keys.json").read_bytes() == (home / "keys.json").read_bytes()
    assert (home / "b" / "keys.json").stat().st_mode & 0o077 == 0


def test_a_copy_is_restored_as_one(nurture: Callable[..., Ended], home: Path) -> None:
    """It is stopped until somebody resumes it."""
    nurture("backup", str(home / "copy.db"))
    done = nurture("restore", str(home / "copy.db"), "--as-copy")

    assert (done.code, "an id of its own" in done.err) == (0, True)
    assert "stopped: all" in nurture("delivery", "status").out


def test_postgresql_has_tools_of_its_own(nurture: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is named."""
    monkeypatch.setenv("NURTURE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    done = nurture("backup", "copy.db")

    assert (done.code, "pg_dump" in done.err, "delivery gap --since" in done.err) == (1, True, True)


def test_a_gap_is_marked_by_hand(nurture: Callable[..., Ended]) -> None:
    """After pg_restore."""
    done = nurture("delivery", "gap", "--since", "2026-11-23T02:00Z")

    assert (done.code, done.out) == (0, "in doubt: 0 messages that may have been sent since\n")
    assert nurture("delivery", "gap", "--since", "2999-01-01").code == 1


def test_a_copied_database_asks_which_one_sends(nurture: Callable[..., Ended], home: Path) -> None:
    """Releasing the brake is not enough: the question would come back."""
    pull(home, brakes.Brake.COPIED)
    done = nurture("resume", "--brake", "copied", "--reason", "x")

    assert (done.code, "delivery home --original or --copy" in done.err) == (USAGE, True)


@pytest.mark.parametrize(("which", "stopped"), [("--original", []), ("--copy", ["all"])])
def test_a_person_says_which_database_sends(
    nurture: Callable[..., Ended], home: Path, which: str, stopped: list[str]
) -> None:
    """The original goes on, the copy is stopped."""
    with open_workspace(Settings(home=home)) as ws, ws.store.write() as conn:
        brakes.pull(conn, brakes.Brake.COPIED, "test", AT)
    done = nurture("delivery", "home", which, "--reason", "moved")
    told = json.loads(nurture("delivery", "status", "--json").out)

    assert (done.code, told["brakes"], told["stopped"]) == (0, [], stopped)


def test_which_database_sends_must_be_chosen(nurture: Callable[..., Ended]) -> None:
    assert nurture("delivery", "home", "--reason", "x").code == USAGE


# --- doubts and what a person decides ------------------------------------------------------------


def test_unknown_lists_ids(nurture: Callable[..., Ended], home: Path) -> None:
    plan_mail(home, "in_doubt")
    [told] = json.loads(nurture("delivery", "unknown", "--json").out)

    assert (told["message"], told["state"]) == ("a" * 26, "in_doubt")
    assert "a" * 26 in nurture("delivery", "unknown").out
    assert nurture("delivery", "failed").err == "none\n"


def test_a_mail_is_sent_again_after_a_question(
    nurture: Callable[..., Ended], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--dry-run writes nothing, "no" neither."""
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    provider = Scripted([Unknown("timeout")])
    with open_workspace(Settings(home=home)) as ws:
        world = People(ws, AT)
        world.plan(world.person())
        send_next(ws, world.library, provider, kind="marketing", owner="w1", at=AT)
    public_id = provider.mails[0].public_id
    tried = nurture("delivery", "resend", public_id, "--reason", "x", "--dry-run")
    asked = nurture("delivery", "resend", public_id, "--reason", "x")
    assert (tried.code, asked.code, len(rows(home, select(message.c.id)))) == (0, 1, 1)

    done = nurture("delivery", "resend", public_id, "--reason", "asked by phone", "--yes")
    assert (done.code, done.out.startswith("queued: "), len(rows(home, select(message.c.id)))) == (0, True, 2)
