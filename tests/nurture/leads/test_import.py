"""Do lists come in as they are meant: suppression first, nothing doubled, no consent inferred?"""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest
from sqlalchemy import select

from consent import identity, imported, withdrawal
from consent.addresses import Address
from consent.schema import consent_state, suppression
from nurture.leads import stages
from nurture.leads.importing.mapping import Consent, Map, load_map
from nurture.store.definitions import DefinitionError
from nurture.store.tables import lead, stage_change
from tests.nurture.leads.conftest import WORDED

if TYPE_CHECKING:
    from tests.nurture.leads.conftest import Desk

PROVEN = (
    "Email Address,First Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LEID,EUID\n"
    "vera@firma.example,Vera,3,2025-06-04 10:00:00,192.0.2.1,{confirmed},192.0.2.1,1,a\n"
)
CONFIRMED = "2025-06-04 10:05:00"


def reasons(desk: Desk, content: str, settings: Map | None = WORDED) -> dict[str, int]:
    """Import, and give why rows are not mailable."""
    return dict(desk.take(content, settings).counts.not_mailable)


@pytest.mark.requirement(95, 28)
def test_no_consent_is_inferred(desk: Desk) -> None:
    """A list of addresses makes leads that get no mail."""
    report = desk.take("Email,First Name\nvera@firma.example,Vera\n", WORDED)
    assert report.counts.not_mailable == {"no_evidence": 1}
    assert desk.leads()[0].stage == "unconfirmed"


@pytest.mark.requirement(95)
def test_t48_a_full_proof_becomes_consent(desk: Desk) -> None:
    """Both times and the wording make a consent and a confirmed lead."""
    report = desk.take(PROVEN.format(confirmed=CONFIRMED), WORDED)
    assert (report.counts.mailable, report.counts.consents) == (1, 1)
    assert desk.leads()[0].stage == "confirmed"


def test_t48_without_wording_nobody_is_mailable(desk: Desk) -> None:
    """Times without the wording prove nothing and enter no consent."""
    assert reasons(desk, PROVEN.format(confirmed=CONFIRMED), None) == {"no_wording": 1}
    assert desk.sizes()["consent_state"] == 0


@pytest.mark.parametrize(
    ("confirmed", "reason"),
    [
        ("", "no_confirmation_time"),
        ("2025-06-04 10:00:00", "single_opt_in"),
        ("2025-06-04 09:00:00", "single_opt_in"),
        ("2031-06-04 10:00:00", "future_time"),
        ("7/8/2025 10:00 AM", "ambiguous_time"),
        ("soon", "unreadable_time"),
    ],
)
def test_t48_a_weak_proof_proves_nothing(desk: Desk, confirmed: str, reason: str) -> None:
    """Each way in which a confirmation is missing or doubtful has its reason."""
    assert reasons(desk, PROVEN.format(confirmed=confirmed)) == {reason: 1}


def test_a_confirmation_time_alone_proves_nothing(desk: Desk) -> None:
    """Exports write that time for single opt-in as well."""
    content = PROVEN.format(confirmed=CONFIRMED).replace("2025-06-04 10:00:00", "")
    assert reasons(desk, content) == {"no_sign_up_time": 1}


def test_the_wording_may_come_later(desk: Desk) -> None:
    """The same file with its wording completes the leads that came without."""
    path = desk.file(PROVEN.format(confirmed=CONFIRMED))
    desk.take(path)
    report = desk.take(path, WORDED)
    assert (report.counts.new, report.counts.consents, desk.leads()[0].stage) == (0, 1, "confirmed")


def test_a_consent_column_decides_for_its_purpose(desk: Desk) -> None:
    """Where the column of a purpose does not say yes, that purpose is not agreed to."""
    said = Map(consent=(Consent(text="Ja"), Consent(purpose="email.tracking", text="Ja, messen", column="EUID")))
    assert desk.take(PROVEN.format(confirmed=CONFIRMED), said).counts.consents == 1


def test_the_wording_follows_the_language(desk: Desk) -> None:
    """A wording in English proves nothing for somebody who saw the German page."""
    said = Map(consent=(Consent(text={"en": "Yes"}),))
    assert reasons(desk, PROVEN.format(confirmed=CONFIRMED), said) == {"no_wording": 1}


def test_the_same_file_twice_changes_nothing(desk: Desk) -> None:
    """The second time gives the first one's counts and leaves every table as it was."""
    path = desk.file(PROVEN.format(confirmed=CONFIRMED))
    first = desk.take(path, WORDED)
    sizes = desk.sizes()
    again = desk.take(path, WORDED, at=desk.at + timedelta(days=1))
    assert again.already_imported
    assert again.counts == first.counts
    assert desk.sizes() == sizes


