"""Does nobody who said no become mailable, however the list writes it down?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nurture.leads.importing.mapping import Consent, Map
from nurture.leads.importing.problems import FileProblem, ImportFileError
from nurture.leads.rights import merging
from tests.nurture.leads.conftest import WORDED

if TYPE_CHECKING:
    from tests.nurture.leads.conftest import Desk

RAPIDMAIL = "email,created,created_ip,activated,activated_ip,status\n"
GENERIC = "email,optin_time,confirm_time"
TIMES = "2025-06-04 10:00:00,2025-06-04 10:05:00"
IGNORING = Map.model_validate({"columns": {"Kundenstatus": "ignore"}, "consent": [{"text": "Ja, gern."}]})


def rapidmail(status: str) -> str:
    """Write a row with full evidence and this status."""
    return f"{RAPIDMAIL}vera@firma.example,2025-06-04 10:00:00,1.2.3.4,2025-06-04 10:05:00,1.2.3.4,{status}\n"


def generic(header: str, cell: str) -> str:
    """Write a row with full evidence, and one more column."""
    return f"{GENERIC},{header}\nvera@firma.example,{TIMES},{cell}\n"


@pytest.mark.requirement(95)
@pytest.mark.parametrize(
    "status",
    [
        "Blockiert", "Spam-Beschwerde", "Gebounced", "Abgemeldet am 03.04.2025", "unsubscribed (link)", "removed",
        "zurückgezogen", "opt-out (admin)", "gesperrt durch Admin", "suppressed", "do not contact",
    ],
)  # fmt: skip
def test_a_longer_no_is_a_no(desk: Desk, status: str) -> None:
    """A status that holds a word for no bars its address."""
    report = desk.take(rapidmail(status), WORDED)
    assert (report.counts.suppressions_added, report.imported) == (1, 0)


@pytest.mark.requirement(95)
@pytest.mark.parametrize("status", ["Archived", "nicht aktiv", "nicht abgemeldet", "ja", "???", "3"])
def test_an_unknown_status_is_no_yes(desk: Desk, status: str) -> None:
    """A word nobody knows makes no consent, and the report says why."""
    report = desk.take(rapidmail(status), WORDED)
    assert (report.counts.consents, report.counts.not_mailable) == (0, {"unknown_status": 1})


@pytest.mark.parametrize("status", ["active", "Subscribed", "", "  "])
def test_a_known_yes_stays_a_yes(desk: Desk, status: str) -> None:
    """The words that programs write for subscribed, and an empty cell, leave the proof as it is."""
    assert desk.take(rapidmail(status), WORDED).counts.mailable == 1


@pytest.mark.requirement(95)
@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("Status", "Abgemeldet"), ("Newsletter-Status", "unsubscribed"), ("Widerrufen am", "2025-05-01"),
        ("Abmeldung", "2025-05-01"), ("Opt-out Datum", "2025-05-01"), ("Unsubscribed on", "2025-05-01"),
        ("Widerspruch", "ja"), ("Werbesperre", "ja"),
    ],
)  # fmt: skip
def test_a_no_of_any_list_counts(desk: Desk, header: str, cell: str) -> None:
    """The usual columns for a no are known in a list of no certain program."""
    report = desk.take(generic(header, cell), WORDED)
    assert (report.counts.suppressions_added, report.imported) == (1, 0)


def test_every_status_column_must_agree(desk: Desk) -> None:
    """Of two status columns the doubtful one decides."""
    content = f"{GENERIC},Status,Newsletter-Status\nvera@firma.example,{TIMES},active,Archived\n"
    assert desk.take(content, WORDED).counts.not_mailable == {"unknown_status": 1}


@pytest.mark.requirement(95)
def test_a_no_ends_both_halves_of_a_merged_person(desk: Desk) -> None:
    """Who said yes under two addresses and is one person has said no for both."""
    assert (
        desk.take(f"{GENERIC}\nvera@firma.example,{TIMES}\nv.muster@firma.example,{TIMES}\n", WORDED).counts.mailable
        == 2
    )
    with desk.workspace.store.write() as conn:
        merging.merge(conn, desk.workspace, 1, 2, reason="same_person", actor="operator:vera", at=desk.at)
    assert desk.take(generic("unsubscribed", "yes"), WORDED).counts.withdrawn == 2


@pytest.mark.requirement(95)
@pytest.mark.parametrize("header", ["Kundenstatus", "Abmeldelink geklickt", "Liefersperre", "Widerrufsgrund", "Aktiv"])
def test_an_unread_no_refuses_the_file(desk: Desk, header: str) -> None:
    """Where consent would be proven, a column that could take it back must be read or ignored by word."""
    with pytest.raises(ImportFileError, match="line 1: column 4") as caught:
        desk.take(generic(header, "x"), WORDED)
    assert caught.value.problem is FileProblem.UNREAD_NO
    assert set(desk.sizes().values()) == {0}


def test_a_map_may_ignore_a_status(desk: Desk) -> None:
    """Who says that a column means no such thing gets the file in."""
    assert desk.take(generic("Kundenstatus", "x"), IGNORING).counts.mailable == 1


def test_a_no_beside_the_mapped_one_counts(desk: Desk) -> None:
    """A map that names one column of noes does not hide another."""
    said = Map.model_validate({"columns": {"Raus": "opted_out"}, "consent": [{"text": "Ja, gern."}]})
    content = f"{GENERIC},Raus,Widerrufen am\nvera@firma.example,{TIMES},,2025-05-01\n"
    assert desk.take(content, said).counts.suppressions_added == 1


def test_a_consent_column_holds_no_status(desk: Desk) -> None:
    """A column that the map takes for yes or no may be called a status."""
    said = Map(consent=(Consent(text="Ja, gern.", column="Newsletter-Status"),))
    assert desk.take(generic("Newsletter-Status", "ja"), said).counts.mailable == 1
    assert desk.take(generic("Newsletter-Status", "nein").replace("vera", "udo"), said).counts.mailable == 0


def test_nothing_proven_needs_no_word(desk: Desk) -> None:
    """A list that proves no consent comes in whatever its columns are called."""
    assert desk.take("Email,Kundenstatus\nvera@firma.example,x\n", WORDED).imported == 1


NOES = f"{GENERIC},unsubscribed\n"
CLEAN = f"vera@firma.example,{TIMES},\n"


def dirty(cell: str) -> str:
    """Write a no with this address cell above a clean yes of Vera."""
    quoted = cell.replace('"', '""')
    return f'{NOES}"{quoted}",,,yes\n{CLEAN}'


@pytest.mark.requirement(95)
@pytest.mark.parametrize(
    "cell",
    [
        "<vera@firma.example>", "vera@firma.example;", "'vera@firma.example'", "mailto:vera@firma.example",
        "vera@firma.example.", "vera@firma.example\u200b", "\ufeffvera@firma.example", '"vera@firma.example"',
        "Vera Beispiel <VERA@firma.example>", "Vera <mailto:vera@firma.example?subject=Nein>", "(vera@firma.example)",
        "udo@firma.example, vera@firma.example", "„vera@firma.example“", "vera\uff20firma.example",
        '="vera@firma.example"',
    ],
)  # fmt: skip
def test_an_untidy_no_bars_its_address(desk: Desk, cell: str) -> None:
    """Marks around an address do not lose the no: the clean row of the same person is barred."""
    report = desk.take(dirty(cell), WORDED)
    assert (report.imported, report.counts.consents, report.counts.suppressed) == (0, 0, 2)


@pytest.mark.requirement(95)
@pytest.mark.parametrize(
    "cell", ["vera beispiel@firma.example", "vera(at)firma.example", "vera@@firma.example", "véra@firma.example"]
)
def test_an_unreadable_no_voids_the_proofs(desk: Desk, cell: str) -> None:
    """Where it cannot be told who said no, no row of the file proves a consent, and the report names the row."""
    report = desk.take(dirty(cell), WORDED)
    assert (report.counts.consents, report.counts.not_mailable) == (0, {"unreadable_no": 1})
    assert report.counts.refused == {"unreadable_no": 1}
    assert report.report is not None
    assert '"2";"unreadable_no"' in report.report.read_text("utf-8-sig")


def test_a_mended_no_gives_the_proofs_back(desk: Desk) -> None:
    """Once the row is mended the same list proves its consents."""
    desk.take(dirty("udo@@firma.example"), WORDED)
    report = desk.take(dirty("udo@firma.example"), WORDED)
    assert (report.counts.mailable, report.counts.suppressions_added, desk.leads()[0].stage) == (1, 1, "confirmed")


@pytest.mark.parametrize("cell", ["", "-", "n/a", "unbekannt"])
def test_a_no_of_nobody_changes_nothing(desk: Desk, cell: str) -> None:
    """An address cell that names nobody leaves the other rows as they are."""
    assert desk.take(dirty(cell), WORDED).counts.mailable == 1


def test_looking_finds_an_unreadable_no(desk: Desk) -> None:
    """The dry run says what the import would."""
    assert desk.look(dirty("vera@@firma.example"), WORDED).counts.not_mailable == {"unreadable_no": 1}
