"""Does everything go when its time is over, and nothing a moment earlier?"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, insert, select, update

from consent import identity, ledger, rights, withdrawal
from consent.addresses import Address
from consent.schema import consent_state, opt_in_request, proof_vault, rights_request, suppression
from consent.schema import identity as identity_table
from nurture.leads.register import NewLead, register
from nurture.leads.rights import dates, erasing, merging, policy, requests, retention
from nurture.leads.stages import Stage, move
from nurture.settings import PROJECT
from nurture.store.definitions import DefinitionError
from nurture.store.tables import event, flow_summary, handover, lead, raw_event
from tests.nurture.leads.rights.life import ADDRESS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.nurture.leads.rights.life import Life

BERLIN = ZoneInfo("Europe/Berlin")
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("received", "due"),
    [
        (datetime(2026, 11, 23, 8, 0, tzinfo=UTC), datetime(2026, 12, 24, 0, 0, tzinfo=BERLIN)),
        (datetime(2027, 1, 31, 12, 0, tzinfo=UTC), datetime(2027, 3, 1, 0, 0, tzinfo=BERLIN)),
        (datetime(2028, 1, 30, 12, 0, tzinfo=UTC), datetime(2028, 3, 1, 0, 0, tzinfo=BERLIN)),
        # 23:30 UTC is the next day in Berlin.
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), datetime(2027, 2, 2, 0, 0, tzinfo=BERLIN)),
        (datetime(2026, 3, 28, 12, 0, tzinfo=UTC), datetime(2026, 4, 29, 0, 0, tzinfo=BERLIN)),
    ],
)
def test_month_of_an_answer_ends_with_the_day_of_that_number(received: datetime, due: datetime) -> None:
    """In the legal zone; with the last day where the next month is shorter."""
    assert dates.month_later(received, BERLIN) == due


@pytest.mark.parametrize(
    ("ended", "until"),
    [
        (datetime(2026, 1, 1, 12, 0, tzinfo=UTC), datetime(2030, 1, 1, 0, 0, tzinfo=BERLIN)),
        (datetime(2026, 12, 31, 22, 59, tzinfo=UTC), datetime(2030, 1, 1, 0, 0, tzinfo=BERLIN)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), datetime(2031, 1, 1, 0, 0, tzinfo=BERLIN)),
    ],
)
def test_third_calendar_year_is_counted_in_the_legal_zone(ended: datetime, until: datetime) -> None:
    """The hour around New Year decides about a whole year (R25)."""
    assert dates.end_of_calendar_year(ended, 3, BERLIN) == until
    assert dates.over_since(until, 3, BERLIN) > ended
    assert dates.over_since(until - MOMENT, 3, BERLIN) <= ended


def test_months_before_keep_to_the_calendar() -> None:
    """A year is a year, and the 31st the last of a shorter month."""
    assert dates.months_before(datetime(2027, 3, 31, 8, 0, tzinfo=UTC), 1, BERLIN) == datetime(
        2027, 2, 28, 9, 0, tzinfo=UTC
    )


def leave(life: Life, lead_id: int, at: datetime) -> None:
    """Withdraw everything."""
    with life.ws.store.write() as conn:
        withdrawal.withdraw(
            conn, subject=life.subject(lead_id), controller="default", purposes=None, route="page", actor="subject",
            at=at,
        )  # fmt: skip


def stranger(life: Life, address: str, *, came: datetime) -> int:
    """Take somebody from a list without any proof."""
    with life.ws.store.write() as conn:
        subject = identity.ensure(conn, life.ws.keyring, Address.of(address), at=came)
        new = NewLead(subject, "de", "import", stage=Stage.UNCONFIRMED)
        return register(conn, [new], at=came, keyring=life.ws.keyring)[subject]


def alive(life: Life) -> int:
    """Count who is not erased."""
    query = select(func.count()).select_from(identity_table)
    return int(life.rows(query.where(identity_table.c.erased_at.is_(None)))[0][0])


def test_proof_is_destroyed_when_claims_have_lapsed(life: Life) -> None:
    """Not a moment earlier; the ledger verifies on; sales' customers keep their record otherwise."""
    lead_id = life.joins()
    leave(life, lead_id, life.at)
    with life.ws.store.write() as conn:
        move(conn, {lead_id: "customer"}, cause="import", at=life.at)
    until = datetime(2030, 1, 1, tzinfo=BERLIN)

    assert retention.overview(life.ws, at=until - MOMENT)["proof_after_withdrawal"] == 0
    assert retention.run(life.ws, at=until - MOMENT)["proof_after_withdrawal"] == 0
    assert retention.overview(life.ws, at=until)["proof_after_withdrawal"] == 1
    assert retention.run(life.ws, at=until)["proof_after_withdrawal"] == 1
    assert life.rows(select(func.count()).select_from(proof_vault)) == [(0,)]
    with life.ws.store.read() as conn:
        assert ledger.verify(conn).ok


