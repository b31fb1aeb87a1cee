"""One folder that an auditor can verify without us, and read: the same figures in JSON, CSV and on paper."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cryptography
import jsonschema
import pypdf
import pytest
from sqlalchemy import select, update

from consent import canonical, checkpoints, export, identity, ledger, suppression, vault
from consent.export import ExportError
from consent.schema import ledger_entry
from consent.states import TRACKING
from consent.verify import Outcome
from nurture.audit import AuditError, figures, sheets
from nurture.audit import book as books
from nurture.audit import export as exporting
from nurture.audit.anchoring import open_signer
from nurture.audit.scope import Reveal, Scope, period
from nurture.leads.rights import processing
from tests.consent.people import NEWSLETTER, OTHER, People
from tests.nurture.audit.sabotage import guards_off

if TYPE_CHECKING:
    from nurture.audit.export import Made, Order
    from nurture.store.workspace import Workspace

SCHEMA = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "reference" / "audit-export.schema.json"
REVEAL = Scope(reveal=Reveal("vera", "kim", "request of the authority, file 7"))
ADDRESSES = ("kim@firma.example", "lee@firma.example", "nobody@firma.example", "gone@firma.example")


@pytest.fixture
def busy(people: People) -> People:
    """A ledger in which everything happened once."""
    at = people.at - timedelta(days=30)
    kim = people.confirmed(ADDRESSES[0], [NEWSLETTER, TRACKING], at=at)
    lee = people.confirmed(ADDRESSES[1], [NEWSLETTER, OTHER], at=at)
    people.sign_up(ADDRESSES[2], at=at)
    gone = people.confirmed(ADDRESSES[3], at=at)
    for subject in (kim, lee, gone):
        people.ask(subject, at=at + timedelta(days=1))
    people.leave(lee, [OTHER], at=at + timedelta(days=2))
    people.leave(gone, at=at + timedelta(days=2))
    people.ask(gone, at=at + timedelta(days=3))
    with people.store.write() as conn:
        identity.erase(conn, gone, at=at + timedelta(days=4), keep_suppression="erased")
    return people


def make(ws: Workspace, folder: Path, order: Order, scope: Scope | None = None) -> Made:
    """Export."""
    return exporting.make(ws, folder, scope or Scope(), order)


def verify(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the verifier that lies in the export, with nothing of ours but `cryptography` in reach, and no network."""
    lonely = folder.parent / "lonely"
    if not lonely.exists():
        lonely.mkdir()
        site = Path(cryptography.__file__).parent.parent
        for name in ("cryptography", "cffi"):
            (lonely / name).symlink_to(site / name)
        for backend in site.glob("_cffi_backend*"):
            (lonely / backend.name).symlink_to(backend)
    # -S: no site-packages; -P would hide the folder itself, in which the verifier lies.
    command = [sys.executable, "-S", "-B", "-m", "consent.verify", ".", *arguments]
    if (
        shutil.which("unshare")
        and subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode == 0
    ):
        command = ["unshare", "-rn", *command]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(lonely)}, check=False, capture_output=True, text=True
    )


