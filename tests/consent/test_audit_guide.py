"""AUDIT.md says how a stranger checks an export; its program does it, and its tables are the truth."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pypdf
import pytest

from consent import identity, imported
from consent.addresses import Address
from consent.verify import USAGE, Outcome, main
from nurture.audit import anchoring
from nurture.audit import export as exporting
from nurture.audit.scope import Reveal, Scope
from tests.consent.people import NEWSLETTER, TRACKING, People
from tests.consent.test_basis import customer
from tests.consent.test_basis import record as record_customer

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.store.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDE = (ROOT / "consent" / "AUDIT.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
[PROGRAM] = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory, at: datetime) -> Path:
    """An export of some people, addresses shown."""
    people = People(workspace.store, workspace.keyring, at)
    people.publish()
    for number in range(5):
        people.confirmed(f"kim{number}@firma.example", [NEWSLETTER, TRACKING])
    scope = Scope(reveal=Reveal("vera", "kim", "test of the guide"))
    return exporting.make(
        workspace, tmp_path_factory.mktemp("outside") / "export", scope, exporting.Order("vera", at, "0.1.0")
    ).folder


def run(folder: Path, seq: int) -> subprocess.CompletedProcess[str]:
    """Run the program of the guide."""
    return subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(seq)], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_program_checks_consents_that_were_imported_and_those_of_customers(
    workspace: Workspace, tmp_path: Path, at: datetime
) -> None:
    """What another system showed lies in the export as well, by its hash, in the proof and in the registers."""
    people = People(workspace.store, workspace.keyring, at)
    record_customer(people, customer(people))
    with workspace.store.write() as conn:
        pat = identity.ensure(conn, workspace.keyring, Address.of("pat@firma.example"), at=at)
        one = imported.ImportedConsent(pat, NEWSLETTER, "default", "Ja, gern.", at, {})
        imported.record(conn, workspace.keyring, [one], at=at)
    folder = exporting.make(workspace, tmp_path / "export", Scope(), exporting.Order("vera", at, "0.1.0")).folder

    told = [run(folder, seq) for seq in (0, 1)]
    assert [done.stdout.split(" ")[0] for done in told] == ["basis.recorded", "consent.imported"], told
    assert json.loads((folder / "proofs" / "1.json").read_text("utf-8"))["wordings"] == ["Ja, gern."]
    digest = hashlib.sha256(b"Ja, gern.").hexdigest()
    assert (folder / "wordings" / f"{digest}.txt").read_text("utf-8") == "Ja, gern."
    assert digest in (folder / "csv" / "texts.csv").read_text("utf-8")
    pages = pypdf.PdfReader(folder / "report.pdf").pages
    assert "aus einem anderen System" in " ".join(" ".join(page.extract_text() for page in pages).split())


def test_the_program_checks_every_proof_of_an_export(folder: Path) -> None:
    found = sorted(int(path.stem) for path in (folder / "proofs").glob("*.json"))
    assert found == list(range(10))
    for seq in found:
        done = run(folder, seq)
        kind = "confirmed" if seq % 2 else "requested"
        assert done.stdout.startswith(f"consent.{kind} 2026-11-23T08:00:00.000000Z is entry {seq} of 11 in "), (
            done.stderr
        )


@pytest.mark.parametrize("name", ["leaf", "wordings"])
def test_the_program_stops_at_what_does_not_hold(folder: Path, name: str) -> None:
    path = folder / "proofs" / "3.json"
    shown = json.loads(path.read_text("utf-8"))
    shown[name] = (
        [shown[name][0] + "!", *shown[name][1:]] if name == "wordings" else shown[name].replace("email", "phone")
    )
    path.write_text(json.dumps(shown), "utf-8")
    assert run(folder, 3).returncode != 0


def test_every_file_of_an_export_is_explained(folder: Path) -> None:
    explained = set(re.findall(r"^\| `([\w.-]+)", GUIDE, re.MULTILINE)) | {
        "report.pdf",
        "csv",
        "export.json",
        "people.jsonl",
    }
    assert {path.name for path in folder.iterdir()} <= explained


def test_the_exit_codes_are_the_verifier_s() -> None:
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", GUIDE, re.MULTILINE)]
    assert codes == [*(int(one) for one in Outcome), USAGE]


def test_a_checkpoint_newer_than_the_export_is_explained(
    folder: Path, workspace: Workspace, tmp_path: Path, at: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verifier cannot tell it from entries that were cut off; the guide says so in its words."""
    People(workspace.store, workspace.keyring, at).confirmed("later@firma.example")
    newer = tmp_path / "newer.txt"
    newer.write_text(anchoring.sign(workspace, at=at).note, "utf-8")
    assert main([str(folder), "--checkpoint", str(newer)]) == Outcome.TAMPERED
    said = "".join(capsys.readouterr())
    meant = re.sub(r"\d+", "_", re.findall(r"entry \d+: it is missing; your checkpoint counts \d+ entries", said)[0])
    assert meant in re.sub(r"\b[NM]\b", "_", GUIDE)
    assert "is newer than this export" in " ".join(GUIDE.split())


def test_the_readme_leads_compliance_to_the_guides() -> None:
    [row] = re.findall(r"^\| in compliance \|.*$", README, re.MULTILINE)
    assert {"consent/AUDIT.md", "docs/how-to/rights.md"} <= set(re.findall(r"\]\(([^)]+)\)", row))