def test_proof_of_a_living_consent_is_never_destroyed(life: Life) -> None:
    """However old; and one living consent keeps the proof of the ended ones."""
    life.joins()
    both = life.joins("tom@zweite.example")
    with life.ws.store.write() as conn:
        withdrawal.withdraw(
            conn, subject=life.subject(both), controller="default", purposes=["email.tracking"], route="page",
            actor="subject", at=life.at,
        )  # fmt: skip

    assert retention.run(life.ws, at=life.at + timedelta(days=5000))["proof_after_withdrawal"] == 0


def test_strangers_are_forgotten_after_a_year(life: Life) -> None:
    """To the minute, in months; who agreed, is at sales, or did something stays."""
    old = life.at - timedelta(days=400)
    gone, busy, sold = (stranger(life, f"{name}@liste.example", came=old) for name in ("gone", "busy", "sold"))
    life.joins()
    with life.ws.store.write() as conn:
        move(conn, {sold: "sal"}, cause="sales:accepted", at=old)
        conn.execute(
            insert(event).values(key="1:x", kind="demo_requested", lead_id=busy, at=life.at - timedelta(days=3),
                                 received_at=life.at, verdict="human", verdict_reason="form", attributes={})
        )  # fmt: skip
    end = datetime(2026, 10, 19, 8, 0, tzinfo=UTC)

    assert retention.overview(life.ws, at=end - MOMENT)["leads_without_consent"] == 0
    assert retention.overview(life.ws, at=end)["leads_without_consent"] == 1
    assert retention.run(life.ws, at=life.at)["leads_without_consent"] == 1
    assert alive(life) == 3
    erased = life.rows(select(identity_table.c.subject).where(identity_table.c.erased_at.is_not(None)))
    assert erased == [(life.subject(gone),)]
    assert life.entries("consent.withdrawn") == []


def test_who_withdrew_is_forgotten_but_for_the_proof(life: Life) -> None:
    """After a year only the proof is held, until the end of its years; then that goes."""
    leave(life, life.joins(), life.at)
    done = retention.run(life.ws, at=life.at + timedelta(days=400))
    [request] = life.requests()

    assert done["leads_without_consent"] == 1
    assert (request.step, request.hold_until) == ("held", datetime(2030, 1, 1, tzinfo=BERLIN).astimezone(UTC))
    assert life.rows(select(func.count()).select_from(proof_vault)) == [(2,)]
    assert retention.run(life.ws, at=request.hold_until)["holds_over"] == 1
    assert (alive(life), life.rows(select(func.count()).select_from(proof_vault))) == (0, [(0,)])


def test_merged_people_are_forgotten_together(life: Life) -> None:
    """Not while one of the halves may be written to."""
    old = life.at - timedelta(days=400)
    stays, goes = stranger(life, "a@liste.example", came=old), life.joins()
    with life.ws.store.write() as conn:
        conn.execute(update(lead).where(lead.c.id == goes).values(merged_into=stays))

    assert retention.run(life.ws, at=life.at)["leads_without_consent"] == 0


def test_the_no_of_a_merged_lead_outlives_both(life: Life) -> None:
    """One half left and was merged into a stranger: the proof is held, and both addresses stay barred."""
    goes, stays = life.joins(), stranger(life, "b@liste.example", came=life.at)
    leave(life, goes, life.at)
    with life.ws.store.write() as conn:
        merging.merge(conn, life.ws, goes, stays, reason="same_person", actor="operator:vera", at=life.at)
    done = retention.run(life.ws, at=life.at + timedelta(days=400))
    [request] = [one for one in life.requests() if one.kind == "erase"]
    indexes = {life.ws.keyring.address_index(Address.of(one).identity) for one in (ADDRESS, "b@liste.example")}

    assert done["leads_without_consent"] == 1
    assert (request.step, request.hold_until) == ("held", datetime(2030, 1, 1, tzinfo=BERLIN).astimezone(UTC))
    assert life.rows(select(func.count()).select_from(proof_vault)) == [(2,)]
    assert {row.address_index for row in life.rows(select(suppression))} == indexes
    assert retention.run(life.ws, at=request.hold_until)["holds_over"] == 1
    assert alive(life) == 0


def test_a_proof_that_a_rotation_kept_is_held_until_claims_have_lapsed(life: Life) -> None:
    """Of two who held one address, one of whom only the proof is left, when the time of the other is over."""
    goes, stays = life.subject(life.joins()), life.subject(stranger(life, "kim@firma.example", came=life.at))
    with life.ws.store.write() as conn:
        rights.hold(conn, goes, actor="rotation", keep_suppression=None, at=life.at)
        conn.execute(update(identity_table).where(identity_table.c.subject == goes).values(same_as=stays))
        erasing.begin(conn, life.ws, stays, reason="retention", at=life.at)
    [request] = life.requests()
    assert request.hold_until == datetime(2030, 1, 1, tzinfo=BERLIN).astimezone(UTC)