def test_a_changed_file_doubles_nobody(desk: Desk) -> None:
    """Known people are found by their address, however it is written."""
    desk.take("Email,First Name\nvera@firma.example,Vera\n")
    report = desk.take("Email,First Name\nVERA@Firma.example,Vera\nudo@firma.example,Udo\n")
    assert (report.counts.new, report.counts.unchanged) == (1, 1)
    assert desk.sizes()["lead"] == 2


def test_rows_of_one_person_are_one_lead(desk: Desk) -> None:
    """The second row of an address is counted as a duplicate."""
    report = desk.take("Email\nvera@firma.example\nVera@firma.example\n")
    assert (report.counts.new, report.counts.duplicates) == (1, 1)


def test_every_row_is_accounted_for(desk: Desk) -> None:
    """Refused, duplicate, suppressed and taken rows add up to all rows."""
    report = desk.take("Email,Opt-Out\na@b.example,\na@b.example,\nx,\nc@d.example,ja\n\ne@f.example,\n")
    counts = report.counts
    assert counts.rows == 5
    assert sum(counts.refused.values()) + counts.duplicates + counts.suppressed + report.imported == 5


def test_a_no_further_down_comes_first(desk: Desk) -> None:
    """A no in the last row holds for the same person's first row."""
    report = desk.take("Email,HasOptedOutOfEmail\nvera@firma.example,false\nVERA@firma.example,true\n")
    assert (report.imported, report.counts.suppressed) == (0, 2)
    assert desk.sizes()["identity"] == 0


@pytest.mark.parametrize(
    ("header", "cell", "reason", "controller"),
    [
        ("HasOptedOutOfEmail", "1", "unsubscribed", "default"),
        ("EmailBouncedDate", "2025-01-02", "bounced", "*"),
        ("Unsubscribed from all email", "true", "unsubscribed", "default"),
        ("Von allen E-Mails abgemeldet", "Ja", "unsubscribed", "default"),
        ("UNSUB_TIME", "2025-01-02 10:00:00", "unsubscribed", "default"),
        ("CLEAN_TIME", "2025-01-02 10:00:00", "bounced", "*"),
        ("Spam report", "yes", "complained", "default"),
    ],
)
def test_a_no_becomes_suppression(desk: Desk, header: str, cell: str, reason: str, controller: str) -> None:
    """Opt-outs and complaints bar this sender, bounces bar everybody."""
    desk.take(f"Email,{header}\nvera@firma.example,{cell}\n")
    with desk.workspace.store.read() as conn:
        row = conn.execute(select(suppression.c.reason, suppression.c.controller)).one()
    assert tuple(row) == (reason, controller)


@pytest.mark.parametrize("cells", [["abuse", "unsubscribed"], ["unsubscribed", "abuse"]])
def test_the_graver_no_of_two_rows_holds(desk: Desk, cells: list[str]) -> None:
    """A complaint is not forgotten because the same address stands in the file once more, with less."""
    desk.take("Email,Status\n" + "".join(f"vera@firma.example,{cell}\n" for cell in cells))
    with desk.workspace.store.read() as conn:
        assert conn.execute(select(suppression.c.reason)).scalars().all() == ["complained"]


def test_everybody_enters_with_one_stage(desk: Desk) -> None:
    """A new person, and one who is known here without being a lead, begin their history once, by the import."""
    with desk.workspace.store.write() as conn:
        identity.ensure(conn, desk.workspace.keyring, Address.of("udo@firma.example"), at=desk.at)
    report = desk.take("Email,First Name\nvera@firma.example,Vera\nudo@firma.example,Udo\n")
    with desk.workspace.store.read() as conn:
        query = select(lead.c.id, stage_change.c.stage, stage_change.c.at, stage_change.c.cause)
        steps = conn.execute(query.join_from(lead, stage_change).order_by(lead.c.id)).all()
    assert report.counts.new == 2
    assert [tuple(step) for step in steps] == [(row.id, "unconfirmed", desk.at, "import") for row in desk.leads()]


@pytest.mark.parametrize("name", ["unsubscribed_members_export.csv", "cleaned_members_export.csv"])
def test_mailchimps_other_files_are_known_by_name(desk: Desk, name: str) -> None:
    """The exports of unsubscribed and cleaned members say no by their name alone."""
    path = desk.file("Email Address,LEID,EUID\nvera@firma.example,1,a\n", name)
    assert desk.take(path).counts.suppressions_added == 1


def test_an_imported_no_ends_a_consent(desk: Desk) -> None:
    """Who was mailable here and says no in the file is withdrawn."""
    desk.take(PROVEN.format(confirmed=CONFIRMED), WORDED)
    report = desk.take("Email,Opt-Out\nvera@firma.example,ja\n")
    with desk.workspace.store.read() as conn:
        states = set(conn.execute(select(consent_state.c.state)).scalars())
    assert (report.counts.withdrawn, states) == (1, {"withdrawn"})


