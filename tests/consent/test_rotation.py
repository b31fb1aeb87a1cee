"""Keys get successors; nothing is lost, wherever the machine stops (requirement of security 4.4)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import typer
from sqlalchemy import delete, event, insert, select
from typer.testing import CliRunner

from consent import (
    gate,
    identity,
    imported,
    ledger,
    lookup,
    opt_in,
    rights,
    rotation,
    sealing,
    suppression,
    tokens,
    vault,
    withdrawal,
)
from consent.addresses import Address
from consent.keys import Keyring, KeyringError
from consent.schema import identity as identities
from consent.schema import suppression as barred
from nurture.audit.book import keep_reason
from nurture.cli import consent
from nurture.cli.launcher.lock import only_one
from nurture.leads.rights import ending, group
from nurture.store.tables import raw_event, setting
from nurture.tracking.intake import store_raw
from tests.consent.people import NEWSLETTER, People

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection
    from typer.testing import Result

    from nurture.store.engine import Store
    from nurture.store.workspace import Workspace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The key file of `keyring`."""
    return tmp_path / "keys.json"


def run_on(people: People, path: Path, key: rotation.Key) -> People:
    """Rotate a key to the end; give the people under the new keyring."""
    keyring = rotation.begin(path, key)
    finish(people.store, keyring, people.at)
    return People(people.store, keyring, people.at)


def finish(store: Store, keyring: Keyring, at: datetime) -> None:
    """Announce and rewrite until nothing is left."""
    with store.write() as conn:
        rotation.announce(conn, keyring, at=at)
    done = 1
    while done:
        with store.write() as conn:
            done = rotation.step(conn, keyring, at=at)


def names(people: People) -> set[str]:
    """Every address that opens."""
    with people.store.read() as conn:
        subjects = conn.execute(select(identities.c.subject)).scalars().all()
        return {person.address for person in identity.reveal(conn, people.keyring, subjects).values()}


def found(people: People, address: str) -> str | None:
    with people.store.read() as conn:
        return identity.find(conn, people.keyring, Address.of(address))


def fill(people: People) -> dict[str, str]:
    """Five people: with consent, withdrawn, suppressed, with an open request, erased but suppressed."""
    made = {name: people.confirmed(f"{name}@firma.example") for name in ("given", "left", "barred", "gone")}
    people.leave(made["left"])
    people.sign_up("open@firma.example")
    with people.store.write() as conn:
        suppression.suppress_subject(conn, made["barred"], "complaint", at=people.at)
        identity.erase(conn, made["gone"], at=people.at, keep_suppression="blocked")
    return made


def test_everything_opens_under_both_while_and_after_the_rotation(people: People, path: Path) -> None:
    """Master: what the former key wrapped opens before, between and after; new people are wrapped by the newest."""
    fill(people)
    before = names(people)
    halfway = People(people.store, rotation.begin(path, rotation.Key.MASTER), people.at)

    assert names(halfway) == before
    late = halfway.confirmed("late@firma.example")
    finish(halfway.store, halfway.keyring, people.at)
    assert names(halfway) == before | {"late@firma.example"}
    with people.store.read() as conn:
        assert rotation.behind(conn, halfway.keyring) == rotation.Behind(0, 0, 0)
        kept = vault.evidence(conn, halfway.keyring, 0)
        [body] = [entry.body for entry in ledger.read(conn, types=["key.rotated"])]
        assert ledger.verify(conn).ok
    assert kept is not None
    assert body == {"key": "master", "version": 2}
    assert halfway.reason(late) is None


def test_a_process_with_the_former_keys_is_told_to_restart(people: People, path: Path) -> None:
    """It reads nothing wrong and loses nothing; the message says what to do."""
    fill(people)
    run_on(people, path, rotation.Key.MASTER)

    with pytest.raises(sealing.SealError, match="Start this process anew"):
        names(people)