def age(path: Path, at: datetime) -> None:
    """Write a file that was last changed at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (at.timestamp(), at.timestamp()))


@pytest.mark.parametrize(
    ("kind", "name", "days"),
    [
        ("import_reports", "reports/import-abc.csv", 90),
        ("personal_exports", "exports/lead-1-20261123-080000.json", 30),
        ("personal_exports", "exports/lead-1-20261123-080000.pdf", 30),
        ("outbox_mails", "outbox/abc.eml", 365),
        ("outbox_mails", "outbox/tmp/abc.1a2b", 365),
    ],
)
def test_files_go_with_their_age(life: Life, kind: str, name: str, days: int) -> None:
    """Exactly so old is too old; younger ones and other files stay."""
    path, other = life.ws.home / name, (life.ws.home / name).with_name("audit.txt2")
    age(path, life.at)
    age(other, life.at) if "tmp" not in name else None
    end = life.at + timedelta(days=days)

    assert retention.run(life.ws, at=end - timedelta(seconds=1))[kind] == 0
    assert retention.overview(life.ws, at=end)[kind] == 1
    assert retention.run(life.ws, at=end)[kind] == 1
    assert not path.exists()
    assert other.exists() or "tmp" in name


def test_rows_go_with_their_age(life: Life) -> None:
    """Bodies, hashes, summaries and requests, each after its own span; events stay."""
    lead_id = life.lives()
    life.hears("sendgrid", b"poison")
    with life.ws.store.write() as conn:
        conn.execute(update(opt_in_request).values(network_index=b"n" * 32))
        conn.execute(insert(flow_summary).values(flow="x", started_at=life.at, counts={}))
        requests.answered(
            conn, life.subject(lead_id), requests.Kind.ACCESS, route="page", actor="subject", zone=BERLIN, at=life.at
        )
    events = life.rows(select(func.count()).select_from(event))
    first = retention.run(life.ws, at=life.at + timedelta(days=31))
    second = retention.run(life.ws, at=life.at + timedelta(days=91))
    third = retention.run(life.ws, at=datetime(2031, 1, 1, tzinfo=BERLIN))

    assert (first["quarantined_bodies"], first["abuse_indexes"], first["applied_bodies"]) == (1, 1, 0)
    assert second["applied_bodies"] == 2
    assert (third["run_summaries"], third["rights_requests"]) == (1, 1)
    assert life.rows(select(func.count()).select_from(event)) == events
    assert life.rows(select(raw_event.c.state, raw_event.c.sealed_body)) == [("quarantined", None)]
    assert life.rows(select(func.count()).select_from(rights_request)) == [(0,)]


def test_payload_goes_when_sales_has_answered(life: Life) -> None:
    """The sealed copy and the file; while sales works on it both stay."""
    life.lives()
    late = life.at + timedelta(days=200)
    assert retention.run(life.ws, at=late)["handover_payloads"] == 0
    with life.ws.store.write() as conn:
        conn.execute(update(handover).values(state="accepted", settled_at=life.at))

    assert retention.overview(life.ws, at=late)["handover_payloads"] == 1
    assert retention.run(life.ws, at=late)["handover_payloads"] == 1
    assert life.rows(select(handover.c.sealed_payload)) == [(None,)]
    assert list((life.ws.home / "handovers").glob("*.created.json")) == []
    assert retention.run(life.ws, at=late)["handover_payloads"] == 0


def test_overview_changes_nothing_and_agrees_with_the_run(life: Life) -> None:
    """What is told is what goes."""
    leave(life, life.lives(), life.at)
    stranger(life, "a@liste.example", came=life.at)
    at = life.at + timedelta(days=800)
    told = retention.overview(life.ws, at=at)
    assert retention.overview(life.ws, at=at) == told
    done = retention.run(life.ws, at=at)

    assert {name: count for name, count in told.items() if count} == {
        name: count for name, count in done.items() if count
    }


def test_consent_is_untouched_by_retention(life: Life) -> None:
    """Who agreed stays, with everything that mails and scores need."""
    life.lives()
    before = life.rows(select(consent_state.c.state, consent_state.c.seq))
    retention.run(life.ws, at=life.at + timedelta(days=364))

    assert life.rows(select(consent_state.c.state, consent_state.c.seq)) == before
    assert alive(life) == 1


def test_policy_names_its_mistakes(tmp_path: Path) -> None:
    """File, line and what is wrong; the caps need their thirty days."""
    text = (PROJECT / "policies" / "retention.yaml").read_text("utf-8")
    (tmp_path / "retention.yaml").write_text(text.replace("abuse_indexes: 30d", "abuse_indexes: 29d"), "utf-8")

    with pytest.raises(DefinitionError, match=r"retention.yaml:\d+: abuse_indexes: must be at least 30d"):
        policy.load(tmp_path)