@pytest.mark.requirement(117)
def test_an_import_never_revives_a_withdrawal(desk: Desk) -> None:
    """A proof, also a younger one, does not undo a withdrawal made here."""
    desk.take(PROVEN.format(confirmed=CONFIRMED), WORDED)
    with desk.workspace.store.write() as conn:
        withdrawal.withdraw(
            conn,
            subject=desk.leads()[0].subject,
            controller="default",
            purposes=None,
            route="page",
            actor="x",
            at=desk.at,
        )
    report = desk.take(PROVEN.format(confirmed="2025-06-05 10:00:00"), WORDED)
    assert (report.counts.consents, report.counts.not_mailable) == (0, {"withdrawn_before": 1})


def person(desk: Desk) -> dict[str, str]:
    """Open what is known of the first lead's person."""
    with desk.workspace.store.read() as conn:
        subject = desk.leads()[0].subject
        return identity.reveal(conn, desk.workspace.keyring, [subject])[subject].details


@pytest.mark.parametrize(
    ("rule", "company", "industry"),
    [("keep", "Alt", None), ("fill", "Alt", "food"), ("overwrite", "Neu", "food")],
)
def test_the_collision_rule_decides(desk: Desk, rule: str, company: str, industry: str | None) -> None:
    """Keep, fill and overwrite each treat a known company and a gap their own way."""
    desk.take("Email,Company,Branche\nvera@firma.example,Alt,\n")
    desk.take("Email,Company,Branche\nvera@firma.example,Neu,Lebensmittel\n", Map.model_validate({"collision": rule}))
    assert (person(desk)["company"], desk.leads()[0].industry) == (company, industry)


def test_each_column_may_have_its_rule(desk: Desk) -> None:
    """One column overwrites while the others only fill gaps."""
    desk.take("Email,Company,Titel\nvera@firma.example,Alt,Leiterin\n")
    said = {"columns": {"Company": {"field": "company", "collision": "overwrite"}}}
    desk.take("Email,Company,Titel\nvera@firma.example,Neu,Azubi\n", Map.model_validate(said))
    assert (person(desk)["company"], person(desk)["job_title"]) == ("Neu", "Leiterin")


def test_facts_are_kept_in_one_vocabulary(desk: Desk) -> None:
    """German and English cells become the same codes."""
    desk.take(
        "E-Mail;Anrede;Telefon;Position;Branche;Mitarbeiter;Land;Sprache\n"
        "vera@firma.example;Mrs.;0711 / 12 34-56;Geschäftsführerin;Maschinenbau;1.001-5.000;Österreich;English\n"
    )
    row = desk.leads()[0]
    assert (row.role, row.industry, row.company_size) == ("decider", "manufacturing", 1001)
    assert (row.country, row.zone, row.language) == ("AT", "Europe/Vienna", "en")
    assert (person(desk)["salutation"], person(desk)["phone"]) == ("Frau", "+43711123456")


def test_a_customer_is_no_lead_to_nurture(desk: Desk) -> None:
    """A lifecycle that means somebody else cares is kept as the stage."""
    desk.take("Email,Lifecycle Stage\nvera@firma.example,customer\nudo@firma.example,lead\n")
    assert [row.stage for row in desk.leads()] == ["customer", "unconfirmed"]


@pytest.mark.requirement(33)
@pytest.mark.parametrize("rule", ["keep", "fill"])
@pytest.mark.parametrize("before", ["confirmed", "mql", "handed_over", "recycled"])
def test_a_known_lead_becomes_a_customer(desk: Desk, before: str, rule: str) -> None:
    """A list that says customer moves a lead from wherever it stands, once, by the import."""
    desk.take(PROVEN.format(confirmed=CONFIRMED), WORDED)
    with desk.workspace.store.write() as conn:
        stages.move(conn, {desk.leads()[0].id: before}, cause="score", at=desk.at)
    said = Map.model_validate({"collision": rule})
    report = desk.take("Email,Lifecycle Stage\nvera@firma.example,customer\n", said)
    desk.take("Email,Lifecycle Stage,Land\nvera@firma.example,customer,DE\n", said)
    row = desk.leads()[0]
    with desk.workspace.store.read() as conn:
        steps = conn.execute(select(stage_change.c.stage, stage_change.c.cause).order_by(stage_change.c.id)).all()
    assert (row.stage, row.owner, report.counts.changed) == ("customer", "sales", 1)
    assert [tuple(step) for step in steps if step.stage == "customer"] == [("customer", "import")]


