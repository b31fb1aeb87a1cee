"""Is what the documents say true? Links, generated pages, and the tutorial as it is typed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from consent.gate import RefusalReason
from nurture.cli import reference
from nurture.cli.main import EXAMPLES, SECTIONS
from nurture.delivery.states import State
from nurture.leads.stages import Bar
from nurture.sequences.decide import Reason
from nurture.sequences.wording import REASONS, REMEDIES
from nurture.settings import Settings
from tests.crash.verdict import TERMINAL

ROOT = Path(__file__).resolve().parent.parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.md"
OPERATE = ROOT / "docs" / "how-to" / "operate.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
MARKED = re.compile(r"^<!-- (run|(?:file|adds): \S+) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    """Give every Markdown file of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.splitlines()]


def test_every_link_leads_to_a_file() -> None:
    """A relative link in any Markdown file points to something that is there."""
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents()
        for target in LINK.findall(document.read_text("utf-8"))
        if "://" not in target and not target.startswith("mailto:") and not (document.parent / target).exists()
    ]

    assert broken == []


def test_generated_reference_is_current() -> None:
    """`python3 dev.py docs` would change nothing."""
    stale = [path.name for path, text in reference.pages().items() if path.read_text("utf-8") != text]

    assert stale == []


def test_every_setting_is_documented() -> None:
    """Each field has a meaning and stands in the page with its environment name."""
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    missing = [
        name
        for name, field in Settings.model_fields.items()
        if not field.description or f"| `{name}` | `NURTURE_{name.upper()}` |" not in page
    ]

    assert missing == []


def test_every_secret_is_marked() -> None:
    """What is hidden in the code is called secret in the page, and has a file as its twin."""
    page = reference.settings_page()
    secrets = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]

    assert secrets
    assert all(re.search(rf"^\| `{name}` .*\*\*secret\*\*(; \w.*)? \|$", page, re.MULTILINE) for name in secrets)
    assert all(f"{name}_file" in Settings.model_fields for name in secrets)


def test_every_verb_is_documented() -> None:
    """Each has help, and a section of its own in the page."""
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    missing = [name for name, verb in reference.ordered_verbs() if not verb.help or f"\n## {name}\n" not in page]

    assert missing == []


def test_every_verb_shows_one_example() -> None:
    """In its own help or below it, never in both."""
    shown = {name: f"{verb.help} {verb.epilog or ''}".count("Example: ") for name, verb in reference.ordered_verbs()}

    assert {name: count for name, count in shown.items() if count != 1} == {}


def test_every_example_is_for_a_verb() -> None:
    """No example is left over from a verb that is gone."""
    names = {name.removeprefix("nurture ") for name, _ in reference.ordered_verbs()}

    assert set(EXAMPLES) <= names


def test_help_groups_every_verb() -> None:
    """The sections name exactly the verbs and nouns that exist."""
    words = {name.split()[1] for name, _ in reference.ordered_verbs()}

    assert {word for verbs in SECTIONS.values() for word in verbs} == words


def test_every_reason_has_words_and_a_remedy() -> None:
    """In English and in German, for each that can be stored for a lead's mail."""
    codes = {*map(str, RefusalReason), *map(str, Bar), *map(str, Reason), *reference.LAST_MOMENT}

    assert codes <= REASONS.keys()
    assert codes <= REMEDIES.keys()
    assert all(all(words) for words in REASONS.values())


def test_every_unwritten_reason_is_documented() -> None:
    """Each word that the composer gives for a mail it could not write stands in the page."""
    source = (ROOT / "nurture" / "delivery" / "composing.py").read_text("utf-8")
    given = set(re.findall(r'CannotWriteError\(f?"([a-z_]+)', source)) | set(
        re.findall(r'failure=f?"([a-z_]+)', source)
    )
    page = reference.reasons_page()

    assert {code for code in given if f"`{code}" not in page} == set()


def test_every_state_of_a_mail_is_documented() -> None:
    """All that `delivery status` can count."""
    assert reference.STATES.keys() == set(map(str, State))