def test_a_process_with_the_former_keys_loses_no_withdrawal(people: People, path: Path) -> None:
    """It would find nobody and end nothing: so it says so, and whoever hears the no keeps it for a fresh process."""
    made = fill(people)
    address = Address.of("given@firma.example")
    after = run_on(people, path, rotation.Key.INDEX)

    def leave(keyring: Keyring) -> list[int]:
        with people.store.write() as conn:
            return withdrawal.withdraw_address(
                conn, keyring, address, controller="default", purposes=None, route="mailto", actor="mail:sender",
                at=people.at,
            )  # fmt: skip

    with pytest.raises(KeyringError, match="Start this process anew"):
        leave(people.keyring)
    assert leave(after.keyring)
    assert after.reason(made["given"]) == "withdrawn"


def test_a_no_from_an_address_barred_before_the_rotation_stays_one_row(people: People, path: Path) -> None:
    """It is found under the former key and moved, not listed twice."""
    address = Address.of("nobody@firma.example")
    with people.store.write() as conn:
        suppression.add(conn, {people.keyring.address_index(address.identity): "import"}, at=people.at)
    after = run_on(people, path, rotation.Key.INDEX)
    with people.store.write() as conn:
        withdrawal.withdraw_address(conn, after.keyring, address, controller="*", purposes=None, route="mailto",
                                    actor="mail:sender", at=people.at)  # fmt: skip
        rows = conn.execute(select(barred.c.address_index, barred.c.index_key)).all()

    assert [tuple(row) for row in rows] == [(after.keyring.address_index(address.identity), 2)]


def test_whoever_was_barred_before_the_rotation_gets_no_mail_after_it(people: People, path: Path) -> None:
    """An address of nobody we know stays listed under the former key; a sign-up finds it there."""
    with people.store.write() as conn:
        suppression.add(conn, {people.keyring.address_index("kim@firma.example"): "blocked"}, at=people.at)
    after = run_on(people, path, rotation.Key.INDEX)

    assert not after.sign_up().queued


def test_whoever_comes_after_a_rotation_is_wrapped_by_the_new_key(people: People, path: Path) -> None:
    """And says so in their row: a fresh process opens them."""
    after = run_on(people, path, rotation.Key.MASTER)
    subject = after.confirmed()
    with people.store.read() as conn:
        person = identity.reveal(conn, Keyring.load_or_create(path), [subject])[subject]
        version = conn.execute(select(identities.c.wrap_key)).scalar_one()

    assert (person.address, version) == ("kim@firma.example", 2)


@pytest.mark.parametrize("door", ["find", "ensure"])
def test_a_process_with_the_former_keys_makes_nobody_anew(people: People, path: Path, door: str) -> None:
    """From the first step of a rotation on: who said no would be a stranger to it."""
    fill(people)
    successor = rotation.begin(path, rotation.Key.INDEX)
    address = Address.of("left@firma.example")
    with people.store.write() as conn:
        rotation.step(conn, successor, at=people.at)

    def ask(conn: Connection) -> object:
        if door == "find":
            return identity.find(conn, people.keyring, address)
        return identity.ensure(conn, people.keyring, address, at=people.at)

    with people.store.write() as conn, pytest.raises(KeyringError, match="Start this process anew"):
        ask(conn)


def test_people_and_suppressions_are_found_after_an_index_rotation(people: People, path: Path) -> None:
    """The same subjects by the same addresses; who was barred stays barred, also whom nobody knows any more."""
    made = fill(people)
    after = run_on(people, path, rotation.Key.INDEX)

    assert found(after, "Given@FIRMA.example") == made["given"]
    assert after.reason(made["given"]) is None
    assert after.reason(made["left"]) == "withdrawn"
    assert after.reason(made["barred"]) == "suppressed"
    with people.store.read() as conn:
        # The erased one: without the address nobody can compute the new key.
        assert rotation.behind(conn, after.keyring) == rotation.Behind(0, 0, 1)
    assert not after.sign_up("gone@firma.example", at=people.at.replace(month=12)).queued
    with people.store.read() as conn:
        assert rotation.behind(conn, after.keyring).suppressed == 0