def test_another_phase_moves_nobody_back(desk: Desk) -> None:
    """What the list calls an opportunity stays with us once it is confirmed, and a customer stays one."""
    desk.take(PROVEN.format(confirmed=CONFIRMED), WORDED)
    desk.take("Email,Lifecycle Stage\nvera@firma.example,opportunity\n")
    assert desk.leads()[0].stage == "confirmed"
    desk.take("Email,Lifecycle Stage\nvera@firma.example,customer\n")
    desk.take("Email,Lifecycle Stage\nvera@firma.example,lead\n")
    assert desk.leads()[0].stage == "customer"


TEXT = 'E-Mail{s}Vorname{s}Notiz\r\nvera@firma.example{s}Jürgen{s}"a\r\nb"\r\nudo@firma.example{s}Udo{s}\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_encodings_and_separators_are_detected(desk: Desk, encoding: str, separator: str) -> None:
    """Every usual encoding with every usual separator is read without being told."""
    report = desk.take(TEXT.format(s=separator).encode(encoding))
    assert (report.imported, report.separator, person(desk)["first_name"]) == (2, separator, "Jürgen")


def test_excels_own_separator_line_is_read(desk: Desk) -> None:
    """A first line sep=; is no header."""
    assert desk.take("sep=;\nEmail;Name\nvera@firma.example;Vera Beispiel\n").imported == 1


def test_an_encoding_can_be_named(desk: Desk) -> None:
    """An encoding that cannot be told is read once it is named."""
    desk.take("Email,Vorname\nvera@firma.example,Jürgen\n".encode("cp850"), Map(encoding="cp850"))
    assert person(desk)["first_name"] == "Jürgen"


def test_a_workbook_keeps_every_row_and_number(desk: Desk) -> None:
    """No row of a workbook is lost, numbers stay whole, and the report counts lines as Excel does."""
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append([])
    sheet.append(["E-Mail", "Telefon", "Mitarbeiter"])
    for number in range(2600):
        sheet.append([f"v{number}@firma.example", 4971112345678, 51])
    sheet.append(["broken", None, None])
    out = io.BytesIO()
    book.save(out)
    report = desk.take(out.getvalue())
    assert (report.kind, report.counts.new, report.counts.refused) == ("excel", 2600, {"bad_address:syntax": 1})
    assert report.report is not None
    assert '"2603"' in report.report.read_text("utf-8-sig")
    assert (person(desk)["phone"], desk.leads()[0].company_size) == ("+4971112345678", 51)


def test_looking_changes_nothing(desk: Desk) -> None:
    """A dry run counts what would happen and writes no row."""
    report = desk.look(PROVEN.format(confirmed=CONFIRMED), WORDED)
    assert (report.counts.new, report.counts.consents) == (1, 1)
    assert set(desk.sizes().values()) == {0}


def test_looking_masks_people(desk: Desk) -> None:
    """The preview shows first letters only."""
    shown = desk.look("Email,First Name,Company\nvera@firma.example,Vera,Firma\n").preview[0]
    assert (shown["address"], shown["name"], shown["company"]) == ("v…@f….example", "V…", "F…")


def test_an_error_on_the_way_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in the last chunk takes back all chunks before it."""
    real = imported.record
    monkeypatch.setattr("nurture.leads.importing.run.CHUNK", 1)

    def fails(*given: Any, **named: Any) -> int:
        real(*given, **named)
        raise RuntimeError("power cut")

    header, row = PROVEN.format(confirmed=CONFIRMED).splitlines()
    lines = [header, "udo@firma.example", "uta@firma.example", row]
    monkeypatch.setattr(imported, "record", fails)
    with pytest.raises(RuntimeError):
        desk.take("\n".join(lines), WORDED)
    assert set(desk.sizes().values()) == {0}


def test_a_map_with_a_mistake_names_its_line(desk: Desk) -> None:
    """A misspelt key of a map is told with file and line."""
    path = desk.file("preset: hubspot\ncolums: {}\n", "map.yaml")
    with pytest.raises(DefinitionError, match=r"map\.yaml:2: colums"):
        load_map(path, desk.policies)


@pytest.mark.parametrize(
    ("written", "line"),
    [("consent: {purpose: newsletter.produkt, text: Ja}\n", 1), ("consent:\n  - purpose: newsletter.produkt\n", 2)],
)
def test_a_map_with_an_unknown_purpose_names_its_line_and_the_nearest(desk: Desk, written: str, line: int) -> None:
    """Such a consent would stand in the ledger for good and permit no mail."""
    path = desk.file(written, "map.yaml")
    with pytest.raises(DefinitionError, match=rf"map\.yaml:{line}: consent.*did you mean newsletter\.product\?"):
        load_map(path, desk.policies)


def test_a_wording_may_stand_in_a_file(desk: Desk) -> None:
    """The map may point to a text file beside it."""
    desk.file("Ja, gern.\n", "text.txt")
    path = desk.file("consent: {purpose: newsletter.product, text_file: text.txt}\n", "map.yaml")
    assert load_map(path, desk.policies).consent[0].wording("de") == "Ja, gern."
