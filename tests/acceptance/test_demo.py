"""The demo is the product: what it says must be what the tables hold, and it must keep the promises.

It is played once, as a user would call it, and looked at from all sides.
"""

from __future__ import annotations

import email
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from consent.schema import consent_state, ledger_entry
from nurture.cli.demo import figures, people
from nurture.settings import Settings
from nurture.store.engine import Store, open_store
from nurture.store.tables import authorisation, decision, handover, lead, lead_score, message

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Play the demo; give its home and what it printed."""
    home = tmp_path_factory.mktemp("demo") / "home"
    command = [sys.executable, "-m", "nurture", "demo", "--home", str(home), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return home, json.loads(done.stdout)


@pytest.fixture(scope="module")
def demo_store(played: tuple[Path, dict[str, Any]]) -> Store:
    """The demo's database."""
    return open_store(f"sqlite:///{played[0] / 'nurture.db'}")


def outbox(home: Path) -> dict[str, bytes]:
    """Every mail that left, by public id."""
    return {path.stem: path.read_bytes() for path in (home / "outbox").glob("*.eml")}


def known(content: bytes) -> list[str]:
    """Which addresses and surnames of the demo's people stand in it, in any case of letters, also escaped as JSON?"""
    # Folded, because a capital ß is SS.
    read = content.decode("utf-8", "replace").casefold()
    wanted = {text.lower() for person in people.everybody() for text in (person.address, person.last_name)}
    return sorted(text for text in wanted if text.casefold() in read or json.dumps(text)[1:-1] in read)


def recipient(mail: bytes) -> str:
    """Who a mail is addressed to."""
    return email.message_from_bytes(mail)["To"].rpartition("<")[2].strip("<> ").lower()


KEYS = ("imported", "not_mailable", "confirmed", "accepted", "withheld", "in_doubt", "temperatures", "scored_events",
        "handovers", "ledger", "report")  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_the_promised_keys_are_there(played: tuple[Path, dict[str, Any]], key: str) -> None:
    """Scripts may rely on them."""
    assert key in played[1]


def test_counts_equal_the_tables(played: tuple[Path, dict[str, Any]], demo_store: Store) -> None:
    """Counted anew, with statements of this test's own."""
    with demo_store.read() as connection:

        def count(table: Any, *where: Any) -> int:
            return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())

        rows = connection.execute(select(lead_score.c.temperature, func.count()).group_by(lead_score.c.temperature))
        temperatures = {str(name): int(number) for name, number in rows}
        leads = count(lead)
        counted = {
            "imported": count(lead, lead.c.source == "import"),
            "confirmed": count(ledger_entry, ledger_entry.c.type == "consent.confirmed"),
            "handovers": count(handover),
            "withheld": sum(played[1]["withheld"].values()),
            "hot": temperatures.get("hot", 0),
            "leads": leads,
        }
        withheld = count(decision, decision.c.outcome == "withheld")

    said = played[1]
    assert counted == {
        "imported": said["imported"],
        "confirmed": said["confirmed"],
        "handovers": said["handovers"],
        "withheld": withheld,
        "hot": said["temperatures"]["hot"],
        "leads": sum(said["temperatures"].values()),
    }


def test_accepted_mails_lie_in_the_outbox(played: tuple[Path, dict[str, Any]]) -> None:
    """What was counted as accepted is what the provider has."""
    home, said = played

    assert len(outbox(home)) == said["accepted"] + said["confirmation_mails"]


@pytest.mark.requirement(95)
def test_every_marketing_mail_rests_on_an_earlier_consent(
    played: tuple[Path, dict[str, Any]], demo_store: Store
) -> None:
    """Each has an authorisation that names a consent entry of the same subject with a lower number."""
    with demo_store.read() as connection:
        rows = connection.execute(
            select(message.c.public_id, message.c.subject, authorisation.c.seq, authorisation.c.consent_seq,
                   ledger_entry.c.type, ledger_entry.c.subject.label("consenting"))
            .select_from(message)
            .outerjoin(authorisation, authorisation.c.message_id == message.c.id)
            .outerjoin(ledger_entry, ledger_entry.c.seq == authorisation.c.consent_seq)
            .where(message.c.kind == "marketing")
        ).all()  # fmt: skip
    sent = outbox(played[0])
    wrong = [
        row.public_id
        for row in rows
        if row.public_id in sent
        and not (
            row.type in {"consent.confirmed", "consent.imported"}
            and row.consenting == row.subject
            and row.consent_seq < row.seq
        )
    ]

    assert (wrong, len([row for row in rows if row.public_id in sent])) == ([], played[1]["accepted"])