def test_an_import_revives_nobody_after_an_index_rotation(people: People, path: Path) -> None:
    """A suppressed address nobody knows is recognised when it comes again, and the gate refuses."""
    fill(people)
    after = run_on(people, path, rotation.Key.INDEX)
    with after.store.write() as conn:
        subject = identity.ensure(conn, after.keyring, Address.of("GONE@firma.example"), at=people.at)
        [answer] = gate.authorise(conn, [gate.Ask(subject, NEWSLETTER, "default", tokens.random_id())], at=people.at)

    assert isinstance(answer, gate.Refusal)
    assert answer.reason == "suppressed"


def test_the_graver_reason_holds_under_either_key(people: People, path: Path) -> None:
    """Barred under the former key for a complaint, under the new one for less: the complaint holds."""
    kim, alex = Address.of("kim@firma.example"), Address.of("alex@firma.example")
    successor = rotation.begin(path, rotation.Key.INDEX)
    later = people.at + timedelta(days=1)
    with people.store.write() as conn:
        for address, before, after in ((kim, "complaint", "unsubscribed"), (alex, "unsubscribed", "complaint")):
            suppression.add(conn, {people.keyring.address_index(address.identity): before}, at=people.at)
            suppression.add(conn, {successor.address_index(address.identity): after}, at=later, index_key=2)
        lookup.adopt(conn, successor, [kim, alex])
        rows = conn.execute(select(barred)).all()

    assert {(row.reason, row.index_key) for row in rows} == {("complaint", 2)}
    assert {row.address_index for row in rows} == {successor.address_index(one.identity) for one in (kim, alex)}


def test_a_bar_that_stands_under_the_newest_key_alone_stays_as_it_is(people: People) -> None:
    """Nothing is rewritten where nobody and nothing is left under the former key."""
    old, new = b"o" * 32, b"n" * 32
    bar = {"address_index": new, "controller": "*", "index_key": 7, "reason": "complaint", "since": people.at}
    with people.store.write() as conn:
        conn.execute(insert(barred).values(**bar))
        lookup.move_suppressions(conn, {old: new}, 8)
        kept = conn.execute(select(barred).where(barred.c.address_index == new)).mappings().one()
    assert dict(kept) == bar


def left_twice(people: People, path: Path) -> tuple[Keyring, str, str]:
    """One address under two versions of the look-up key, as a process with the former one may leave it behind."""
    keyring = rotation.begin(path, rotation.Key.INDEX)
    newer = People(people.store, keyring, people.at).confirmed()
    # Written while this process still held the former key: its look at the newest came before.
    index = people.keyring.address_index("kim@firma.example")
    with people.store.write() as conn:
        made = identity.add_many(conn, people.keyring, {index: (Address.of("kim@firma.example"), {})}, at=people.at)
        older = made[index]
        given = imported.ImportedConsent(older, NEWSLETTER, "default", "Ja.", people.at, {})
        imported.record(conn, keyring, [given], at=people.at)
    return keyring, newer, older


def test_of_two_who_hold_an_address_the_newest_look_up_key_names_the_first(people: People, path: Path) -> None:
    """As everybody who writes meets it, until the rotation ends that there are two."""
    keyring, newer, older = left_twice(people, path)
    address = Address.of("kim@firma.example")
    with people.store.write() as conn:
        assert identity.holders(conn, keyring, address) == [newer, older]
        assert identity.find(conn, keyring, address) == newer
        assert identity.ensure(conn, keyring, address, at=people.at) == newer


def test_a_rotation_makes_one_of_two_who_hold_an_address(people: People, path: Path) -> None:
    """One holds it from then on; to the other nothing is sent, whatever was given to it."""
    keyring, newer, older = left_twice(people, path)
    finish(people.store, keyring, people.at)
    with people.store.write() as conn:
        assert identity.holders(conn, keyring, Address.of("kim@firma.example")) == [newer]
    assert (people.reason(newer), people.reason(older)) == (None, "restricted")


def test_two_who_held_an_address_are_one_person_in_the_ledger(people: People, path: Path) -> None:
    """The chain says who was joined to whom, why, and that of the one only the proof is kept."""
    keyring, newer, older = left_twice(people, path)
    finish(people.store, keyring, people.at)
    with people.store.read() as conn:
        [merged] = ledger.read(conn, types=["subject.merged"])
        [kept] = ledger.read(conn, types=["subject.restricted"])
        assert ledger.verify(conn).ok
    assert (merged.subject, merged.body) == (older, {"into": newer, "reason": "address_twice", "actor": "rotation"})
    assert (kept.subject, kept.body) == (older, {"reason": "hold", "actor": "rotation"})