def read_csv(folder: Path, name: str) -> list[dict[str, str]]:
    """Read a sheet as a spreadsheet would."""
    with (folder / "csv" / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def told(folder: Path) -> dict[str, Any]:
    """Read the JSON document."""
    document: dict[str, Any] = json.loads((folder / "export.json").read_text("utf-8"))
    return document


def on_paper(folder: Path) -> str:
    """Read the PDF, without white space."""
    pages = pypdf.PdfReader(io.BytesIO((folder / "report.pdf").read_bytes())).pages
    return re.sub(r"\s", "", "".join(page.extract_text() for page in pages))


# --- verified without us ---------------------------------------------------------------------


def test_t71_an_export_is_verified_with_no_network_no_database_and_nothing_of_ours(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    """Only the export, an older checkpoint and the public key: one command, one answer."""
    with workspace.store.write() as conn:
        older = checkpoints.sign(conn, open_signer(workspace), at=busy.at)
    made = make(workspace, outside / "export", order)
    (outside / "older.txt").write_text(older.note, "utf-8")
    key = (made.folder / "public_key.txt").read_text("utf-8").strip()

    done = verify(made.folder, "--checkpoint", str(outside / "older.txt"), "--key", key)

    assert (done.returncode, done.stderr) == (Outcome.OK, "")


def test_the_verifier_leaves_nothing_behind(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    """Whoever forgets -B may still run it as often as they like; compiled code from elsewhere is refused."""
    made = make(workspace, outside / "export", order)
    command = [sys.executable, "-m", "consent.verify", "."]
    for _ in range(2):
        assert subprocess.run(command, cwd=made.folder, check=False).returncode == Outcome.OK
    planted = made.folder / "consent" / "__pycache__"
    planted.mkdir()
    (planted / "rules.cpython-311.pyc").write_bytes(b"x")
    done = subprocess.run(command, cwd=made.folder, check=False, capture_output=True, text=True)
    assert done.returncode == Outcome.TAMPERED
    assert "delete the folder __pycache__" in done.stdout


def test_t71_a_changed_export_is_refused_and_the_entry_named(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    made = make(workspace, outside / "export", order)
    path = made.folder / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"route":"page"', b'"route":"pane"', 1))

    done = verify(made.folder)

    assert done.returncode == Outcome.TAMPERED
    assert "entry " in done.stdout + done.stderr


def test_a_revealed_export_verifies_with_salt_and_evidence(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    made = make(workspace, outside / "export", order, REVEAL)
    assert json.loads((made.folder / "proofs" / "1.json").read_text("utf-8"))["evidence"] == {"ip": "192.0.2.1"}
    assert verify(made.folder).returncode == Outcome.OK


def test_the_export_proves_its_own_making(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    """The entry comes before the checkpoint that the export carries."""
    made = make(workspace, outside / "export", order)
    last = canonical.decode((made.folder / "entries.jsonl").read_bytes().splitlines()[-1])
    assert (last["type"], last["seq"], made.size) == ("record.exported", made.entry, made.entry + 1)
    assert last["body"]["kind"] == "audit"
    assert (made.folder / "checkpoints" / f"{made.size}.txt").exists()


def test_tiles_of_a_longer_ledger_verify(workspace: Workspace, people: People, outside: Path, order: Order) -> None:
    """More than two full tiles, and a level above them."""
    entry = ledger.Entry(ledger.EntryType.SUPPRESSED, {"controller": "*", "reason": "blocked", "count": 1}, people.at)
    with workspace.store.write() as conn:
        ledger.append(conn, [entry] * 700)
    made = make(workspace, outside / "export", order)
    assert sorted(path.name for path in (made.folder / "tile" / "0").iterdir()) == ["000", "001", "002.p"]
    assert verify(made.folder).returncode == Outcome.OK


def test_a_changed_ledger_is_not_signed(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    """Nothing may vouch for it: no checkpoint, no manifest."""
    make(workspace, outside / "first", order)
    with workspace.store.write() as conn:
        guards_off(conn)
        conn.execute(update(ledger_entry).where(ledger_entry.c.seq == 1).values(leaf_hash=b"x" * 32))
    with pytest.raises(checkpoints.InconsistentError):
        make(workspace, outside / "second", order)
    assert not (outside / "second" / "manifest.json").exists()


def test_a_changed_leaf_shows_on_the_cover(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    """Changed behind the last checkpoint, where nothing stops signing: the cover and the verifier both say so."""
    with workspace.store.write() as conn:
        guards_off(conn)
        leaf = conn.execute(select(ledger_entry.c.leaf).where(ledger_entry.c.seq == 1)).scalar_one()
        conn.execute(
            update(ledger_entry).where(ledger_entry.c.seq == 1).values(leaf=leaf.replace(b'"lifted":0', b'"lifted":1'))
        )
    made = make(workspace, outside / "export", order)
    assert not made.verified
    assert "entry 1" in told(made.folder)["cover"]["verification"]
    assert verify(made.folder).returncode == Outcome.TAMPERED


def test_a_folder_in_use_is_refused(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    (outside / "theirs.txt").write_text("theirs", "utf-8")
    with pytest.raises(ExportError, match="not empty"):
        make(workspace, outside, order)


def test_every_file_stands_in_the_manifest_with_its_hash(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    made = make(workspace, outside / "export", order)
    manifest = json.loads((made.folder / "manifest.json").read_text("utf-8"))
    found = {
        path.relative_to(made.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in made.folder.rglob("*")
        if path.is_file() and path.name not in {"manifest.json", "manifest.note"}
    }
    assert manifest["files"] == found


def test_the_verifier_in_the_export_is_ours_to_the_letter() -> None:
    found = export.closure(export.VERIFIER)
    assert {"verify", "merkle", "notes", "entries", "canonical", "__init__"} <= found
    assert not {"ledger", "schema", "gate", "identity"} & found


# --- the same figures everywhere -------------------------------------------------------------


@pytest.mark.parametrize("scope", [Scope(), REVEAL], ids=["pseudonymous", "revealed"])
def test_json_csv_and_paper_agree(
    workspace: Workspace, busy: People, outside: Path, order: Order, scope: Scope
) -> None:
    """Every figure is the same three times, and is the number of rows that are listed."""
    made = make(workspace, outside / "export", order, scope)
    document, paper = told(made.folder), on_paper(made.folder)
    assert document["figures"] == made.figures
    assert {row["figure"]: int(row["value"]) for row in read_csv(made.folder, "figures")} == made.figures
    for name, value in made.figures.items():
        assert re.sub(r"\s", "", f"{figures.label(name, 'de')}{value}") in paper
    for name in sheets.SHEETS:
        listed = read_csv(made.folder, name)
        key = "records" if name == "consents" else name
        assert len(document[key]) == len(listed)
        if name in made.figures and name not in {"suppressions_added", "suppressions_now"}:
            assert made.figures[name] == len(listed)
    assert made.figures["people"] == len((made.folder / "people.jsonl").read_bytes().splitlines())


def report(folder: Path) -> str:
    """The report's text, with one space for each white space; a word broken over lines has one in it."""
    pages = pypdf.PdfReader(folder / "report.pdf").pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_the_german_report_says_codes_in_words(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    """The selection, the parts of figures, and what stands in lists; English names stay in CSV and JSON."""
    folder = make(workspace, outside / "export", order).folder
    text = report(folder)
    for told in ("gesamter Zeitraum, alle Verantwortlichen, alle Personen, pseudonym", "davon widerrufen",
                 "davon Bestätigung (consent.confirmed)", "Double-Opt-In", "alle gelöscht 1"):  # fmt: skip
        assert told in text
    for code in ("begin/end", "all people", "davon withdrawn", "double_opt_in", " given "):
        assert code not in text
    assert {row["basis"] for row in read_csv(folder, "consents")} == {"double_opt_in"}


def test_the_cover_says_its_times_in_the_legal_zone(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    """The period by its days, both included; selection and making by the clock of the controller."""
    zone = workspace.settings.tz
    scope = Scope(*period("2026", zone))
    folder = make(workspace, outside / "export", order, scope).folder
    text = report(folder)
    assert told(folder)["cover"]["period"] == "2026-01-01 – 2026-12-31"  # noqa: RUF001  typography
    assert "ab 2026-01-01 00:00:00 CET bis vor 2027-01-01 00:00:00 CET" in text
    assert f"Erstellt {order.at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}" in text


def test_no_head_of_a_column_breaks_within_a_word(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    text = report(make(workspace, outside / "export", order).folder)
    for head in ("Grundlage", "Anmeldungen", "Fassung", "bestätigt", "verweigert", "Verantwortlicher"):
        assert re.search(rf"{head}\b", text), head
    assert not re.search(r"Grundlag e|Anmeldung en|bestäti gt", text)


def test_a_list_that_is_whole_does_not_say_that_rows_are_left(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    """A row of the suppression list counts several addresses."""
    with busy.store.write() as conn:
        suppression.add(
            conn, {bytes([number]) * 32: "complained" for number in range(5)}, controller="*", at=busy.at, index_key=1
        )
    made = make(workspace, outside / "export", order)
    assert made.figures["suppressions_now"] == 6
    assert "Hier stehen die ersten" not in report(made.folder)


def test_figures_are_what_happened(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    found = make(workspace, outside / "export", order).figures
    wanted = {
        "requests": 4, "requests.confirmed": 3, "requests.open": 1, "consents": 5, "consents.given": 3,
        "consents.withdrawn": 2, "withdrawals": 2, "withdrawals_followed_by_send": 0, "sends": 3, "sends_tracked": 1,
        "refusals": 1, "refusals.withdrawn": 1, "erasures": 1, "suppressions_now": 1, "exports": 1, "checkpoints": 1,
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted


def test_a_period_narrows_what_is_read_and_never_what_is_verified(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    scope = Scope(since=busy.at - timedelta(days=1), until=busy.at + timedelta(days=1))
    made = make(workspace, outside / "export", order, scope)
    assert (made.figures["requests"], made.figures["withdrawals"], made.figures["consents"]) == (0, 0, 3)
    assert len((made.folder / "entries.jsonl").read_bytes().splitlines()) == made.size
    assert verify(made.folder).returncode == Outcome.OK


def test_one_person_alone_may_be_read(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    subject = busy.confirmed("only@firma.example")
    made = make(workspace, outside / "export", order, Scope(subjects=(subject,)))
    [person] = [json.loads(line) for line in (made.folder / "people.jsonl").read_text("utf-8").splitlines()]
    assert person["subject"] == subject
    assert {row["subject"] for row in read_csv(made.folder, "consents")} == {subject}
    with workspace.store.read() as conn:
        leaf = conn.execute(select(ledger_entry.c.leaf).where(ledger_entry.c.seq == made.entry)).scalar_one()
    assert canonical.decode(leaf)["body"]["count"] == 1


def test_a_controller_nobody_heard_of_is_refused(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    """A slip in the name would make a book that says nothing ever happened; one that is known may have no rows."""
    with workspace.store.read() as conn:
        before = ledger.head(conn)
    with pytest.raises(AuditError, match="none of this installation; there is default"):
        make(workspace, outside / "export", order, Scope(controller="defualt"))
    with workspace.store.read() as conn:
        assert ledger.head(conn) == before
    assert not (outside / "export").exists()
    assert make(workspace, outside / "export", order, Scope(controller="default")).figures["consents"] > 0


# --- who may see whom ------------------------------------------------------------------------


def test_nobody_is_named_unless_revealed(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    """Byte search over the whole folder, the paper read as text."""
    made = make(workspace, outside / "export", order)
    everything = b"".join(path.read_bytes() for path in made.folder.rglob("*") if path.is_file())
    everything += on_paper(made.folder).encode()
    assert [address for address in (*ADDRESSES, "192.0.2.1") if address.encode() in everything] == []


def test_addresses_may_not_lie_where_erasure_would_miss_them(workspace: Workspace, busy: People, order: Order) -> None:
    with pytest.raises(AuditError, match="home folder"):
        make(workspace, workspace.home / "export", order, REVEAL)
    assert not (workspace.home / "export").exists()


def test_revealed_addresses_come_with_names_and_reason(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    made = make(workspace, outside / "export", order, REVEAL)
    addresses = {row["address"] for row in read_csv(made.folder, "consents")}
    assert addresses == {ADDRESSES[0], ADDRESSES[1], ""}  # one was erased
    cover = told(made.folder)["cover"]
    assert (cover["revealed_by"], cover["reason"]) == ("vera, kim", "request of the authority, file 7")


def test_the_ledger_holds_who_looked_and_not_why(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    """The reason is committed to: free text may name people, and no entry can ever be emptied."""
    made = make(workspace, outside / "export", order, REVEAL)
    with workspace.store.read() as conn:
        leaf = conn.execute(select(ledger_entry.c.leaf).where(ledger_entry.c.seq == made.entry)).scalar_one()
        kept = books.read_reason(conn, workspace, made.entry)
    assert b"authority" not in leaf
    body = canonical.decode(leaf)["body"]
    assert body["actor"] == "operator:vera operator:kim"
    assert kept is not None
    salt = bytes.fromhex(kept.pop("salt"))
    assert vault._digest(salt, canonical.encode(kept)) == body["commit"]  # noqa: SLF001  computed as an auditor would


def test_every_copy_stands_in_the_log_of_the_next(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    make(workspace, outside / "first", order)
    second = make(workspace, outside / "second", order, REVEAL)
    log = read_csv(second.folder, "exports")
    assert [(row["kind"], row["actor"]) for row in log] == [
        ("audit", "operator:vera"),
        ("audit", "operator:vera operator:kim"),
    ]
    assert log[1]["reason"] == "request of the authority, file 7"


# --- what it says ----------------------------------------------------------------------------


def test_wordings_are_verbatim_and_match_their_hashes(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    made = make(workspace, outside / "export", order)
    document = told(made.folder)
    assert all(node["sha256_matches"] for node in document["texts"])
    used = {record["dpv:hasNotice"]["@id"] for record in document["records"]}
    assert used <= {node["@id"] for node in document["texts"]}
    assert {row["body"] for row in read_csv(made.folder, "texts")} == {node["body"] for node in document["texts"]}


def test_a_timeline_tells_a_person_s_whole_story(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    made = make(workspace, outside / "export", order)
    people = [json.loads(line) for line in (made.folder / "people.jsonl").read_text("utf-8").splitlines()]
    stories = sorted([step["what"] for step in person["timeline"]] for person in people)
    assert [
        "consent.requested", "consent.confirmed", "send.authorised", "consent.withdrawn", "send.blocked",
        "suppression.added", "subject.erased",
    ] in stories  # fmt: skip


def test_withdrawals_are_listed_with_the_next_send_none(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    made = make(workspace, outside / "export", order)
    rows = read_csv(made.folder, "withdrawals")
    assert [(row["next_send_seq"], row["seconds_to_next_send"], row["refused_after"]) for row in rows] == [
        ("", "", "0"),
        ("", "", "1"),
    ]


def test_the_document_fits_its_schema(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    """The MUST fields of ISO/IEC TS 27560 in DPV's words, for each record and each party."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for number, scope in enumerate((Scope(), REVEAL)):
        made = make(workspace, outside / str(number), order, scope)
        jsonschema.Draft202012Validator(schema).validate(told(made.folder))


@pytest.mark.parametrize("missing", ["dct:conformsTo", "dpv:hasDataSubject", "dpv:hasNotice", "dpv:hasConsentStatus"])
def test_the_schema_misses_what_a_record_must_have(
    workspace: Workspace, busy: People, outside: Path, order: Order, missing: str
) -> None:
    document = told(make(workspace, outside / "export", order).folder)
    del document["records"][0][missing]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(document)


def test_states_have_the_names_of_dpv(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    document = told(make(workspace, outside / "export", order).folder)
    last = {
        record["nurture:ledger"]["state"]: record["dpv:hasConsentStatus"][-1]["@type"][0]
        for record in document["records"]
    }
    assert last == {"given": "dpv:ConsentGiven", "withdrawn": "dpv:ConsentWithdrawn"}


def test_the_art_30_entry_is_part_of_it(workspace: Workspace, busy: People, outside: Path, order: Order) -> None:
    made = make(workspace, outside / "export", order)
    assert told(made.folder)["record_of_processing"] == processing.record(workspace.settings)
    paper = on_paper(made.folder)
    for row in [*read_csv(made.folder, "retention"), *read_csv(made.folder, "transfers")]:
        assert re.sub(r"\s", "", row.get("rule") or row["transfer"]) in paper


# --- while others write ----------------------------------------------------------------------


def test_an_export_while_others_write_is_of_one_moment(
    workspace: Workspace, busy: People, outside: Path, order: Order
) -> None:
    """People sign up and leave all the time; the export still adds up and verifies."""
    stop = threading.Event()

    def live() -> None:
        number = 0
        while not stop.is_set():
            subject = busy.confirmed(f"live{number}@firma.example")
            busy.ask(subject)
            busy.leave(subject)
            number += 1

    writer = threading.Thread(target=live)
    writer.start()
    try:
        made = [make(workspace, outside / f"export{number}", order) for number in range(3)]
    finally:
        stop.set()
        writer.join()
    for one in made:
        lines = (one.folder / "entries.jsonl").read_bytes().splitlines()
        types = [canonical.decode(line)["type"] for line in lines]
        assert one.verified
        assert one.size == one.figures["entries"] == len(lines)
        assert types.count("consent.withdrawn") == one.figures["withdrawals"]
        assert verify(one.folder).returncode == Outcome.OK
