"""Identity: sealed per person, found by keyed HMAC, erased for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import StatementError

from consent import gate, identity, ledger, opt_in, sealing, states, suppression, vault
from consent.addresses import Address
from consent.schema import identity as identities
from consent.schema import ledger_entry, opt_in_request, proof_vault
from tests.consent.people import NEWSLETTER, TRACKING, People

if TYPE_CHECKING:
    from pathlib import Path

    from consent.keys import Keyring
    from nurture.store.engine import Store

DAY = timedelta(days=1)
KIM, PAT = Address.of("Kim@firma.example"), Address.of("pat@firma.example")


def test_one_mailbox_is_one_subject(store: Store, keyring: Keyring, at: datetime) -> None:
    """Two spellings in one call are one subject; the first spelling gets the mail."""
    other = Address.of("kim@FIRMA.example")
    with store.write() as conn:
        found = identity.ensure_many(conn, keyring, [KIM, other, PAT], at=at)
        again = identity.ensure(conn, keyring, other, at=at)
        people = identity.reveal(conn, keyring, [*found.values(), "x" * 26])

    assert found[KIM] == found[other] == again != found[PAT]
    assert people[again].address == "Kim@firma.example"


def test_many_are_few_statements(store: Store, keyring: Keyring, at: datetime) -> None:
    """2,500 addresses are made, found and revealed in chunks."""
    many = [Address.of(f"p{number}@firma.example") for number in range(2500)]
    with store.write() as conn:
        found = identity.ensure_many(conn, keyring, many, at=at)
        assert found == identity.ensure_many(conn, keyring, many, at=at)
        assert len(identity.reveal(conn, keyring, found.values())) == 2500


def test_racing_sign_ups_share_a_subject(store: Store, keyring: Keyring, at: datetime) -> None:
    """Eight writers meet one new address: one row, all get it."""

    def ensure(_: int) -> str:
        with store.write() as conn:
            return identity.ensure(conn, keyring, KIM, at=at)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ensure, range(16)))) == 1


def test_details_merge(store: Store, keyring: Keyring, at: datetime) -> None:
    """New values replace, empty ones change nothing, the same ones write nothing."""
    with store.write() as conn:
        kim = identity.ensure(conn, keyring, KIM, at=at)
        identity.describe(conn, keyring, {kim: {"first_name": "Kim", "phone": "1"}})
        identity.describe(conn, keyring, {kim: {"first_name": "", "phone": "2", "company": "Firma"}})
        sealed = conn.execute(select(identities.c.sealed_person)).scalar_one()
        identity.describe(conn, keyring, {kim: {"phone": "2"}})
        person = identity.reveal(conn, keyring, [kim])[kim]
        assert conn.execute(select(identities.c.sealed_person)).scalar_one() == sealed

    assert person.details == {"first_name": "Kim", "phone": "2", "company": "Firma"}
    assert repr(person) == "Person(...)"


def test_sealed_values_do_not_move(store: Store, keyring: Keyring, at: datetime) -> None:
    """An address copied into another person's row does not open."""
    with store.write() as conn:
        found = identity.ensure_many(conn, keyring, [KIM, PAT], at=at)
        row = conn.execute(select(identities).where(identities.c.subject == found[KIM])).one()
        conn.execute(
            update(identities)
            .where(identities.c.subject == found[PAT])
            .values(wrapped_key=row.wrapped_key, sealed_address=row.sealed_address)
        )
        with pytest.raises(sealing.SealError):
            identity.reveal(conn, keyring, [found[PAT]])