def test_nobody_keeps_the_former_look_up_key_from_being_destroyed(people: People, path: Path) -> None:
    """Once the rotation is through, also where an address was held twice."""
    keyring, _, _ = left_twice(people, path)
    finish(people.store, keyring, people.at)
    with people.store.read() as conn:
        assert rotation.behind(conn, keyring) == rotation.Behind(0, 0, 0)


@pytest.mark.parametrize("which", [0, 1])
def test_who_left_under_either_identity_has_left_after_the_rotation(people: People, path: Path, which: int) -> None:
    """A no that came by the link of one, before anybody knew that there are two."""
    keyring, *two = left_twice(people, path)
    people.leave(two[which])
    finish(people.store, keyring, people.at)
    assert [people.reason(one) for one in two] == ["withdrawn", "restricted"]


@pytest.mark.parametrize("which", [0, 1])
def test_who_complained_under_either_identity_stays_barred_after_the_rotation(
    people: People, path: Path, which: int
) -> None:
    """The suppression moves to the look-up key of the one that stays, and is said once."""
    keyring, *two = left_twice(people, path)
    with people.store.write() as conn:
        suppression.suppress_subject(conn, two[which], "complaint", at=people.at)
    finish(people.store, keyring, people.at)
    with people.store.read() as conn:
        rows = conn.execute(select(barred.c.address_index, barred.c.index_key, barred.c.reason)).all()
        said = list(ledger.read(conn, types=["suppression.added"]))
    assert [tuple(row) for row in rows] == [(keyring.address_index("kim@firma.example"), 2, "complaint")]
    assert (people.reason(two[0]), len(said)) == ("suppressed", 1)


@pytest.mark.parametrize("which", [0, 1])
def test_a_complaint_bars_the_mailbox_whoever_the_mail_went_to(people: People, path: Path, which: int) -> None:
    """Also about a mail that went to the identity that is no more."""
    keyring, *two = left_twice(people, path)
    finish(people.store, keyring, people.at)
    with people.store.write() as conn:
        assert suppression.suppress_subject(conn, two[which], "complaint", at=people.at)
    assert people.reason(two[0]) == "suppressed"


