"""Does the Art. 30 record say what is configured, and leave no table out? (R37)"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

import nurture.store.tables  # noqa: F401  all tables
from consent.schema import metadata
from nurture.cli import records
from nurture.leads.rights import processing
from nurture.settings import SENDER

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

    from nurture.settings import Settings


def test_record_as_it_is_written(settings: Settings, snapshot: SnapshotAssertion) -> None:
    """German and English, part by part of Art. 30(1)."""
    assert processing.markdown(processing.record(settings)) == snapshot


def test_every_table_has_a_category() -> None:
    """A new one must be put into the record, or judged to hold nobody."""
    named = [table for _, tables in processing.CATEGORIES.values() for table in tables]

    assert len(named) == len(set(named))
    assert set(named) | set(processing.IMPERSONAL) == set(metadata.tables)


def test_every_purpose_stands_in_it(settings: Settings) -> None:
    """Those of policies/consent.yaml, with the categories they use."""
    told = processing.record(settings)
    known = {one["id"] for one in told["data"]}

    assert {"newsletter.product", "email.tracking", "proof", "scoring"} <= {one["id"] for one in told["activities"]}
    assert all(set(one["data"]) <= known for one in told["activities"])
    assert "existing_customer" not in {one["id"] for one in told["activities"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "local outbox"),
        ({"provider": "sendgrid", "sendgrid_api_key": "k"}, "USA: Twilio Inc."),
        (
            {"provider": "sendgrid", "sendgrid_api_key": "k", "sendgrid_url": "https://api.eu.sendgrid.com"},
            "EU region of Twilio SendGrid",
        ),
        ({"provider": "smtp", "smtp_host": "mail.firma.example"}, "operator of mail.firma.example"),
        ({"handover_url": "https://crm.firma.example/secret-path"}, "operator of crm.firma.example"),
        ({"evidence_ip": "truncated"}, "kept in the evidence truncated"),
        ({"data_protection_officer": "Dr. Datenfein"}, "Dr. Datenfein"),
    ],
)
def test_record_follows_the_settings(settings: Settings, changes: dict[str, Any], said: str) -> None:
    """Recipients, transfers, measures; never a secret or the path of an address."""
    who: dict[str, Any] = dict.fromkeys(SENDER, "Firma")
    text = processing.markdown(processing.record(type(settings)(home=settings.home, **who, **changes)))

    assert said in text
    assert "secret-path" not in text


def test_verb_writes_and_prints(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Markdown to a file or the screen, JSON for machines; no workspace is needed."""
    monkeypatch.setenv("NURTURE_HOME", str(settings.home))
    app = typer.Typer()
    records.register(app)
    app.callback()(lambda: None)

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["records", *words])
        assert done.exit_code == 0
        return done.stdout

    run("-o", str(tmp_path / "r.md"))
    assert (tmp_path / "r.md").read_text("utf-8") == run()
    assert json.loads(run("--json"))["title"]["de"] == "Verzeichnis von Verarbeitungstätigkeiten"
    assert CliRunner().invoke(app, ["records", "-o", str(tmp_path / "no" / "r.md")]).exit_code == 1
