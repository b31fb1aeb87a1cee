"""Is the record complete, checkable, and the same on paper? (R31)"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jsonschema
import pypdf
import pytest
from sqlalchemy import inspect, select

from consent import identity, imported, suppression, withdrawal
from consent.addresses import Address
from consent.schema import metadata
from nurture.leads import rights
from nurture.leads.register import NewLead, register
from nurture.leads.rights import exporting, model, printing, words
from nurture.store import pdf
from nurture.store.tables import lead
from tests.nurture.leads.rights import bytes as disk
from tests.nurture.leads.rights.life import ADDRESS, AGENT, DETAILS, IP, MESSAGE, Life

if TYPE_CHECKING:
    from collections.abc import Iterator


def take(life: Life, lead_id: int) -> dict[str, Any]:
    """Take a person's record out."""
    with life.ws.store.write() as conn:
        return rights.access(conn, life.ws, life.subject(lead_id), route="cli", actor="operator:vera", at=life.later)


def paper(record: dict[str, Any]) -> str:
    """Read the PDF back, without white space and feet of pages."""
    pages = pypdf.PdfReader(io.BytesIO(rights.pdf(record))).pages
    text = "".join("".join(page.extract_text().split()) for page in pages)
    found = model.Record.model_validate(record)
    foot = "".join(f"{found.controller.company} · {printing.shown(found.made_at, found.zone, found.language)}".split())
    word = {"de": "Seite{}von{}", "en": "Page{}of{}"}[found.language]
    for number in range(1, len(pages) + 1):
        text = text.replace(f"{foot}{word.format(number, len(pages))}", "")
    return text


def leaves(value: Any, zone: str, language: str) -> Iterator[str]:
    """Give every value of a record as a reader of the PDF should find it."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner, zone, language)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, zone, language)
    elif isinstance(value, bool):
        yield {"de": ("nein", "ja"), "en": ("no", "yes")}[language][value]
    elif isinstance(value, float):
        yield str(value).replace(".", "," if language == "de" else ".")
    elif value not in {None, ""}:
        yield str(value)


def on_paper(record: dict[str, Any], *, section: str) -> Iterator[str]:
    """Give the values of a section, times as the paper writes them."""
    for part in getattr(model.Record.model_validate(record), section):
        for _, value in part:
            if isinstance(value, datetime):
                yield printing.shown(value, record["zone"], record["language"])
            elif isinstance(value, list) and value and isinstance(value[0], model.Part):
                for inner in value:
                    yield from (
                        printing.shown(one, record["zone"], record["language"]) if isinstance(one, datetime) else one
                        for _, one in inner
                    )
            else:
                yield from leaves(value, record["zone"], record["language"])


def test_record_holds_the_whole_person(life: Life) -> None:
    """Who, what was agreed to in which words, both steps with evidence, mails, events, score with inputs, sales."""
    lead_id = life.lives()
    record = take(life, lead_id)
    person = record["persons"][0]

    assert person["address"].lower() == ADDRESS.lower()
    assert DETAILS.items() <= person["details"].items()
    assert MESSAGE in person["details"]["message"]
    assert {(one["purpose"], one["state"]) for one in record["consents"]} == {
        ("newsletter.product", "given"), ("email.tracking", "given"),
    }  # fmt: skip
    assert [one["step"] for one in record["proofs"]] == ["consent.requested", "consent.confirmed"]
    assert all(one["evidence"]["ip"] == IP and one["evidence"]["user_agent"] == AGENT for one in record["proofs"])
    assert [one["state"] for one in record["mails"]] == ["accepted"]
    assert record["mails"][0]["subject_line"] == f"Guten Tag {DETAILS['last_name']}"
    assert {one["kind"] for one in record["events"]} == {"delivered", "clicked", "demo_requested"}
    assert [one["fact"] for one in record["mails"][0]["reported"]] == ["delivered"]
    assert [one["kind"] for one in record["signals"]] == ["demo_requested"]
    assert record["scores"][0]["score"] > 0
    assert {one["rule"] for one in record["points"]}
    assert record["handovers"][0]["content"]["data"]["contact"]["address"] == person["address"]
    assert record["preferences"][0]["per_week"] == 1
    assert {one["role"] for one in record["recipients"]} == {"Versanddienst (Auftragsverarbeiter)", "Vertrieb"}
    assert record["requests"][0]["kind"] == "access"
    assert {one["type"] for one in record["ledger"]} >= {
        "consent.requested", "consent.confirmed", "send.authorised", "record.exported",
    }  # fmt: skip


def test_wordings_are_verbatim(life: Life) -> None:
    """The SHA-256 of each printed wording is the one in the ledger's leaf."""
    record = take(life, life.joins())
    agreed = {one["text"] for one in json.loads(record["proofs"][1]["leaf"])["body"]["purposes"]}

    assert {hashlib.sha256(one["body"].encode()).hexdigest() for one in record["wordings"]} == agreed
    assert {one["wording_sha256"] for one in record["consents"]} == agreed