@pytest.mark.parametrize("which", [0, 1])
def test_an_address_met_before_the_rotation_reaches_it_is_barred_under_both_keys(
    people: People, path: Path, which: int
) -> None:
    """Where two still hold the address, a bar is copied from one look-up key to the other, never moved off one."""
    keyring, *two = left_twice(people, path)
    with people.store.write() as conn:
        suppression.suppress_subject(conn, two[which], "complaint", at=people.at)
        lookup.adopt(conn, keyring, [Address.of("kim@firma.example")])
    assert [people.reason(one) for one in two] == ["suppressed", "suppressed"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_one_click_no_ends_it_for_the_mailbox(people: People, path: Path, which: int) -> None:
    """The link may stand in a mail to the identity that is no more."""
    keyring, *two = left_twice(people, path)
    finish(people.store, keyring, people.at)
    with people.store.write() as conn:
        ending.withdraw(
            conn, subject=two[which], controller="default", purposes=None, route="one_click", actor="subject",
            at=people.at,
        )  # fmt: skip
    assert people.reason(two[0]) == "withdrawn"


@pytest.mark.parametrize("which", [0, 1])
def test_who_asks_for_one_identity_means_both(people: People, path: Path, which: int) -> None:
    """Erasure, restriction and the record of a person work on the group."""
    keyring, *two = left_twice(people, path)
    finish(people.store, keyring, people.at)
    with people.store.read() as conn:
        assert set(group.group_of(conn, two[which]).subjects) == set(two)


def test_a_restriction_of_both_is_ended_for_the_one_that_stays(people: People, path: Path) -> None:
    """Of the other only the proof is kept: nothing comes back to it, and it stands in nobody's way."""
    keyring, newer, older = left_twice(people, path)
    with people.store.write() as conn:
        rights.restrict(conn, older, reason="request", actor="operator", at=people.at)
    finish(people.store, keyring, people.at)
    assert people.reason(newer) == "restricted"
    with people.store.write() as conn:
        ended = [rights.unrestrict(conn, one, reason="request", actor="operator", at=people.at)
                 for one in (older, newer)]  # fmt: skip
    assert (ended[0], people.reason(older), people.reason(newer)) == (None, "restricted", None)


def test_what_was_known_of_either_is_known_of_the_one_that_stays(people: People, path: Path) -> None:
    """Where both say something, that of the one that stays holds."""
    keyring, newer, older = left_twice(people, path)
    with people.store.write() as conn:
        said = {older: {"first_name": "Kim", "phone": "1"}, newer: {"phone": "2"}}
        identity.describe(conn, keyring, said)
    finish(people.store, keyring, people.at)
    with people.store.read() as conn:
        known = identity.reveal(conn, keyring, [newer, older])
    assert [known[one].details for one in (newer, older)] == [{"first_name": "Kim", "phone": "2"}, {}]


def test_two_under_two_former_look_up_keys_become_one_under_the_newest(people: People, path: Path) -> None:
    """Where a second rotation began before the first had ended that there are two."""
    _, *two = left_twice(people, path)
    keyring = rotation.begin(path, rotation.Key.INDEX)
    finish(people.store, keyring, people.at)
    with people.store.read() as conn:
        [stays] = identity.holders(conn, keyring, Address.of("kim@firma.example"))
        assert rotation.behind(conn, keyring).index == 0
        assert identity.mailbox(conn, [stays]) == set(two)


def test_three_who_held_one_address_one_after_the_other_are_one(people: People, path: Path) -> None:
    """Whoever points to one that goes points to the one that stays from then on."""
    keyring, newer, older = left_twice(people, path)
    finish(people.store, keyring, people.at)
    third = rotation.begin(path, rotation.Key.INDEX)
    index = third.address_index("kim@firma.example")
    with people.store.write() as conn:
        made = identity.add_many(conn, third, {index: (Address.of("kim@firma.example"), {})}, at=people.at)
    finish(people.store, third, people.at)
    with people.store.read() as conn:
        assert [identity.mailbox(conn, [one]) for one in (older, newer)] == [{older, newer, made[index]}] * 2


@pytest.mark.parametrize("door", [withdrawal.withdraw_address, ending.withdraw_address])
def test_a_no_by_address_ends_it_for_both_who_hold_it(people: People, path: Path, door: Any) -> None:
    """The mailbox is one: whoever asks for no mail there gets none under the other identity either."""
    keyring, newer, older = left_twice(people, path)
    assert (people.reason(newer), people.reason(older)) == (None, None)
    with people.store.write() as conn:
        ended = door(
            conn, keyring, Address.of("kim@firma.example"), controller="default", purposes=None, route="api",
            actor="subject", at=people.at,
        )  # fmt: skip

    assert len(ended) == 2
    assert (people.reason(newer), people.reason(older)) == ("withdrawn", "withdrawn")


def test_nobody_is_made_twice_halfway_through(people: People, path: Path) -> None:
    """Before the pass has reached them, people met again are the same people."""
    made = fill(people)
    halfway = People(people.store, rotation.begin(path, rotation.Key.INDEX), people.at)

    assert found(halfway, "given@firma.example") == made["given"]
    with halfway.store.write() as conn:
        again = identity.ensure(conn, halfway.keyring, Address.of("given@firma.example"), at=people.at)
    assert again == made["given"]
    assert halfway.sign_up("barred@firma.example").request_id is None


def test_caps_outlast_a_rotation(people: People, path: Path) -> None:
    """What was counted under the former key still counts."""
    people.sign_up("open@firma.example")
    after = run_on(people, path, rotation.Key.INDEX)

    assert not after.sign_up("o.pen+x@firma.example").queued


def test_links_in_mails_that_are_out_stay_good(people: People, path: Path) -> None:
    """Old tokens verify, new ones are made under the newest key, and a stranger's never; confirm links, too."""
    old = tokens.issue(people.keyring, "unsubscribe", "a" * 26)
    confirm = people.link(people.sign_up())
    after = run_on(people, path, rotation.Key.LINK)
    new = tokens.issue(after.keyring, "unsubscribe", "a" * 26)

    assert old != new
    assert [tokens.read(after.keyring, "unsubscribe", one) for one in (old, new)] == ["a" * 26] * 2
    assert tokens.read(people.keyring, "unsubscribe", new) is None
    assert tokens.read(after.keyring, "click", old) is None
    assert isinstance(after.press(confirm), opt_in.Confirmed)


def test_what_came_in_before_still_opens(people: People, path: Path) -> None:
    """Inbox: raw events sealed under the former key."""
    sealed = people.keyring.seal(b"raw", aad=b"here")
    after = rotation.begin(path, rotation.Key.INBOX)

    assert after.open(sealed, aad=b"here") == b"raw"
    assert after.open(after.seal(b"new", aad=b"here"), aad=b"here") == b"new"
    with pytest.raises(sealing.SealError):
        after.open(sealed, aad=b"elsewhere")


class PowerError(Exception):
    """It failed."""


@pytest.mark.parametrize("key", [rotation.Key.MASTER, rotation.Key.INDEX])
def test_stopped_at_any_statement_it_goes_on(people: People, path: Path, key: rotation.Key) -> None:
    """A failure before each single statement of the pass, and before each commit: all opens, the next call ends it."""
    made = fill(people)
    before = names(people)
    keyring = rotation.begin(path, key)
    countdown = [0]

    def tick(*_: object) -> None:
        countdown[0] -= 1
        if countdown[0] == 0:
            raise PowerError

    event.listen(people.store.engine, "before_cursor_execute", tick)
    event.listen(people.store.engine, "commit", tick)
    stops = 0
    try:
        for after in range(1, 200):
            countdown[0] = after
            try:
                finish(people.store, keyring, people.at)
            except PowerError:
                stops += 1
                countdown[0] = 0
                again = People(people.store, Keyring.load_or_create(path), people.at)
                assert names(again) == before
                assert found(again, "left@firma.example") == made["left"]
                continue
            break
    finally:
        event.remove(people.store.engine, "before_cursor_execute", tick)
        event.remove(people.store.engine, "commit", tick)

    assert stops > 8
    with people.store.read() as conn:
        left = rotation.behind(conn, keyring)
        assert (left.master, left.index) == (0, 0)
        assert [entry.body["key"] for entry in ledger.read(conn, types=["key.rotated"])] == [key]
        assert ledger.verify(conn).ok
    after_all = People(people.store, keyring, people.at)
    assert names(after_all) == before
    assert after_all.reason(made["barred"]) == "suppressed"


def test_the_key_file_changes_whole_or_not_at_all(people: People, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of disk, or killed while writing: the former file stays, no draft is left behind."""
    held = path.read_bytes()

    def fails(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError):  # noqa: PT011  whatever the disk says
            rotation.begin(path, rotation.Key.MASTER)

    assert path.read_bytes() == held
    assert [one.name for one in path.parent.iterdir() if "keys" in one.name] == ["keys.json"]
    rotation.begin(path, rotation.Key.MASTER)
    assert path.stat().st_mode & 0o777 == 0o600


def test_forgetting_a_version_waits_until_nothing_needs_it(people: People, path: Path) -> None:
    """Refused while a row rests on it, and for the newest; afterwards only backups are lost."""
    fill(people)
    rotation.begin(path, rotation.Key.MASTER)
    with people.store.read() as conn:
        with pytest.raises(KeyringError, match="still rest"):
            rotation.forget(conn, path, rotation.Key.MASTER, 1, inbox=())
        with pytest.raises(KeyringError, match="successor first"):
            rotation.forget(conn, path, rotation.Key.LINK, 1, inbox=())
    finish(people.store, Keyring.load_or_create(path), people.at)
    with people.store.read() as conn:
        kept = rotation.forget(conn, path, rotation.Key.MASTER, 1, inbox=())

    assert sorted(kept.keys["master"]) == [2]
    assert len(names(People(people.store, kept, people.at))) == 4


@pytest.mark.parametrize("key", [rotation.Key.LINK, rotation.Key.MASTER])
def test_what_is_forgotten_is_gone_from_the_file(people: People, path: Path, key: rotation.Key) -> None:
    """The version that was destroyed, and no other; a key that no row rests on needs nothing rewritten."""
    rotation.begin(path, key)
    with people.store.read() as conn:
        kept = rotation.forget(conn, path, key, 1, inbox=())

    held = Keyring.load_or_create(path)
    assert held.keys == kept.keys
    assert {name: sorted(versions) for name, versions in held.keys.items() if 2 in versions} == {key: [2]}


def test_the_look_up_key_waits_for_people_and_for_suppressed_addresses(people: People, path: Path) -> None:
    """One of each: neither makes up for the other."""
    people.confirmed()
    with people.store.write() as conn:
        suppression.add(conn, {people.keyring.address_index("nobody@firma.example"): "import"}, at=people.at)
    rotation.begin(path, rotation.Key.INDEX)
    with people.store.read() as conn, pytest.raises(KeyringError, match="2 rows still rest"):
        rotation.forget(conn, path, rotation.Key.INDEX, 1, inbox=())

    assert sorted(Keyring.load_or_create(path).keys["index"]) == [1, 2]


@pytest.mark.parametrize("key", [rotation.Key.MASTER, rotation.Key.INDEX])
def test_a_step_rewrites_no_more_than_its_share(
    people: People, path: Path, key: rotation.Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no transaction grows with the number of people."""
    monkeypatch.setattr(rotation, "CHUNK", 2)
    for name in "abc":
        people.confirmed(f"{name}@firma.example")
    keyring = rotation.begin(path, key)
    with people.store.write() as conn:
        assert [rotation.step(conn, keyring, at=people.at) for _ in range(3)] == [2, 1, 0]


def test_forgetting_the_inbox_key_waits_for_what_came_in(people: People, path: Path) -> None:
    """A body that waits may be somebody's no; what no version opens is lost already, and holds nothing up."""
    first = Keyring.load_or_create(path)
    waiting = (first.seal(b"unsubscribe", aad=b"1"), b"1")
    lost = (Keyring().seal(b"x", aad=b"2"), b"2")
    newer = (rotation.begin(path, rotation.Key.INBOX).seal(b"y", aad=b"3"), b"3")
    with people.store.read() as conn:
        with pytest.raises(KeyringError, match="1 rows still rest"):
            rotation.forget(conn, path, rotation.Key.INBOX, 1, inbox=[waiting, lost, newer])
        assert Keyring.load_or_create(path).open(*waiting[:1], aad=b"1") == b"unsubscribe"
        kept = rotation.forget(conn, path, rotation.Key.INBOX, 1, inbox=[lost, newer])

    assert sorted(kept.keys["inbox"]) == [2]


# --- the command ------------------------------------------------------------------------------


def typed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.setenv("NURTURE_HOME", str(workspace.home))
    monkeypatch.setenv("NURTURE_DATABASE_URL", workspace.settings.database_url)
    app = typer.Typer()
    consent.register(app)
    return CliRunner().invoke(app, ["consent", "keys", *words])


def test_the_command_rotates_and_tells(people: People, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key once; the status names versions and what is left; a former one can be forgotten."""
    fill(people)

    def run(*words: str) -> Result:
        return typed(workspace, monkeypatch, *words)

    done: dict[str, Any] = {key: json.loads(run("rotate", "--which", key, "--json").stdout) for key in rotation.Key}
    assert {key: (told["resumed"], told["version"]) for key, told in done.items()} == dict.fromkeys(
        rotation.Key, (False, 2)
    )
    assert [done[key]["rewritten"] for key in rotation.Key] == [4, 4, 0, 0]
    shown = json.loads(run("status", "--json").stdout)
    assert shown["versions"] == {"inbox": [1, 2], "index": [1, 2], "link": [1, 2], "master": [1, 2], "signing": [1]}
    assert shown["behind"] == {"index": 0, "master": 0, "suppressed": 1}
    assert "4 people" not in run("status").stdout
    assert run("forget", "--which", "master", "--version", "1", "--yes").stdout == "version 1 of master is gone\n"
    assert run("forget", "--which", "index", "--version", "1", "--yes").exit_code == 1
    assert [
        run(*words).exit_code for words in (["rotate", "--which", "x"], ["forget", "--which", "link", "--version", "1"])
    ] == [64, 64]
    with people.store.read() as conn:
        assert len(list(ledger.read(conn, types=["key.rotated"]))) == 4


@pytest.mark.parametrize("kept", ["body", "reason"])
def test_the_inbox_key_is_not_forgotten_while_something_needs_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, at: datetime, kept: str
) -> None:
    """A webhook's body that waits, and why addresses were shown to an auditor."""
    with workspace.store.write() as conn:
        if kept == "body":
            store_raw(conn, workspace.keyring, source="sendgrid", body=b"[]", at=at)
        else:
            conn.execute(insert(setting).values(keep_reason(workspace, 7, {"reason": "authority"}, b"salt")))
    forget = ("forget", "--which", "inbox", "--version", "1", "--yes")
    typed(workspace, monkeypatch, "rotate", "--which", "inbox")
    refused = typed(workspace, monkeypatch, *forget)
    versions = sorted(Keyring.load_or_create(workspace.home / "keys.json").keys["inbox"])
    with workspace.store.write() as conn:
        conn.execute(delete(raw_event))
        conn.execute(delete(setting).where(setting.c.name.startswith("record.")))

    assert (refused.exit_code, "1 rows still rest" in refused.stderr, versions) == (1, True, [1, 2])
    assert typed(workspace, monkeypatch, *forget).exit_code == 0


def test_no_key_is_forgotten_while_nurture_up_runs(
    people: People, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold what it has yet to write, under the key it started with."""
    typed(workspace, monkeypatch, "rotate", "--which", "link")
    with only_one(workspace.home):
        done = typed(workspace, monkeypatch, "forget", "--which", "link", "--version", "1", "--yes")

    assert (done.exit_code, "stop it first" in done.stderr) == (1, True)


def test_the_command_waits_for_nurture_up_to_be_stopped(
    people: People, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs here, nothing is rotated: it would go on with the former keys."""
    with only_one(workspace.home):
        done = typed(workspace, monkeypatch, "rotate", "--which", "index")

    assert (done.exit_code, "stop it first" in done.stderr) == (1, True)
    assert sorted(Keyring.load_or_create(workspace.home / "keys.json").keys["index"]) == [1]


KILLED = """
import os, signal, sys
from sqlalchemy import event
from consent import rotation
from nurture.store.workspace import open_workspace
with open_workspace() as ws:
    keyring = rotation.begin(ws.home / "keys.json", rotation.Key(sys.argv[1]))
    def die(_, __, statement, *___):
        if statement.startswith(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(ws.store.engine, "before_cursor_execute", die)
    at = rotation.ledger.canonical.utc_time("2026-11-23T08:00:00.000000Z")
    with ws.store.write() as conn:
        rotation.announce(conn, keyring, at=at)
    done = 1
    while done:
        with ws.store.write() as conn:
            done = rotation.step(conn, keyring, at=at)
"""


@pytest.mark.parametrize("key", ["master", "index"])
@pytest.mark.parametrize("before", ["UPDATE ledger_head", "SELECT identity", "UPDATE identity"])
def test_a_killed_process_is_taken_over(
    people: People, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, key: str, before: str
) -> None:
    """SIGKILL in the middle, for real: the same command goes on, makes no third version, loses nobody."""
    fill(people)
    known = names(people)
    environment = {
        **os.environ,
        "NURTURE_HOME": str(workspace.home),
        "NURTURE_DATABASE_URL": workspace.settings.database_url,
    }

    killed = subprocess.run([sys.executable, "-c", KILLED, key, before], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    told = json.loads(typed(workspace, monkeypatch, "rotate", "--which", key, "--json").stdout)

    assert (told["resumed"], told["version"]) == (True, 2)
    after = People(people.store, Keyring.load_or_create(workspace.home / "keys.json"), people.at)
    assert names(after) == known
    assert after.reason(str(found(after, "barred@firma.example"))) == "suppressed"