def test_documents_name_only_verbs_that_exist() -> None:
    """Every `nurture ...` in a console block of any document begins with a known verb."""
    words = {name.split()[1] for name, _ in reference.ordered_verbs()}
    typed = re.compile(r"^\$ (?:\S*=\S+ )*(?:\S*/)?nurture (\w+)", re.MULTILINE)
    unknown = [
        f"{document.relative_to(ROOT)}: {word}"
        for document in documents()
        for word in typed.findall(document.read_text("utf-8"))
        if word not in words
    ]

    assert unknown == []


def test_every_alarm_is_documented() -> None:
    """Each that a flow can emit stands in the table of events, where an operator looks for what to listen to."""
    source = "".join(path.read_text("utf-8") for path in (ROOT / "flows").glob("*.py"))
    table = "".join(re.findall(r"^\| `.*\n", OPERATE.read_text("utf-8"), re.MULTILINE))
    alarms = set(re.findall(r"\"alarm(\.\w+)\"", source))

    assert {alarm for alarm in alarms if f"{alarm}`" not in table} == set()


def test_nothing_is_denied_that_exists() -> None:
    """What the operator's page calls missing is no verb."""
    missing = OPERATE.read_text("utf-8").partition("## Not there yet")[2]
    verbs = {name.split()[-1] for name, _ in reference.ordered_verbs()}
    denied = {word for words in re.findall(r"(?i)\bno (.*?)(?=[.:])", missing, re.DOTALL) for word in words.split()}
    named = {word.strip("`,").removesuffix("s") for word in denied}

    # What a missing verb would check is no verb.
    assert verbs & named <= {"check"}


@pytest.mark.parametrize("power", ["end consents", "a copy", "erasure", "end a pause", "reset the pace", "the profile"])
def test_what_a_forwarded_mail_can_do_is_told(power: str) -> None:
    """Each thing that the links in a mail change is named where we say what is not protected from whom."""
    [row] = re.findall(r"^\| public pages .*$", (ROOT / "SECURITY.md").read_text("utf-8"), re.MULTILINE)

    assert power in row


def test_tutorial_leads_to_a_real_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of its steps 3 and 7 together are taken, as they stand there."""
    for name in [name for name in os.environ if name.startswith("NURTURE_")]:
        monkeypatch.delenv(name)
    key = tmp_path / "sendgrid.key"
    key.write_text("SG.0123456789\n", "utf-8")
    key.chmod(0o600)
    blocks = dict(MARKED.findall(TUTORIAL.read_text("utf-8")))
    told = blocks["file: home/nurture.toml"] + blocks["adds: live/nurture.toml"]
    (tmp_path / "nurture.toml").write_text(told.replace("/home/you/firma/live", str(tmp_path)), "utf-8")

    settings = Settings(home=tmp_path)
    settings.require_sending()

    assert settings.provider == "sendgrid"


@pytest.mark.slow
def test_tutorial_runs_as_typed(tmp_path: Path) -> None:
    """Every block marked `run` ends with 0, with the files marked `file`, in a project of its own."""
    for name in ("templates", "policies"):
        # A sequence that the tutorial does not name would only cost time.
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("reengage"))
    (tmp_path / "bin").mkdir()
    script = ["set -eu"]
    for mark, block in MARKED.findall(TUTORIAL.read_text("utf-8")):
        if mark == "run":
            script += [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
            continue
        if mark.startswith("adds: "):
            continue
        target = mark.removeprefix("file: ")
        (tmp_path / "bin" / str(len(script))).write_text(block, "utf-8")
        script.append(f"cp bin/{len(script)} {target}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NURTURE_")}
    environment["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "Drei Zeichen, die eine Pumpe" in done.stdout
    assert "0 without a consent" in done.stdout


def test_every_fate_of_a_message_is_named_where_zeros_are_shown() -> None:
    """Who reads that so many were accepted reads what became of the others, by the names that the programme prints."""
    page = (ROOT / "docs" / "how-to" / "prove-delivery.md").read_text("utf-8")

    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == TERMINAL
