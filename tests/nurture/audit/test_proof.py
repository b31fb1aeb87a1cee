"""One printable page for one consent, or one mail, that a court can check without us."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pypdf
import pytest
from sqlalchemy import select

from consent import canonical, imported, ledger, merkle
from consent.notes import Verifier, open_note
from consent.schema import ledger_entry
from consent.treeheads import Proof, TreeHead
from nurture.audit import AuditError, proof, rendering
from nurture.audit.anchoring import open_signer
from nurture.audit.scope import Reveal, Scope
from nurture.delivery import sending
from nurture.leads import register
from nurture.store import pdf
from nurture.store.pdf import Rows
from tests.consent.people import NEWSLETTER, TRACKING, People
from tests.nurture.delivery.world import Scripted, World

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.audit.export import Order
    from nurture.store.workspace import Workspace

REVEAL = Scope(reveal=Reveal("vera", "kim", "lawsuit 4 O 11/26"))


def shown(page: proof.Page) -> str:
    """The page as text."""
    return rendering.plain(page.title, page.blocks)


def printed(page: proof.Page) -> tuple[int, str]:
    """The page on paper: how many sheets, and the text without white space."""
    made = proof.paper(page)
    sheets = pypdf.PdfReader(io.BytesIO(made)).pages
    return len(sheets), re.sub(r"\s", "", "".join(sheet.extract_text() for sheet in sheets))


def check(entry: dict[str, Any], key: Verifier) -> TreeHead:
    """Do what an auditor does with an entry and its proof."""
    found = Proof.parse(entry["tlog_proof"])
    head = TreeHead.parse(open_note(found.note, [key]))
    digest = merkle.leaf_hash(entry["leaf"].encode())
    merkle.verify_inclusion(digest, found.index, head.size, list(found.hashes), head.root)
    return head


@pytest.mark.requirement(118)
def test_t12_a_proof_shows_the_wording_whose_hash_is_the_leaf_s(
    workspace: Workspace, people: People, order: Order
) -> None:
    """Printable, in German, the wording byte for byte."""
    people.confirmed()
    page = proof.of_consent(workspace, 1, Scope(), order)
    [purpose] = page.data["purposes"]
    leaf = canonical.decode(page.data["entry"]["leaf"].encode())
    digest = hashlib.sha256(purpose["wording"].encode()).hexdigest()
    assert digest == leaf["body"]["purposes"][0]["text"]
    sheets, paper = printed(page)
    assert sheets == 1
    assert re.sub(r"\s", "", purpose["wording"]) in paper
    assert purpose["wording"] in shown(page)
    assert purpose["wording"] in rendering.page(page.title, page.blocks, language="de")


def test_both_steps_and_the_inclusion_proof_check_out(workspace: Workspace, people: People, order: Order) -> None:
    people.confirmed(at=people.at)
    page = proof.of_consent(workspace, 1, Scope(), order)
    key = open_signer(workspace).verifier
    heads = {check(page.data["entry"], key), check(page.data["request"]["entry"], key)}
    [head] = heads
    assert base64.b64encode(head.root).decode() in shown(page)
    assert str(key) in shown(page)


def test_a_proof_is_logged_and_proves_its_own_logging(workspace: Workspace, people: People, order: Order) -> None:
    people.confirmed()
    page = proof.of_consent(workspace, 1, Scope(), order)
    with workspace.store.read() as conn:
        last = conn.execute(select(ledger_entry).order_by(ledger_entry.c.seq.desc()).limit(1)).one()
    body = canonical.decode(last.leaf)["body"]
    assert (last.type, body["kind"], body["actor"]) == ("record.exported", "proof", "operator:vera")
    assert check(page.data["entry"], open_signer(workspace).verifier).size == last.seq + 1


def test_evidence_is_named_and_not_shown_unless_revealed(workspace: Workspace, people: People, order: Order) -> None:
    people.confirmed()
    page = proof.of_consent(workspace, 1, Scope(), order)
    assert page.data["request"]["entry"]["withheld"] == ["address", "ip"]
    assert "192.0.2.1" not in shown(page) + json.dumps(page.data)
    assert "kim@firma.example" not in shown(page) + json.dumps(page.data)
    assert "Beleg vorhanden, nicht gezeigt" in shown(page)


def test_revealed_evidence_opens_the_commitment(workspace: Workspace, people: People, order: Order) -> None:
    people.confirmed()
    page = proof.of_consent(workspace, 1, REVEAL, order)
    entry = page.data["request"]["entry"]
    digest = hmac.digest(bytes.fromhex(entry["salt"]), canonical.encode(entry["evidence"]), "sha256").hex()
    assert digest == canonical.decode(entry["leaf"].encode())["body"]["commit"]
    assert "kim@firma.example" in shown(page)
    assert entry["salt"] in shown(page)


def test_the_reason_is_not_printed(workspace: Workspace, people: People, order: Order) -> None:
    people.confirmed()
    assert "lawsuit" not in shown(proof.of_consent(workspace, 1, REVEAL, order))


def test_a_withdrawal_is_told_with_its_entry(workspace: Workspace, people: People, order: Order) -> None:
    people.leave(people.confirmed(), at=people.at + timedelta(days=1))
    page = proof.of_consent(workspace, 1, Scope(), order)
    assert page.data["purposes"][0]["ended"] == {
        "seq": 2, "at": "2026-11-24T08:00:00.000000Z", "type": "consent.withdrawn", "route": "page",
    }  # fmt: skip
    assert "widerrufen 24.11.2026 09:00:00 CET" in shown(page)


def test_after_erasure_time_and_wording_are_still_proven(workspace: Workspace, people: People, order: Order) -> None:
    from consent import identity  # noqa: PLC0415  this test alone

    subject = people.confirmed()
    with workspace.store.write() as conn:
        identity.erase(conn, subject, at=people.at)
    page = proof.of_consent(workspace, 1, Scope(), order)
    check(page.data["entry"], open_signer(workspace).verifier)
    assert page.data["entry"]["evidence_destroyed"]
    assert page.data["purposes"][0]["wording"]


def test_an_imported_consent_shows_the_wording_of_its_evidence(
    workspace: Workspace, people: People, order: Order, at: datetime
) -> None:
    from consent import identity  # noqa: PLC0415  this test alone
    from consent.addresses import Address  # noqa: PLC0415  as above

    with workspace.store.write() as conn:
        subject = identity.ensure(conn, workspace.keyring, Address.of("old@firma.example"), at=at)
        one = imported.ImportedConsent(
            subject, NEWSLETTER, "default", "Ja, gern.", at - timedelta(days=9), {"ip": "192.0.2.9"}
        )
        imported.record(conn, workspace.keyring, [one], at=at)
    page = proof.of_consent(workspace, 0, Scope(), order)
    assert (page.data["basis"], page.data["request"], page.data["purposes"][0]["wording"]) == (
        "imported", None, "Ja, gern.",
    )  # fmt: skip
    assert "wie in Eintrag 0" in shown(page)


def test_erasure_leaves_the_wording_of_an_imported_consent(
    workspace: Workspace, people: People, order: Order, at: datetime
) -> None:
    """It names nobody and is kept as a text of its own; the page says nothing that the next line takes back."""
    from consent import identity  # noqa: PLC0415  this test alone
    from consent.addresses import Address  # noqa: PLC0415  as above

    with workspace.store.write() as conn:
        subject = identity.ensure(conn, workspace.keyring, Address.of("old@firma.example"), at=at)
        one = imported.ImportedConsent(subject, NEWSLETTER, "default", "Ja, gern.", at - timedelta(days=9), {})
        imported.record(conn, workspace.keyring, [one], at=at)
        identity.erase(conn, subject, at=at)
    page = proof.of_consent(workspace, 0, Scope(), order)
    assert (page.data["purposes"][0]["wording"], page.data["purposes"][0]["published_at"]) == ("Ja, gern.", None)
    assert "Wortlaut: newsletter.product, aus dem anderen System" in shown(page)
    assert "None" not in shown(page)
    assert "Der Wortlaut lag beim Beleg" not in shown(page)


def test_an_existing_customer_s_notice_is_shown_from_the_evidence(
    workspace: Workspace, people: People, order: Order
) -> None:
    from tests.consent.test_basis import NOTICE, customer, record  # noqa: PLC0415  this test alone

    seq = record(people, customer(people))
    page = proof.of_consent(workspace, seq, Scope(), order)
    assert page.data["purposes"][0]["wording"] == NOTICE
    assert "Hinweis auf das Widerspruchsrecht: newsletter.product" in shown(page)


def test_english_for_whoever_asks(workspace: Workspace, people: People, order: Order) -> None:
    people.confirmed()
    page = proof.of_consent(workspace, 1, Scope(), replace(order, language="en"))
    assert page.title == "Proof of a consent"
    assert "Second step: confirmation" in shown(page)


def test_an_entry_without_consent_proves_none(workspace: Workspace, people: People, order: Order) -> None:
    people.confirmed()
    for seq in (0, 99):
        with pytest.raises(AuditError, match="gives no consent"):
            proof.of_consent(workspace, seq, Scope(), order)


def test_a_mail_is_proven_with_the_consent_it_rests_on(workspace: Workspace, at: datetime, order: Order) -> None:
    """Its authorisation, content hash and fate, then the consent, each entry with its proof."""
    world = World(workspace, at)
    batch = world.plan(world.person())
    provider = Scripted()
    sending.send_next(workspace, world.library, provider, kind="marketing", owner="test", at=at)
    [mail] = provider.mails
    page = proof.of_mail(workspace, mail.public_id, Scope(), order)
    key = open_signer(workspace).verifier
    check(page.data["entry"], key)
    check(page.data["consent"]["entry"], key)
    permit = canonical.decode(page.data["entry"]["leaf"].encode())["body"]["permits"][0]
    assert permit[:3] == [mail.public_id, page.data["consent"]["subject"], page.data["consent"]["entry"]["seq"]]
    said = json.dumps([mail.content.sha256, mail.to_address, *mail.values], ensure_ascii=False, separators=(",", ":"))
    assert page.data["content_sha256"] == hashlib.sha256(said.encode()).hexdigest()
    assert page.data["outcome"] == "accepted"
    assert re.search(r"^Zustellung +angenommen$", shown(page), re.MULTILINE)
    assert batch
    assert page.data["content_sha256"] in shown(page)


@pytest.mark.parametrize("language", ["de", "en"])
def test_a_mail_s_page_fits_on_one_sheet(workspace: Workspace, at: datetime, order: Order, language: str) -> None:
    """Behind a double opt-in and in a ledger of some thousand entries, whose proofs are longer."""
    world = World(workspace, at)
    people = People(workspace.store, workspace.keyring, at)
    people.publish()
    subject = people.confirmed("kim.beispielname@musterwerk-maschinen.example", [NEWSLETTER, TRACKING])
    entry = ledger.Entry("suppression.added", {"controller": "*", "reason": "import", "count": 1}, at)
    with workspace.store.write() as conn:
        ledger.append(conn, [entry] * 4000)
        register.register(conn, [register.NewLead(subject, "de", "form", zone="Europe/Berlin")], at=at)
    world.plan(subject)
    provider = Scripted()
    sending.send_next(workspace, world.library, provider, kind="marketing", owner="test", at=at)
    page = proof.of_mail(workspace, provider.mails[0].public_id, Scope(), replace(order, language=language))
    sheets, paper = printed(page)

    assert sheets == 1
    assert page.data["entry"]["tlog_proof"].partition("\n\n")[0].split("\n")[-1] in paper
    assert page.data["consent"]["request"] is not None


def test_a_mail_s_page_shows_no_permit_of_anybody_else(workspace: Workspace, at: datetime, order: Order) -> None:
    """The entry permits them all: its hash stands there in its place, and the whole of it in the JSON."""
    world = World(workspace, at)
    subjects = [world.person() for _ in range(3)]
    world.plan(*subjects)
    provider = Scripted()
    sending.send_next(workspace, world.library, provider, kind="marketing", owner="test", at=at)
    page = proof.of_mail(workspace, provider.mails[1].public_id, Scope(), order)
    own = page.data["consent"]["subject"]
    text = shown(page)
    assert not any(subject in text for subject in subjects if subject != own)
    assert f'["{provider.mails[1].public_id}","{own}"' in text
    assert "Der Eintrag gibt 3 E-Mails frei." in text
    leaf = page.data["entry"]["leaf"]
    assert all(subject in leaf for subject in subjects)
    assert merkle.leaf_hash(leaf.encode()).hex() in text


@pytest.mark.parametrize(
    ("language", "issued"),
    [("de", "23.11.2026 09:00:00 CET (08:00:00 UTC)"), ("en", "23 November 2026 09:00:00 CET (08:00:00 UTC)")],
)
def test_a_proof_says_when_it_was_issued(
    workspace: Workspace, people: People, order: Order, language: str, issued: str
) -> None:
    people.confirmed()
    page = proof.of_consent(workspace, 1, Scope(), replace(order, language=language))
    assert re.search(rf"^(Ausgestellt|Issued) +{re.escape(issued)}$", shown(page), re.MULTILINE)
    assert page.data["issued_at"] == "2026-11-23T08:00:00.000000Z"


def test_a_german_proof_speaks_german(workspace: Workspace, people: People, order: Order, at: datetime) -> None:
    """Codes and our own times in words; what the other system wrote stays as it was."""
    from consent import identity  # noqa: PLC0415  this test alone
    from consent.addresses import Address  # noqa: PLC0415  as above

    evidence = {
        "from": "mailchimp",
        "confirmed_at": "2026-05-04T23:30:00+00:00",
        "export_confirm_ip": "192.0.2.9",
        "export_confirm_time": "04.05.2026 23:30",
        "box_default": "unticked",
    }
    with workspace.store.write() as conn:
        subject = identity.ensure(conn, workspace.keyring, Address.of("old@firma.example"), at=at)
        one = imported.ImportedConsent(subject, NEWSLETTER, "default", "Ja, gern.", at - timedelta(days=9), evidence)
        imported.record(conn, workspace.keyring, [one], at=at)
    people.leave(subject, at=at)
    text = shown(proof.of_consent(workspace, 0, REVEAL, order))
    table = dict(re.findall(r"^(\S.*?) {2,}(.+)$", text, re.MULTILINE))
    assert table["bestätigt im anderen System"] == "05.05.2026 01:30:00 CEST (04.05.2026 23:30:00 UTC)"
    assert table["Bestätigungszeit laut Export"] == "04.05.2026 23:30"
    assert table["Kästchen anfangs"] == "nicht angekreuzt"
    assert table["Stand"].endswith("Eintrag 1, auf der Seite")
    assert not re.search(r"export_confirm_ip|unticked|^.* {2,}.*\d{4}-\d\d-\d\dT", text, re.MULTILINE)


def test_a_mail_that_nobody_authorised_has_no_proof(workspace: Workspace, people: People, order: Order) -> None:
    with pytest.raises(AuditError, match="no such mail"):
        proof.of_mail(workspace, "x" * 26, Scope(), order)


def test_data_in_a_page_is_no_markup(workspace: Workspace, order: Order) -> None:
    block = pdf.Facts([("<b>name</b>", "<script>alert(1)</script>")])
    page = rendering.page("<i>t</i>", [block, pdf.Exact("</pre><b>"), pdf.Rows(["<u>"], [["<u>"]])], language="de")
    assert not re.search(r"<(script|b|i|u)>", page)


def test_a_table_in_text_keeps_its_columns() -> None:
    """Each cell begins below its head, wrapped into its share of the line; nothing of it is lost."""
    long = "https://firma.example/subscribe " + "word " * 30
    table = Rows(("", "first step", "second step"), (("page", long, "confirm"), ("sent", "", "840 s")))
    lines = rendering.plain("Title", [table]).splitlines()[2:]
    first, second = lines[0].index("first"), lines[0].index("second")

    assert lines[-1][first:second].strip() == ""
    assert (lines[-1][:first].strip(), lines[-1][second:]) == ("sent", "840 s")
    assert " ".join(line[first:second].strip() for line in lines[1:-1]) == long.strip()
