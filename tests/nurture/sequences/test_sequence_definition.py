"""Are definition files read as written, and is every mistake named with its line?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from sqlalchemy import func, select

from nurture.sequences.definition import (
    BranchStep,
    DefinitionError,
    MailStep,
    Sequence,
    SequenceError,
    load,
    plain,
    register,
    schema,
)
from nurture.sequences.duration import read_duration
from nurture.store.tables import sequence_version

if TYPE_CHECKING:
    from nurture.store.engine import Store

ROOT = Path(__file__).resolve().parents[3]
WELCOME = """\
sequence: welcome
version: 3
purpose: newsletter.product
goal: {event: demo_requested}
enrol: {when: consent_confirmed, again: never}
window: {days: mon-fri, from: "08:30", to: "17:30", zone: lead, holidays: DE}
late: {after: 48h, then: skip}
steps:
  - {kind: mail, id: hello}
  - {kind: wait, id: w1, for: 3d}
  - {kind: branch, id: b1, if: {signal: any, within: 30d}, then: talk, else: proof}
  - {kind: mail, id: proof}
  - {kind: wait, id: w2, for: 48h}
  - {kind: mail, id: talk, class: direct}
on_change: {running: pin}
"""


def write(folder: Path, text: str, name: str = "welcome") -> Path:
    """Write a sequence into a templates folder."""
    path = folder / "templates" / name / "sequence.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return folder / "templates"


def mistakes(folder: Path, text: str) -> list[str]:
    """Load a wrong definition and give what is said about it."""
    with pytest.raises(DefinitionError) as caught:
        load(write(folder, text))
    return str(caught.value).splitlines()


def test_the_example_of_the_design_loads(tmp_path: Path) -> None:
    """The example of the design loads."""
    sequence = load(write(tmp_path, WELCOME))["welcome"]
    assert (sequence.version, sequence.first, sequence.following("w1"), sequence.following("talk")) == (
        3, "hello", "b1", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("purpose", "meant"),
    [
        ("newsletter.produkt", "did you mean newsletter.product?"),
        ("xyz", "known are email.tracking, newsletter.product"),
    ],
)
def test_a_purpose_nobody_is_asked_about_is_refused(tmp_path: Path, purpose: str, meant: str) -> None:
    """Nobody gave consent to it: the sequence would send nothing, without a word."""
    templates = write(tmp_path, WELCOME.replace("newsletter.product", purpose))
    with pytest.raises(DefinitionError) as caught:
        load(templates, ROOT / "policies")
    assert str(caught.value) == (
        f"templates/welcome/sequence.yaml:3: purpose: {purpose} is no purpose of policies/consent.yaml; {meant}"
    )


def test_its_window_is_understood(tmp_path: Path) -> None:
    """Its window is understood."""
    window = load(write(tmp_path, WELCOME))["welcome"].window.value
    assert (window.days, window.opens, window.closes) == (frozenset(range(5)), time(8, 30), time(17, 30))


def test_two_mistakes_give_exactly_two_messages(tmp_path: Path) -> None:
    """Two mistakes give exactly two messages."""
    text = WELCOME.replace("for: 3d", "for: 3 days").replace("id: proof}", "id: proof, subjct: hi}")
    assert mistakes(tmp_path, text) == [
        "templates/welcome/sequence.yaml:10: steps[1].for: is no duration; write 3d, 48h or 30m",
        "templates/welcome/sequence.yaml:12: steps[3].subjct: is no known key here",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{kind: wait, id: w1, for: 3d}", "{kind: wait_for, id: w1, for: 3d}",
         "10: steps[1].kind: wait_for is no kind known here; known are mail, wait, branch"),
        ("{kind: mail, id: proof}", "{id: proof}", "12: steps[3]: the key kind is missing"),
        ("{kind: mail, id: proof}", "{kind: mail, id: proof, test: {variants: [a, b]}}",
         "12: steps[3].test: is no known key here"),
        ("{kind: mail, id: proof}", "{kind: mail}", "12: steps[3].id: is missing"),
        ("else: proof", "else: hello", "11: steps[2].else: hello leads back; go to a later step or to end"),
        ("else: proof", "else: nowhere", "11: steps[2].else: nowhere is no step; go to a later step or to end"),
        ("else: proof", "else: end", "12: steps[3].id: no way leads to proof; remove it or let a branch go there"),
        ("id: w2", "id: w1", "13: steps[4].id: w1 is taken; every step has its own id, and none is called end"),
        ("{signal: any, within: 30d}", "{weather: fine}",
         "11: steps[2].if: must be {signal: any}, {temperature: hot} or {event: clicked}, with within or step"),
        ("{signal: any, within: 30d}", "{event: clicked, step: talk}",
         "11: steps[2].if.step: talk is no earlier mail step"),
        ("{signal: any, within: 30d}", "{temperature: tepid}",
         "11: steps[2].if.temperature: must be cold, warm or hot"),
        ("{signal: any, within: 30d}", "{signal: sneeze}",
         "11: steps[2].if.signal: is no kind of signal; write any, or a kind such as demo_requested"),
        ("zone: lead", "zone: Mars/Base",
         "6: window.zone: is no time zone; write lead or a name such as Europe/Berlin"),
        ("holidays: DE", "holidays: DE-XX",
         "6: window.holidays: is no calendar of holidays; write none, a country such as DE, or a part such as DE-BY"),
        ('to: "17:30"', 'to: "08:00"', "6: window.to: must be later than from, on the same day"),
        ("days: mon-fri", "days: montags", "6: window.days: are no days; write mon-fri or [mon, wed]"),
        ("when: consent_confirmed", "when: someday",
         "5: enrol.when: someday is no when known here; known are consent_confirmed, sequence_finished, stage"),
        ("{when: consent_confirmed, again: never}",
         "{when: sequence_finished, sequence: other, temperature: [cold], after: 3d, again: never}",
         "5: enrol.sequence: other is no other sequence here"),
        ("again: never}",
         ("again: never}\nalso_enrol:\n"
         "  - {when: sequence_finished, sequence: other, temperature: [cold], after: 3d, again: never}"),
         "7: also_enrol[0].sequence: other is no other sequence here"),
        ("again: never}", "again: never}\nalso_enrol:\n  - {when: stage, stage: sal, after: 3d, again: never}",
         "7: also_enrol[0].stage: must be confirmed, engaged, mql or recycled"),
        ("sequence: welcome", "sequence: willkommen", "1: sequence: must be the name of its folder, welcome"),
        ("version: 3", 'version: "3"', "2: version: Input should be a valid integer"),
        ("goal: {event: demo_requested}\n", "", "1: goal: is missing"),
        ("version: 3", "version: [3", "3: file: is no YAML: expected ',' or ']', but got ':'"),
        ("version: 3", "version: 3\nversion: 4",
         '3: file: is no YAML: found duplicate key "version" with value "4" (original value: "3")'),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    """A mistake is named with its line."""
    assert mistakes(tmp_path, WELCOME.replace(old, new))[0] == f"templates/welcome/sequence.yaml:{message}"


def test_mistakes_of_all_files_come_together(tmp_path: Path) -> None:
    """Mistakes of all files come together."""
    write(tmp_path, "sequence: other\n", "other")
    assert {line.split(":")[0] for line in mistakes(tmp_path, WELCOME.replace("3d", "3"))} == {
        "templates/other/sequence.yaml", "templates/welcome/sequence.yaml",
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"\xff\xfe", b"- a list", b"", b"a: &a [*a]", b"x" * 300_000])
def test_it_refuses_what_is_no_definition(tmp_path: Path, content: bytes) -> None:
    """It refuses what is no definition."""
    templates = write(tmp_path, "")
    (templates / "welcome" / "sequence.yaml").write_bytes(content)
    with pytest.raises(DefinitionError):
        load(templates)


def test_the_last_step_ends_the_sequence(tmp_path: Path) -> None:
    """The last step ends the sequence."""
    sequence = load(write(tmp_path, WELCOME))["welcome"]
    assert sequence.following("talk") == ""


def test_another_window_by_temperature_is_read(tmp_path: Path) -> None:
    """Another window by temperature is read."""
    text = WELCOME.replace("id: proof}", 'id: proof, windows: {hot: {from: "07:00"}}}')
    step = load(write(tmp_path, text))["welcome"].by_id["proof"]
    assert isinstance(step, MailStep)
    assert [str(temperature) for temperature in step.windows] == ["hot"]


def test_a_definition_survives_the_way_through_the_database(tmp_path: Path) -> None:
    """A definition survives the way through the database."""
    sequence = load(write(tmp_path, WELCOME))["welcome"]
    back = Sequence.model_validate(json.loads(json.dumps(plain(sequence))))
    assert isinstance(back.by_id["b1"], BranchStep)
    assert back == sequence


def test_days_keep_the_time_of_day_over_a_clock_change() -> None:
    """Days keep the time of day over a clock change."""
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 10, 24, 9, 0, tzinfo=berlin)
    assert read_duration("2d").after(before, berlin) == datetime(2026, 10, 26, 9, 0, tzinfo=berlin)


def test_hours_are_exact_over_a_clock_change() -> None:
    """Hours are exact over a clock change."""
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 10, 24, 7, 0, tzinfo=UTC)
    assert read_duration("48h").after(before, berlin) - before == timedelta(hours=48)


def test_each_version_is_kept_once(tmp_path: Path, store: Store, at: datetime) -> None:
    """Each version is kept once."""
    definitions = load(write(tmp_path, WELCOME))
    with store.write() as conn:
        first = register(conn, definitions, at=at)
        assert register(conn, definitions, at=at) == first
        assert conn.execute(select(func.count()).select_from(sequence_version)).scalar() == 1


def test_a_comment_makes_no_new_version(tmp_path: Path, store: Store, at: datetime) -> None:
    """A comment makes no new version."""
    with store.write() as conn:
        first = register(conn, load(write(tmp_path, WELCOME)), at=at)
        assert register(conn, load(write(tmp_path, f"# hello\n{WELCOME}")), at=at) == first


def test_a_changed_version_must_be_raised(tmp_path: Path, store: Store, at: datetime) -> None:
    """A changed version must be raised."""
    with store.write() as conn:
        register(conn, load(write(tmp_path, WELCOME)), at=at)
        changed = load(write(tmp_path, WELCOME.replace("for: 3d", "for: 4d")))
        with pytest.raises(SequenceError, match="Raise the version to 4"):
            register(conn, changed, at=at)


def test_the_published_schema_is_current() -> None:
    """The published schema is current."""
    written = json.loads((ROOT / "docs" / "reference" / "sequence.schema.json").read_text("utf-8"))
    assert written == schema(), "run: python -m nurture.sequences.definition > docs/reference/sequence.schema.json"


def test_the_published_schema_takes_the_example(tmp_path: Path) -> None:
    """The published schema takes the example."""
    content = plain(load(write(tmp_path, WELCOME))["welcome"])
    jsonschema.validate(content, schema())
    content["steps"][0]["kind"] = "fly"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema())


@pytest.mark.requirement(98)
@pytest.mark.requirement(99)
def test_the_shipped_sequences_declare_their_goal() -> None:
    """The shipped sequences declare their goal."""
    shipped = load(ROOT / "templates")
    assert {"welcome", "reengage"} <= set(shipped)
    assert all(sequence.goal for sequence in shipped.values())