def test_nobody_without_consent_got_more_than_one_confirmation(
    played: tuple[Path, dict[str, Any]], demo_store: Store
) -> None:
    """Whoever never confirmed got at most the one neutral mail."""
    with demo_store.read() as connection:
        consenting = set(connection.execute(select(consent_state.c.subject)).scalars())
        rows = connection.execute(select(message.c.public_id, message.c.subject, message.c.kind)).all()
    sent = outbox(played[0])
    got: dict[str, list[str]] = {}
    for row in rows:
        if row.public_id in sent and row.subject not in consenting:
            got.setdefault(row.subject, []).append(row.kind)

    assert {tuple(kinds) for kinds in got.values()} <= {("confirmation",)}


def test_no_mail_left_twice(played: tuple[Path, dict[str, Any]]) -> None:
    """No two mails to one address bear the same subject line on the same day."""
    seen = [
        (recipient(mail), re.search(rb"^Subject: .*(?:\r\n[ \t].*)*", mail, re.MULTILINE))
        for mail in outbox(played[0]).values()
    ]
    keys = [(who, found[0]) for who, found in seen if found]

    assert len(keys) == len(set(keys))


def test_the_ledger_verifies(played: tuple[Path, dict[str, Any]]) -> None:
    """By the command that compliance uses."""
    command = [sys.executable, "-m", "nurture", "audit", "verify", "--json"]
    env = {"NURTURE_HOME": str(played[0]), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    verified = json.loads(done.stdout)

    assert (verified["verified"], verified["root"]) == (True, played[1]["ledger"]["root"])


@pytest.mark.parametrize("write", [str, str.upper, str.title, lambda text: json.dumps(text)[1:-1]])
@pytest.mark.parametrize("part", ["address", "last_name"])
def test_whoever_stands_somewhere_is_found(part: str, write: Callable[[str], str]) -> None:
    """The search below would see everybody, amid bytes that are no text, however they are written."""
    everybody = people.everybody()
    content = b"\xff\0".join(write(getattr(person, part)).encode() for person in everybody)

    assert {getattr(person, part).lower() for person in everybody} <= set(known(content))


@pytest.mark.requirement(118)
def test_prefect_knows_nobody(played: tuple[Path, dict[str, Any]]) -> None:
    """No address and no surname of the demo stands in Prefect's home or in a log file."""
    home = played[0]
    files = [path for folder in ("prefect", "logs") for path in (home / folder).rglob("*") if path.is_file()]
    content = b"\0".join(path.read_bytes() for path in files)

    assert (known(content), len(files) > 0) == ([], True)


@pytest.mark.requirement(118)
def test_our_tables_hold_nobody_in_clear(played: tuple[Path, dict[str, Any]]) -> None:
    """The database file holds identities sealed only."""
    content = (played[0] / "nurture.db").read_bytes() + b"".join(
        path.read_bytes() for path in played[0].glob("nurture.db-*")
    )

    assert known(content) == []


def test_the_report_shows_its_pictures(played: tuple[Path, dict[str, Any]]) -> None:
    """Funnel, temperature and three mails; nothing loaded from anywhere."""
    page = Path(played[1]["report"]).read_text("utf-8")

    assert (page.count("<svg"), page.count("<iframe"), "<script" in page) == (2, 3, False)


def test_leads_of_all_temperatures_existed(played: tuple[Path, dict[str, Any]]) -> None:
    """Somebody turned hot, and somebody was handed over."""
    reached = dict(played[1]["funnel"])

    assert min(reached["warm"], reached["hot"], reached["handed_over"]) > 0


def test_machines_were_told_apart(played: tuple[Path, dict[str, Any]]) -> None:
    """Scanner bursts and prefetching were seen and not scored as people."""
    assert played[1]["machine_events"] > 0


def test_a_second_look_gives_the_same_figures(played: tuple[Path, dict[str, Any]], demo_store: Store) -> None:
    """Reading changes nothing."""
    with demo_store.read() as connection:
        again = figures.read(connection).as_json()

    assert json.loads(json.dumps(again)) == {key: played[1][key] for key in again}


def test_scores_replay_without_difference(played: tuple[Path, dict[str, Any]]) -> None:
    """Recomputed from zero, every score is what it was."""
    command = [sys.executable, "-m", "nurture", "score", "replay", "--json"]
    env = {"NURTURE_HOME": str(played[0]), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_home_is_for_its_owner_only(played: tuple[Path, dict[str, Any]]) -> None:
    """Keys and database are not for other users."""
    settings = Settings(home=played[0])

    assert (settings.home.stat().st_mode & 0o077, (settings.home / "keys.json").stat().st_mode & 0o077) == (0, 0)


def test_an_occupied_home_is_refused(tmp_path: Path) -> None:
    """The demo never writes into somebody's folder."""
    (tmp_path / "mine").write_text("x", "utf-8")
    command = [sys.executable, "-m", "nurture", "demo", "--home", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, "not empty" in done.stderr) == (64, True)