def test_foreign_data_is_sealed_per_subject(store: Store, keyring: Keyring, at: datetime) -> None:
    """What other rooms seal for a person opens in its place, and not after erasure."""
    with store.write() as conn:
        kim = identity.ensure(conn, keyring, KIM, at=at)
        sealed = identity.seal_for(conn, keyring, kim, b"payload", aad=b"handover|1")
        assert identity.open_for(conn, keyring, kim, sealed, aad=b"handover|1") == b"payload"
        with pytest.raises(sealing.SealError):
            identity.open_for(conn, keyring, kim, sealed, aad=b"handover|2")
        identity.erase(conn, kim, at=at)
        with pytest.raises(identity.SubjectError):
            identity.open_for(conn, keyring, kim, sealed, aad=b"handover|1")
        with pytest.raises(identity.SubjectError):
            identity.describe(conn, keyring, {kim: {"first_name": "Kim"}})


def test_erasure_leaves_nothing_but_the_ledger(people: People) -> None:
    """T56, here: no key, no address, no evidence, no consent; the ledger still verifies."""
    subject = people.confirmed(purposes=[NEWSLETTER, TRACKING])

    with people.store.write() as conn:
        assert identity.erase(conn, subject, at=people.at)
        assert not identity.erase(conn, subject, at=people.at)
        row = conn.execute(select(identities)).one()
        vaulted = conn.execute(select(func.count()).select_from(proof_vault)).scalar_one()
        assert identity.find(conn, people.keyring, KIM) is None
        assert vault.evidence(conn, people.keyring, 0) is None
        assert gate.tracking(conn, [subject], controller="default") == set()
        assert ledger.verify(conn).ok

    assert (row.address_index, row.wrapped_key, row.sealed_address, row.sealed_person) == (None, None, None, None)
    assert vaulted == 0
    assert people.reason(subject) == "erased"


def test_erasure_tells_how_many_and_why(people: People) -> None:
    """One entry for each person, with the reason; consents end and open requests are void from that moment."""
    subjects = sorted([people.confirmed(), people.confirmed("pat@firma.example")])
    people.sign_up(purposes=[TRACKING], at=people.at + DAY)
    later = people.at + 2 * DAY
    with people.store.write() as conn:
        assert identity.erase_many(conn, [*subjects, "x" * 26], at=later, reason="retention") == 2
        erased = [(entry.subject, entry.body) for entry in ledger.read(conn, types=["subject.erased"])]
        standing = {(one.state, one.since) for subject in subjects for one in states.standings(conn, subject)}
        requests = conn.execute(select(opt_in_request.c.state, opt_in_request.c.settled_at)).all()
        gone = set(conn.execute(select(identities.c.erased_at)).scalars())

    assert erased == [(subject, {"reason": "retention"}) for subject in subjects]
    assert standing == {("erased", later)}
    assert sorted(requests) == [("confirmed", people.at), ("confirmed", people.at), ("void", later)]
    assert gone == {later}


def test_erasure_destroys_the_persons_own_open_links(people: People) -> None:
    """And nobody else's: another person's confirmation mail still has its link."""
    mine, other = people.sign_up(), people.sign_up("pat@firma.example")
    with people.store.write() as conn:
        identity.erase(conn, identity.find(conn, people.keyring, KIM) or "", at=people.at)
        held = dict(conn.execute(select(opt_in_request.c.id, opt_in_request.c.sealed_token)).tuples().all())

    assert held[mine.request_id or 0] is None
    assert people.link(other)


def test_only_whom_nothing_holds_is_free(people: People) -> None:
    """Held by a consent that once was, or by a request that is open or confirmed; not by one that ended."""
    left, asked, lapsed = people.confirmed(), "pat@firma.example", "lee@firma.example"
    people.leave(left)
    people.sign_up(lapsed, at=people.at - 30 * DAY)
    people.sign_up(asked)
    with people.store.write() as conn:
        bare = identity.ensure(conn, people.keyring, Address.of("new@firma.example"), at=people.at)
        of = {one: identity.find(conn, people.keyring, Address.of(one)) or "" for one in (asked, lapsed)}
        # As lapse leaves it, without erasing.
        old = opt_in_request.c.subject == of[lapsed]
        conn.execute(update(opt_in_request).where(old).values(state="lapsed"))
        everybody = [left, of[asked], of[lapsed], bare, "x" * 26]
        free = identity.erasable(conn, everybody)
        conn.execute(update(opt_in_request).where(old).values(state="confirmed"))
        fewer = identity.erasable(conn, everybody)

    assert sorted(free) == sorted([of[lapsed], bare])
    assert fewer == [bare]


