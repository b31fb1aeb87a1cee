"""Signed cards from a fair become sign-ups with evidence (requirement 28)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from consent import ledger, opt_in, texts, vault
from nurture.cli import consent
from tests.consent.people import NEWSLETTER, People

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from typer.testing import Result

    from nurture.store.workspace import Workspace

SCAN = b"\x89PNG a signed card"


@pytest.fixture
def desk(workspace: Workspace, at: datetime, monkeypatch: pytest.MonkeyPatch) -> People:
    """People of the workspace that the command line opens."""
    monkeypatch.setenv("NURTURE_HOME", str(workspace.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.settings.database_url)
    made = People(workspace.store, workspace.keyring, at)
    made.publish()
    return made


def wording(desk: People) -> str:
    """The hash of the newsletter's wording."""
    with desk.store.read() as conn:
        return texts.current(conn, controller="default", purpose=NEWSLETTER, language="de").sha256


def capture(desk: People, *words: str, typed: str = "", **more: str) -> Result:
    app = typer.Typer()
    consent.register(app)
    given = {
        "--event": "hm26",
        "--by": "Anna Stand",
        "--wording": wording(desk)[:16],
        "--at": desk.at.isoformat(),
        **more,
    }
    options = [part for name, value in given.items() if value for part in (name, value)]
    return CliRunner().invoke(app, ["consent", "capture", *words, *options], input=typed)


@pytest.mark.parametrize("table", [None, "address,captured_at\nkim@firma.example,\n"])
def test_a_card_without_a_date_was_signed_when_it_is_recorded(desk: People, tmp_path: Path, table: str | None) -> None:
    """By the clock, read once: otherwise the card would lie a moment after its own recording."""
    files = [] if table is None else [tmp_path / "cards.csv"]
    for file in files:
        file.write_text(str(table))

    done = capture(desk, *map(str, files), "--json", typed="kim@firma.example\n", **{"--at": ""})

    assert (done.exit_code, json.loads(done.stdout)["cards"]) == (0, 1)
    with desk.store.read() as conn:
        [entry] = ledger.read(conn)
        kept = vault.evidence(conn, desk.keyring, entry.seq)
    assert kept is not None
    assert kept["captured_at"] == entry.at.isoformat()


@pytest.mark.requirement(28)
def test_a_card_becomes_a_request_with_its_evidence(desk: People, tmp_path: Path) -> None:
    """Source names the event; who, when, wording and scan are sealed; only the button gives consent."""
    scan = tmp_path / "card.png"
    scan.write_bytes(SCAN)

    done = capture(
        desk, "--json", typed="Kim@firma.example\n", **{"--scan": str(scan), "--signed": "2026-11-20T14:30+01:00"}
    )

    assert json.loads(done.stdout) == {"cards": 1, "confirmation_mails": 1, "not_recorded": 0}
    with desk.store.read() as conn:
        [entry] = ledger.read(conn)
        [mail] = opt_in.due(conn, at=desk.at, limit=10)
        kept = vault.evidence(conn, desk.keyring, entry.seq)
        token = opt_in.token(conn, desk.keyring, mail.request_id)
    assert (entry.type, entry.body["source"]) == ("consent.requested", "offline.hm26")
    assert kept == {
        "address": "Kim@firma.example",
        "captured_at": "2026-11-20T14:30:00+01:00",
        "captured_by": "Anna Stand",
        "event": "hm26",
        "scan": base64.b64encode(SCAN).decode(),
        "scan_sha256": hashlib.sha256(SCAN).hexdigest(),
        "signed_wording": wording(desk),
    }
    assert desk.reason(str(entry.subject)) == "no_consent"
    desk.press(token)
    assert desk.reason(str(entry.subject)) is None


def test_a_large_scan_stays_outside(desk: People, tmp_path: Path) -> None:
    """Its hash proves which file it is."""
    scan = tmp_path / "card.png"
    scan.write_bytes(SCAN * 40_000)
    capture(desk, typed="kim@firma.example\n", **{"--scan": str(scan)})

    with desk.store.read() as conn:
        kept = vault.evidence(conn, desk.keyring, 0)
    assert kept is not None
    assert "scan" not in kept
    assert kept["scan_sha256"] == hashlib.sha256(SCAN * 40_000).hexdigest()


@pytest.mark.requirement(28)
def test_a_table_of_cards_comes_in_whole(desk: People, tmp_path: Path) -> None:
    """Several people of one company and more than one line a person; scans by name."""
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "1.png").write_bytes(SCAN)
    table = tmp_path / "cards.csv"
    lines = [
        "address;scan;captured_by;captured_at",
        "a@firma.example;1.png;;2026-11-19",
        "b@firma.example;;Ben;",
        "a@firma.example;;;",
    ]
    table.write_text("\n".join(lines), "utf-8-sig")

    done = capture(desk, str(table), **{"--scans": str(tmp_path / "scans")})

    assert done.stdout.strip() == "3 cards, 2 confirmation mails follow"
    with desk.store.read() as conn:
        kept = [vault.evidence(conn, desk.keyring, seq) or {} for seq in (0, 1)]
    assert [one["captured_by"] for one in kept] == ["Anna Stand", "Ben"]
    assert str(kept[0]["captured_at"]).startswith("2026-11-19T00:00:00+01:00")


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("address\nnobody\n", {}, "line 2: the e-mail address"),
        ("address,scan\na@firma.example,../x\n", {}, "line 2: a scan is named by its file name"),
        ("address,captured_at\na@firma.example,gestern\n", {}, "line 2: captured_at"),
        ("address,captured_at\na@firma.example,2027-01-01\n", {}, "signed in the future"),
        ("mail\na@firma.example\n", {}, "needs a column address"),
        ("address\na@firma.example\n", {"--wording": ""}, "name the wording"),
        ("address\na@firma.example\n", {"--wording": "0" * 64}, "not one of ours"),
        ("address\na@firma.example\n", {"--event": "Messe 2026"}, "an event is named"),
        ("address\na@firma.example\n", {"--by": ""}, "say who took the card"),
    ],
)
def test_a_card_without_proof_is_refused(
    desk: People, tmp_path: Path, table: str, options: dict[str, str], said: str
) -> None:
    """One bad line and nothing comes in; the message names no person."""
    path = tmp_path / "cards.csv"
    path.write_text(table)

    done = capture(desk, str(path), **options)

    assert done.exit_code == 1
    assert said in done.stderr
    assert "firma.example" not in done.stderr
    with desk.store.read() as conn:
        assert ledger.head(conn).size == 0