def test_person_can_check_their_own_entries(life: Life) -> None:
    """With what stands in the record and nothing else: commitment and leaf hash."""
    for proof in take(life, life.joins())["proofs"]:
        commit = json.loads(proof["leaf"])["body"]["commit"]

        assert hmac.digest(bytes.fromhex(proof["salt"]), proof["canonical"].encode(), "sha256").hex() == commit
        assert json.loads(proof["canonical"]) == proof["evidence"]
        assert hashlib.sha256(b"\x00" + proof["leaf"].encode()).hexdigest() == proof["leaf_hash"]


def test_entries_carry_their_proof_of_inclusion(life: Life) -> None:
    """Once a checkpoint was signed: with the public key alone it shows that the ledger holds them."""
    lead_id = life.joins()
    assert [one["inclusion"] for one in take(life, lead_id)["proofs"]] == [None, None]
    signer = life.signs()

    for proof in take(life, lead_id)["proofs"]:
        assert disk.proves(proof["inclusion"], proof["leaf"].encode(), signer)


def decided(reason: str) -> model.Decision:
    """A decision with this reason."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return model.Decision(at=at, sequence="welcome", step="hello", phase="plan", outcome="planned", reason=reason)


def facts(part: model.Source | model.Decision, language: str) -> list[tuple[str, str]]:
    """Print one part; give its labels and values."""
    [block] = printing._Paper(language, "Europe/Berlin").section([part])  # noqa: SLF001  a record of one part
    assert isinstance(block, pdf.Facts)
    return list(block.rows)


def test_wording_of_another_system_is_shown(life: Life) -> None:
    """An imported consent brings its own words; they lie in the evidence and fit the hash in the ledger."""
    text = "Ja, bitte senden Sie mir die Hauszeitung."
    with life.ws.store.write() as conn:
        subject = identity.ensure(conn, life.ws.keyring, Address.of("neu@firma.example"), at=life.at)
        proof = imported.ImportedConsent(subject, "newsletter.product", "default", text, life.at, {"url": "x"})
        imported.record(conn, life.ws.keyring, [proof], at=life.at)
        lead_id = register(conn, [NewLead(subject, "de", "import")], at=life.at, keyring=life.ws.keyring)[subject]
    record = take(life, lead_id)

    assert [(one["body"], one["version"]) for one in record["wordings"]] == [(text, None)]
    assert record["consents"][0]["wording_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_record_tells_when_the_proof_goes(life: Life) -> None:
    """Known once the last consent has ended; so is the entry on the suppression list."""
    lead_id = life.joins()
    with life.ws.store.write() as conn:
        subject = life.subject(lead_id)
        for what in (None, "complaint"):
            if what is None:
                withdrawal.withdraw(
                    conn, subject=subject, controller="default", purposes=None, route="page", actor="s", at=life.at
                )
            else:
                suppression.suppress_subject(conn, subject, what, at=life.at)
    record = take(life, lead_id)

    assert [one["until"] for one in record["retention"] if one["until"]] == ["2029-12-31T23:00:00Z"]
    assert [one["reason"] for one in record["suppressions"]] == ["complaint"]


def test_nobody_else_stands_in_it(life: Life) -> None:
    """A batch of mails names several people in one ledger entry; the record shows only one's own line."""
    first, second = life.joins(), life.joins("tom@zweite.example")
    life.gets_mail(first, second)
    text = json.dumps(take(life, first))

    assert life.subject(second) not in text
    assert "zweite.example" not in text


def test_record_fits_its_schema(life: Life) -> None:
    """What is published is what is given."""
    record = json.loads(rights.encode(take(life, life.lives())))

    jsonschema.validate(record, model.schema(), cls=jsonschema.Draft202012Validator)


def test_paper_and_file_agree(life: Life) -> None:
    """Every value and the number of rows of every part stand in the PDF, too."""
    record = take(life, life.lives())
    text = paper(record)
    assert "erteilt(given)" in text
    missing = []
    for section, parts in record.items():
        if not isinstance(parts, list):
            continue
        if f"{words.WORDS[section][0]} ({len(parts)})".replace(" ", "") not in text:
            missing.append(f"{section}: its count")
        missing += [
            f"{section}: {value}" for value in on_paper(record, section=section)
            if isinstance(value, str) and "".join(value.split()) not in text
        ]  # fmt: skip

    assert missing == [], "\n".join(missing)
    assert "".join(record["controller"]["imprint"].split()) in text