def test_erased_address_may_stay_suppressed(people: People) -> None:
    """The HMAC alone keeps a re-import from reviving the address; a new subject is suppressed too."""
    subject = people.confirmed()
    index = people.keyring.address_index("kim@firma.example")
    with people.store.write() as conn:
        identity.erase(conn, subject, at=people.at, keep_suppression="erased")
        again = identity.ensure(conn, people.keyring, KIM, at=people.at)

    with people.store.read() as conn:
        assert suppression.suppressed(conn, [index]) == {index}
    assert again != subject
    assert people.reason(again) == "suppressed"


def test_erasure_voids_open_requests(people: People) -> None:
    """A link in an inbox cannot bring an erased person back."""
    token = people.link(people.sign_up())
    with people.store.write() as conn:
        subject = identity.find(conn, people.keyring, KIM) or ""
        identity.erase(conn, subject, at=people.at)

    assert people.press(token) == opt_in.Lapsed(1, opt_in.RequestState.VOID)
    assert people.leave(subject) == []


def test_erased_address_is_nowhere_in_the_file(people: People, tmp_path: Path) -> None:
    """I7, on SQLite: a byte search of file and WAL finds neither address nor name, before or after."""
    if people.store.dialect != "sqlite":
        pytest.skip("searches SQLite's files")
    subject = people.confirmed("kim.beispielname@firma.example")
    with people.store.write() as conn:
        identity.describe(conn, people.keyring, {subject: {"last_name": "Beispielname"}})
        identity.erase(conn, subject, at=people.at)
    with people.store.engine.connect() as conn:
        conn.execute(text("pragma wal_checkpoint(truncate)"))

    bytes_of = b"".join(path.read_bytes() for path in tmp_path.glob("nurture.db*"))
    assert b"eispielname" not in bytes_of
    assert b"192.0.2.1" not in bytes_of


def test_leaves_hold_no_personal_data(people: People) -> None:
    """No address, name, machine, or keyed index of them in any leaf."""
    people.leave(people.confirmed(purposes=[NEWSLETTER, TRACKING]))
    index = people.keyring.address_index("kim@firma.example").hex().encode()

    with people.store.read() as conn:
        leaves = b"".join(conn.execute(select(ledger_entry.c.leaf)).scalars())
    for secret in (b"kim", b"firma.example", b"192.0.2.1", index):
        assert secret not in leaves


def test_evidence_of_another_entry_is_noticed(people: People) -> None:
    """A vault row that does not match its leaf raises instead of proving something."""
    people.confirmed()
    with people.store.write() as conn:
        kept = vault.commit({"ip": "forged"})
        seq = ledger.append(conn, [ledger.Entry("subject.erased", {"reason": "x"}, people.at)])[0]
        subject = identity.find(conn, people.keyring, KIM) or ""
        vault.keep(conn, people.keyring, [(seq, subject, kept)])
        with pytest.raises(vault.EvidenceError):
            vault.evidence(conn, people.keyring, seq)
    assert "forged" not in repr(kept)


def test_times_without_zone_do_not_reach_the_database(store: Store, keyring: Keyring) -> None:
    """A naive time is a mistake of the caller, not a local time to guess."""
    naive = datetime(2026, 11, 23)  # noqa: DTZ001  the mistake under test
    with store.write() as conn, pytest.raises(StatementError, match="without a zone"):
        identity.ensure(conn, keyring, KIM, at=naive)


def test_commitments_never_repeat() -> None:
    """Equal evidence gives unequal commitments: nobody can test a guess against the ledger."""
    assert vault.commit({"ip": "192.0.2.1"}).digest != vault.commit({"ip": "192.0.2.1"}).digest