def test_paper_is_the_same_each_time(life: Life) -> None:
    """Same record, same bytes."""
    record = take(life, life.joins())

    assert rights.pdf(record) == rights.pdf(record)


def test_paper_speaks_the_persons_language(life: Life) -> None:
    """English for who chose it; each field has a name in both."""
    lead_id = life.joins()
    with life.ws.store.write() as conn:
        conn.execute(lead.update().where(lead.c.id == lead_id).values(language="en"))
    record = take(life, lead_id)

    assert "Thedataweholdaboutyou" in paper(record)
    assert {name for part in model.Part.__subclasses__() for name in part.model_fields} <= set(words.WORDS)


def test_taking_a_copy_is_recorded(life: Life) -> None:
    """An entry without personal data, and a request answered within its month."""
    lead_id = life.joins()
    take(life, lead_id)
    [entry] = life.entries("record.exported")
    [request] = life.requests()

    assert json.loads(entry.leaf)["body"] == {
        "kind": "access", "scope": "person", "count": 1, "actor": "operator:vera", "commit": None,
    }  # fmt: skip
    assert (request.state, request.settled_at) == ("done", life.later)
    assert request.due_at == datetime(2026, 12, 23, 23, 0, tzinfo=UTC)


def test_erased_people_have_no_record(life: Life) -> None:
    """And asking leaves no trace."""
    lead_id = life.joins()
    with life.ws.store.write() as conn:
        identity.erase(conn, life.subject(lead_id), at=life.at)
    before = len(life.entries())

    with pytest.raises(rights.RightsError, match="erased"):
        take(life, lead_id)
    assert len(life.entries()) == before


COVERED = {
    "identity", "consent_text", "opt_in_request", "opt_in_purpose", "consent_state", "suppression", "ledger_entry",
    "proof_vault", "rights_request", "lead", "stage_change", "enrolment", "sequence_version", "decision",
    "template_version", "send_batch", "message", "message_exception", "authorisation", "delivery_fact", "event",
    "signal", "points", "lead_score", "temperature_change", "handover", "mail_preference",
}  # fmt: skip
"""Tables that the record reads."""
NOT_PERSONAL = {
    "ledger_head", "ledger_tile", "checkpoint", "checkpoint_delivery", "import_batch", "kill_switch", "switch_change",
    "circuit", "flow_summary", "setting", "raw_event", "delivery_attempt", "send_slot", "handover_attempt",
    "handover_notice", "verdict", "brake", "ramp_day",
}  # fmt: skip
"""Tables that say nothing of a person, or nothing that the record does not say already."""


def test_no_table_is_forgotten(life: Life) -> None:
    """A new table must be judged: does the record of a person have to hold it?"""
    there = set(inspect(life.ws.store.engine).get_table_names()) - {"alembic_version"}

    assert there == COVERED | NOT_PERSONAL
    assert set(metadata.tables) == there
    assert life.rows(select(lead)) == []


def test_folder_that_cannot_be_written_is_named(life: Life) -> None:
    """With a remedy; nothing half is left behind."""
    record = take(life, life.joins())
    blocked = life.ws.home / "blocked"
    blocked.write_text("a file")

    with pytest.raises(rights.RightsError, match="choose another folder"):
        exporting.write(record, blocked, "lead-1")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (
            model.Source(source="import", detail=None, at=datetime(2026, 1, 1, tzinfo=UTC)),
            "Import einer Liste (import)",
        ),
        (decided("cold"), "nichts sprach dagegen, Text für kalt (cold)"),
        (decided("window"), "Versandfenster geschlossen (window)"),
    ],
)
def test_codes_are_said_to_a_german_reader(part: model.Source | model.Decision, said: str) -> None:
    """The word first, the code behind it; a field of one name means one thing."""
    name = "source" if isinstance(part, model.Source) else "reason"
    for language, told in (("de", said), ("en", getattr(part, name))):
        [row] = [value for label, value in facts(part, language) if label == words.WORDS[name][language == "en"]]
        assert row == told


@pytest.mark.parametrize(
    ("field", "code", "said"),
    [("role", "unknown", "unbekannt"), ("role", "decider", "entscheidet"), ("route", "cli", "durch den Betreiber")],
)
def test_a_code_is_said_by_its_field(field: str, code: str, said: str) -> None:
    """`unknown` of a mail is another word than that of a role."""
    part = (model.Lead if field == "role" else model.Request).model_construct(**{field: code})  # type: ignore[arg-type]
    shown = printing._Paper("de", "Europe/Berlin").field(part, field)  # noqa: SLF001  one field of a part
    assert shown == f"{said} ({code})"
