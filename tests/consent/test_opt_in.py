"""Double opt-in: caps, the button, time, withdrawal in between (T04, T05, T07, T21, T23)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from consent import canonical, identity, ledger, opt_in, sealing, suppression, texts, vault
from consent.addresses import Address
from consent.keys import Keyring
from consent.schema import consent_state, opt_in_request
from consent.schema import identity as identities
from consent.schema import suppression as barred
from consent.states import Standing, State, put
from nurture.store.tables import lead
from tests.consent.people import NEWSLETTER, TRACKING, People

if TYPE_CHECKING:
    from pathlib import Path

DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)


def entries(people: People) -> list[str]:
    """The types of all ledger entries, in order."""
    with people.store.read() as conn:
        return [entry.type for entry in ledger.read(conn)]


def subject_of(people: People, address: str = "kim@firma.example") -> str:
    """Who has this address?"""
    with people.store.read() as conn:
        found = identity.find(conn, people.keyring, Address.of(address))
    assert found is not None
    return found


@pytest.mark.requirement(95)
def test_t01_request_alone_permits_nothing(people: People) -> None:
    """T01: one box, one request in the ledger, one mail due, no permission, no tracking."""
    people.sign_up()

    subject = subject_of(people)
    with people.store.read() as conn:
        due = opt_in.due(conn, at=people.at, limit=10)
    assert [one.purposes for one in due] == [(NEWSLETTER,)]
    assert entries(people) == ["consent.requested"]
    assert people.reason(subject) == "no_consent"


@pytest.mark.requirement(95)
def test_button_gives_consent(people: People) -> None:
    """Pressing the button permits exactly what was asked for."""
    subject = people.confirmed(purposes=[NEWSLETTER, TRACKING])

    assert people.reason(subject) is None
    assert entries(people) == ["consent.requested", "consent.confirmed", "send.authorised"]


def test_t04_last_moment_counts(people: People) -> None:
    """T04: one microsecond before the end of seven days the button still works."""
    token = people.link(people.sign_up())

    done = people.press(token, people.at + opt_in.TOKEN_LIFE - MOMENT)

    assert isinstance(done, opt_in.Confirmed)


@pytest.mark.parametrize("late", [timedelta(0), MOMENT, DAY])
def test_t04_expired_link_gives_nothing(people: People, late: timedelta) -> None:
    """T04: at exactly seven days the link has lapsed."""
    token = people.link(people.sign_up())

    done = people.press(token, people.at + opt_in.TOKEN_LIFE + late)

    assert isinstance(done, opt_in.Lapsed)
    assert entries(people) == ["consent.requested"]


def test_link_is_dead_before_its_request(people: People) -> None:
    """A clock that ran back gives no consent older than its request."""
    token = people.link(people.sign_up())

    assert isinstance(people.press(token, people.at - MOMENT), opt_in.Lapsed)


def test_t05_second_press_changes_nothing(people: People) -> None:
    """T05: the first press wins; the second is told so."""
    token = people.link(people.sign_up())
    people.press(token)

    again = people.press(token, people.at + DAY)

    assert again == opt_in.AlreadyConfirmed(1)
    assert entries(people).count("consent.confirmed") == 1


def test_t05_fifty_parallel_presses_confirm_once(people: People) -> None:
    """T05: 50 parallel presses give one entry and 49 friendly answers."""
    token = people.link(people.sign_up())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: people.press(token), range(50)))

    assert [opt_in.Confirmed] == [type(a) for a in answers if not isinstance(a, opt_in.AlreadyConfirmed)]
    assert entries(people).count("consent.confirmed") == 1


@pytest.mark.parametrize("purposes", [None, [NEWSLETTER], [NEWSLETTER, TRACKING]])
def test_t07_withdrawal_kills_open_link(people: People, purposes: list[str] | None) -> None:
    """T07: request, withdraw, press the old button: nothing is given."""
    token = people.link(people.sign_up())
    people.leave(subject_of(people), purposes)

    done = people.press(token)

    assert done == opt_in.Lapsed(1, opt_in.RequestState.VOID)
    assert people.reason(subject_of(people)) is not None


def test_t07_other_withdrawal_leaves_link(people: People) -> None:
    """Leaving another newsletter does not touch this request."""
    token = people.link(people.sign_up())
    people.leave(subject_of(people), ["newsletter.events"])

    assert isinstance(people.press(token), opt_in.Confirmed)


def test_new_request_after_withdrawal_gives_again(people: People) -> None:
    """Who left may come back, by a new double opt-in."""
    subject = people.confirmed()
    people.leave(subject, at=people.at + DAY)

    again = people.confirmed(at=people.at + 2 * DAY)

    assert again == subject
    assert people.reason(subject, at=people.at + 2 * DAY) is None


def test_t21_changed_tokens_are_unknown(people: People) -> None:
    """T21: one character changed, cut, or longer: no link of ours, nothing written."""
    token = people.link(people.sign_up())
    spoilt = {token[:i] + ("a" if token[i] != "a" else "b") + token[i + 1 :] for i in range(len(token))}
    spoilt |= {token[:-1], token + "a", token.upper(), "", "ä" * 52, "\ud800" * 52}

    answers = {type(people.press(one)) for one in spoilt}

    assert answers == {opt_in.Unknown}
    assert entries(people) == ["consent.requested"]


def test_t21_token_of_other_tenant_is_unknown(people: People, tmp_path: Path) -> None:
    """T21: a link made under other keys is refused."""
    token = people.link(people.sign_up())
    other = People(people.store, Keyring.load_or_create(tmp_path / "other.json"), people.at)

    assert isinstance(other.press(token), opt_in.Unknown)


def test_t21_true_mac_without_request_is_unknown(people: People) -> None:
    """A well-made token that no request carries is unknown, too."""
    from consent import tokens  # noqa: PLC0415  only here

    stray = tokens.issue(people.keyring, "confirm", tokens.random_id())

    assert isinstance(people.press(stray), opt_in.Unknown)
    with people.store.write() as conn:
        assert isinstance(opt_in.decline(conn, stray, at=people.at), opt_in.Unknown)
        assert opt_in.look_up(conn, stray, at=people.at) is None


def test_token_stands_nowhere_in_plain(people: People) -> None:
    """The database holds the hash and a sealed copy, never the token."""
    token = people.link(people.sign_up())

    with people.store.read() as conn:
        rows = conn.execute(select(opt_in_request)).all()
    assert token not in repr(rows)
    assert token[:26] not in repr(rows)


def test_t23_thousand_sign_ups_send_one_mail(people: People) -> None:
    """T23: 1,000 sign-ups for one inbox from 1,000 machines queue one mail in 24 hours."""
    spellings = ["kim@gmail.com", "Kim@googlemail.com", "k.i.m+x@gmail.com", "KIM+y@gmail.com"]

    answers = [
        people.sign_up(spellings[i % 4], at=people.at + i * timedelta(seconds=80), ip=f"198.51.100.{i % 250}")
        for i in range(1000)
    ]

    assert sum(answer.queued for answer in answers) == 1


def test_t23_caps_in_thirty_days(people: People) -> None:
    """T23: one mail a day at most, and three in thirty days; the fourth after exactly thirty days."""
    queued = [day for day in range(32) if people.sign_up(at=people.at + day * DAY).queued]

    assert queued == [0, 1, 2, 30, 31]


def test_t23_day_cap_ends_after_24_hours(people: People) -> None:
    """The window is half-open: a microsecond early is too early."""
    people.sign_up()

    assert not people.sign_up(at=people.at + DAY - MOMENT).queued
    assert people.sign_up(at=people.at + DAY).queued


def test_blocked_sign_up_leaves_no_trace(people: People) -> None:
    """Beyond the cap nothing is recorded: a flood does not grow the ledger."""
    people.sign_up()
    before = entries(people)

    assert opt_in.Requested(None, queued=False) == people.sign_up()
    assert before == entries(people)


def test_standing_consent_asks_for_no_second_mail(people: People) -> None:
    """Who has all they ask for, in the current words, gets no mail; more boxes do."""
    people.confirmed()

    assert not people.sign_up(at=people.at + DAY).queued
    assert people.sign_up(purposes=[NEWSLETTER, TRACKING], at=people.at + DAY).queued


def test_new_wording_asks_again(people: People) -> None:
    """A consent to the old words does not answer a request with new ones."""
    people.confirmed()
    second = texts.TextVersion(
        "default",
        NEWSLETTER,
        "de",
        2,
        "Musterwerk schreibt zu Themen und Messen. Widerruf jederzeit.",
        "Musterwerk",
        "Messen",
    )
    with people.store.write() as conn:
        texts.publish(conn, [second], at=people.at)

    assert people.sign_up(at=people.at + DAY).queued


def test_stale_consent_may_be_renewed(people: People) -> None:
    """After 24 unused months the same request goes out again and renews."""
    subject = people.confirmed()
    later = people.at.replace(year=people.at.year + 2)

    assert people.reason(subject, at=later) == "stale"
    people.confirmed(at=later)
    assert people.reason(subject, at=later) is None


def test_request_needs_purpose_and_text(people: People) -> None:
    """A form without a box, or with a box that has no wording, is a mistake of ours."""
    with pytest.raises(opt_in.OptInError):
        people.sign_up(purposes=[])
    with pytest.raises(texts.TextError):
        people.sign_up(purposes=["unheard.of"])


def test_page_shows_no_address(people: People) -> None:
    """Who holds a forwarded link learns what was asked, not of whom."""
    token = people.link(people.sign_up())

    with people.store.read() as conn:
        view = opt_in.look_up(conn, token, at=people.at)
        late = opt_in.look_up(conn, token, at=people.at + opt_in.TOKEN_LIFE)

    assert view is not None
    assert late is not None
    assert (view.state, late.state) == (opt_in.RequestState.REQUESTED, opt_in.RequestState.LAPSED)
    assert view.purposes == (NEWSLETTER,)
    assert "kim" not in repr(view)


def test_looking_writes_nothing(people: People) -> None:
    """T13, library side: looking a link up a hundred times appends nothing."""
    token = people.link(people.sign_up())

    with people.store.write() as conn:
        for _ in range(100):
            opt_in.look_up(conn, token, at=people.at)

    assert entries(people) == ["consent.requested"]


def test_mark_queued_gives_each_mail_once(people: People) -> None:
    """What is queued is no longer due; what has expired is not either."""
    first = people.sign_up()
    people.sign_up("pat@firma.example")

    with people.store.write() as conn:
        opt_in.mark_queued(conn, [first.request_id or 0], at=people.at)
        left = opt_in.due(conn, at=people.at, limit=10)
        over = opt_in.due(conn, at=people.at + opt_in.TOKEN_LIFE, limit=10)

    assert [one.request_id for one in left] == [2]
    assert over == []


def test_evidence_is_sealed_and_committed(people: People) -> None:
    """R11: the request's evidence opens, matches its commitment, and holds the address as typed."""
    people.sign_up("Kim@Firma.example")

    with people.store.read() as conn:
        kept = vault.evidence(conn, people.keyring, 0)

    assert kept == {"address": "Kim@Firma.example", "ip": "192.0.2.1", "page": "/subscribe"}


def test_decline_erases_who_left_nothing_else(people: People) -> None:
    """Saying "that was not me" destroys the address; the ledger keeps an anonymous entry."""
    token = people.link(people.sign_up())

    with people.store.write() as conn:
        answers = [opt_in.decline(conn, token, at=people.at) for _ in range(2)]

    assert answers == [opt_in.Declined(1), opt_in.Declined(1)]
    assert entries(people) == ["consent.requested", "consent.declined", "subject.erased"]
    assert isinstance(people.press(token), opt_in.Lapsed)


def test_decline_after_confirmation_changes_nothing(people: People) -> None:
    """A confirmed consent ends by withdrawal, not by the old link."""
    token = people.link(people.sign_up())
    people.press(token)

    with people.store.write() as conn:
        assert opt_in.decline(conn, token, at=people.at) == opt_in.AlreadyConfirmed(1)
    assert people.reason(subject_of(people)) is None


def test_decline_after_expiry_says_so(people: People) -> None:
    """A link that is over cannot be declined either."""
    token = people.link(people.sign_up())

    with people.store.write() as conn:
        assert isinstance(opt_in.decline(conn, token, at=people.at + opt_in.TOKEN_LIFE), opt_in.Lapsed)


def test_lapse_erases_unconfirmed_people(people: People) -> None:
    """R19: after seven days the address is gone; an anonymous consent.lapsed stays."""
    people.sign_up()
    subject = subject_of(people)

    with people.store.write() as conn:
        early = opt_in.lapse(conn, at=people.at + opt_in.TOKEN_LIFE - MOMENT, limit=10)
        lapsed = opt_in.lapse(conn, at=people.at + opt_in.TOKEN_LIFE, limit=10)
        row = conn.execute(select(identities).where(identities.c.subject == subject)).one()

    assert (early, lapsed) == (0, 1)
    assert (row.address_index, row.wrapped_key, row.sealed_address) == (None, None, None)
    assert entries(people) == ["consent.requested", "consent.lapsed", "subject.erased"]


def test_lapse_keeps_people_with_consent(people: People) -> None:
    """A second request that lapses takes neither the person nor the consent that stands."""
    subject = people.confirmed()
    people.sign_up(purposes=[NEWSLETTER, TRACKING], at=people.at + DAY)

    with people.store.write() as conn:
        opt_in.lapse(conn, at=people.at + 9 * DAY, limit=10)
        last = list(ledger.read(conn, types=["consent.lapsed"]))[-1]

    assert last.body["purposes"] == [TRACKING]
    assert people.reason(subject, at=people.at + 9 * DAY) is None


def test_lapse_keeps_leads(people: People) -> None:
    """A lead who never confirmed stays known; only the request ends."""
    people.sign_up()
    subject = subject_of(people)
    row = {"subject": subject, "language": "de", "zone": "Europe/Berlin", "freemail": False, "role_address": False}
    row |= {"source": "import", "created_at": people.at, "stage": "unconfirmed", "stage_since": people.at}

    with people.store.write() as conn:
        conn.execute(lead.insert().values(**row, owner="marketing"))
        opt_in.lapse(conn, at=people.at + 8 * DAY, limit=10)

    assert subject_of(people) == subject


def test_lapse_takes_oldest_up_to_limit(people: People) -> None:
    """The limit bounds one run; the next one goes on."""
    for number in range(5):
        people.sign_up(f"p{number}@firma.example")

    with people.store.write() as conn:
        done = [opt_in.lapse(conn, at=people.at + 8 * DAY, limit=2) for _ in range(4)]

    assert done == [2, 2, 1, 0]


def test_the_request_that_waited_longest_lapses_first(people: People) -> None:
    """By its time, not by the order in which requests came in: forms may be recorded late."""
    for name, days in (("a", 2), ("b", 0), ("c", 1)):
        people.sign_up(f"{name}@firma.example", at=people.at + days * DAY)
    with people.store.write() as conn:
        opt_in.lapse(conn, at=people.at + 10 * DAY, limit=2)
        left = conn.execute(select(opt_in_request.c.id).where(opt_in_request.c.state == "requested")).scalars().all()

    assert left == [1]


def test_a_lapse_names_what_stands_no_more_or_elsewhere(people: People) -> None:
    """Only a consent that stands, and to this controller, is left out of the entry."""
    subject = people.confirmed(purposes=[NEWSLETTER, TRACKING])
    people.leave(subject, [NEWSLETTER])
    elsewhere = Standing(subject, "other", "email", "newsletter.events", State.GIVEN, 77, None, people.at, None)
    with people.store.write() as conn:
        put(conn, [elsewhere])
    people.sign_up(purposes=[NEWSLETTER, "newsletter.events"], at=people.at + DAY)
    with people.store.write() as conn:
        opt_in.lapse(conn, at=people.at + 9 * DAY, limit=10)
        [last] = ledger.read(conn, types=["consent.lapsed"])

    assert last.body["purposes"] == ["newsletter.events", NEWSLETTER]


def test_cap_outlives_erasure_for_thirty_days(people: People) -> None:
    """The inbox stays protected after its request lapsed; then the count is forgotten."""
    for day in range(3):
        people.sign_up(at=people.at + day * DAY)
    with people.store.write() as conn:
        opt_in.lapse(conn, at=people.at + 10 * DAY, limit=10)
    assert not people.sign_up(at=people.at + 10 * DAY).queued

    with people.store.write() as conn:
        opt_in.lapse(conn, at=people.at + 40 * DAY, limit=10)
        held = conn.execute(select(opt_in_request.c.abuse_index)).scalars().all()
    assert held == [None, None, None]


def test_bounce_closes_request(people: People) -> None:
    """A confirmation mail that cannot be delivered ends the request, once."""
    requested = people.sign_up()

    with people.store.write() as conn:
        done = [opt_in.bounce(conn, [requested.request_id or 0], at=people.at) for _ in range(2)]
        state = conn.execute(select(opt_in_request.c.state)).scalar_one()

    assert (done, state) == ([1, 0], "bounced")
    assert entries(people) == ["consent.requested", "consent.lapsed", "subject.erased"]


def test_token_is_gone_once_settled(people: People) -> None:
    """A settled request gives no link; neither does an unknown one."""
    requested = people.sign_up()
    people.press(people.link(requested))

    with pytest.raises(opt_in.OptInError):
        people.link(requested)
    with pytest.raises(opt_in.OptInError):
        people.link(opt_in.Requested(999, queued=True))


def test_confirmation_lifts_older_suppression(people: People) -> None:
    """A5: a suppression older than the request falls, a younger one stays."""
    subject = people.confirmed()
    with people.store.write() as conn:
        suppression.suppress_subject(conn, subject, "unsubscribed", at=people.at)
    token = people.link(people.sign_up(purposes=[TRACKING], at=people.at + DAY))
    assert people.reason(subject) == "suppressed"

    people.press(token, people.at + 2 * DAY)

    assert people.reason(subject, at=people.at + 2 * DAY) is None


def test_confirmation_never_lifts_younger_suppression(people: People) -> None:
    """A5: what was suppressed after the request stays suppressed."""
    token = people.link(people.sign_up())
    with people.store.write() as conn:
        suppression.suppress_subject(conn, subject_of(people), "complained", at=people.at)
    people.press(token, people.at + DAY)

    assert people.reason(subject_of(people), at=people.at + DAY) == "suppressed"


def test_confirmation_never_lifts_a_block(people: People) -> None:
    """Blocked for good is for good, even when the block bears an older time than the request."""
    token = people.link(people.sign_up())
    with people.store.write() as conn:
        suppression.suppress_subject(conn, subject_of(people), suppression.BLOCKED, at=people.at - DAY)
    people.press(token)

    assert people.reason(subject_of(people)) == "suppressed"


@pytest.mark.parametrize("reason", sorted(suppression.LASTING))
def test_confirmation_never_lifts_what_came_to_a_lesser_reason(people: People, reason: str) -> None:
    """Who was erased, signs up again and then complains is barred for the complaint, not for the erasure."""
    index = people.keyring.address_index("kim@firma.example")
    with people.store.write() as conn:
        suppression.add(conn, {index: "erasure"}, at=people.at - DAY)
    token = people.link(people.sign_up())
    with people.store.write() as conn:
        new = suppression.suppress_subject(conn, subject_of(people), reason, at=people.at + DAY)
    people.press(token, people.at + 2 * DAY)
    with people.store.read() as conn:
        told = [entry.body["reason"] for entry in ledger.read(conn, types=[ledger.EntryType.SUPPRESSED])]

    assert new
    assert people.reason(subject_of(people), at=people.at + 2 * DAY) == "suppressed"
    assert told == ["erasure", reason]


def test_a_request_between_two_nos_lifts_neither(people: People) -> None:
    """The same reason said again counts from the second time on; the ledger heard it before."""
    index = people.keyring.address_index("kim@firma.example")
    with people.store.write() as conn:
        suppression.add(conn, {index: "unsubscribed"}, at=people.at - DAY)
    token = people.link(people.sign_up())
    with people.store.write() as conn:
        assert suppression.add(conn, {index: "unsubscribed"}, at=people.at + DAY) == 0
    people.press(token, people.at + 2 * DAY)

    assert people.reason(subject_of(people), at=people.at + 2 * DAY) == "suppressed"


@pytest.mark.parametrize(
    ("first", "second", "holds"),
    [
        ("complaint", "hard_bounce", "complaint"),
        ("hard_bounce", "complaint", "complaint"),
        ("blocked", "unsubscribed", "blocked"),
        ("objection", "hard_bounce", "objection"),
        ("erasure", "objection", "objection"),
        ("erasure", "withdrawn", "erasure"),
        ("objection", "blocked", "blocked"),
        ("blocked", "complaint", "complaint"),
        ("blocked", "complained", "complained"),
        ("complaint", "complained", "complaint"),
        ("complained", "complaint", "complained"),
    ],
)
def test_the_graver_of_two_reasons_holds(people: People, first: str, second: str, holds: str) -> None:
    """What a person said outweighs what became of a mailbox; an objection is never forgotten for a bounce."""
    index = people.keyring.address_index("kim@firma.example")
    with people.store.write() as conn:
        suppression.add(conn, {index: first}, at=people.at)
        suppression.add(conn, {index: second}, at=people.at + DAY)
    with people.store.read() as conn:
        assert conn.execute(select(barred.c.reason)).scalars().all() == [holds]


@pytest.mark.parametrize("reason", sorted(suppression.LASTING))
def test_barred_address_gets_no_mail(people: People, reason: str) -> None:
    """Who is barred for good cannot be signed up, and no page tells."""
    index = people.keyring.address_index("kim@firma.example")
    with people.store.write() as conn:
        suppression.add(conn, {index: reason}, at=people.at - DAY)

    assert opt_in.Requested(None, queued=False) == people.sign_up()


def test_confirmed_state_names_its_entry(people: People) -> None:
    """The projection points at the ledger entry and the wording."""
    subject = people.confirmed()

    with people.store.read() as conn:
        row = conn.execute(select(consent_state).where(consent_state.c.subject == subject)).one()

    assert (row.state, row.seq, row.text_id is not None) == ("given", 1, True)


def test_the_button_answers_with_all_that_was_given(people: People) -> None:
    """Whoever goes on from there (a welcome, a lead) needs no second look."""
    requested = people.sign_up(purposes=[NEWSLETTER, TRACKING])
    done = people.press(people.link(requested), people.at + DAY)

    expected = opt_in.Confirmed(subject_of(people), 1, (NEWSLETTER, TRACKING), "de", "footer", "default", 1)
    assert done == expected
    with people.store.read() as conn:
        row = conn.execute(select(opt_in_request)).one()
        assert vault.evidence(conn, people.keyring, 1) == {"ip": "192.0.2.1"}
    assert (row.state, row.settled_at, row.sealed_token) == ("confirmed", people.at + DAY, None)


def test_the_entries_of_an_opt_in_are_found_at_the_person(people: People) -> None:
    """Request and confirmation name them, the wordings with their hashes, the form and the time that is left."""
    subject = people.confirmed(purposes=[NEWSLETTER, TRACKING])
    with people.store.read() as conn:
        requested, confirmed = ledger.read(conn, subject=subject)
        held = {purpose: texts.current(conn, controller="default", purpose=purpose, language="de")
                for purpose in (NEWSLETTER, TRACKING)}  # fmt: skip

    named = [{"purpose": purpose, "text": text.sha256, "version": text.version} for purpose, text in held.items()]
    assert requested.body["purposes"] == confirmed.body["purposes"] == named
    assert requested.body["expires"] == canonical.utc_text(people.at + opt_in.TOKEN_LIFE)
    about = {name: requested.body[name] for name in ("controller", "channel", "language", "source")}
    assert about == {"controller": "default", "channel": "email", "language": "de", "source": "footer"}
    assert (confirmed.body["request"], confirmed.body["lifted"]) == (0, 0)


@pytest.mark.parametrize("way", ["declined", "lapsed", "bounced"])
def test_the_end_of_a_request_is_found_at_the_person(people: People, way: str) -> None:
    """Why it ended, which request, and only what is not given from before; its time is noted."""
    subject = people.confirmed()
    requested = people.sign_up(purposes=[NEWSLETTER, TRACKING], at=people.at + DAY)
    token, later = people.link(requested), people.at + 9 * DAY
    with people.store.write() as conn:
        if way == "declined":
            later = people.at + 2 * DAY
            assert opt_in.decline(conn, token, at=later) == opt_in.Declined(2)
        elif way == "lapsed":
            assert opt_in.lapse(conn, at=later, limit=10) == 1
        else:
            assert opt_in.bounce(conn, [2], at=later) == 1
        *_, last = ledger.read(conn, subject=subject)
        row = conn.execute(select(opt_in_request).where(opt_in_request.c.id == 2)).one()

    assert last.type == ("consent.declined" if way == "declined" else "consent.lapsed")
    assert last.body.get("reason", "declined") == way
    assert (last.body["purposes"], last.body["request"]) == ([TRACKING], 2)
    assert (row.state, row.settled_at, row.sealed_token) == (way, later, None)


def test_a_late_no_names_what_became_of_the_request(people: People) -> None:
    """Which request, and that it lapsed."""
    token = people.link(people.sign_up())
    with people.store.write() as conn:
        answer = opt_in.decline(conn, token, at=people.at + opt_in.TOKEN_LIFE)

    assert answer == opt_in.Lapsed(1, opt_in.RequestState.LAPSED)


def test_due_mails_come_oldest_first_and_no_more_than_asked_for(people: People) -> None:
    """With all that the mail must say; who is restricted gets none, and what is settled is not due."""
    for name in "abcd":
        people.sign_up(f"{name}@firma.example")
    people.press(people.link(opt_in.Requested(1, queued=True)))
    with people.store.write() as conn:
        second = identities.c.subject == subject_of(people, "b@firma.example")
        conn.execute(update(identities).where(second).values(restricted_at=people.at))
        [first] = opt_in.due(conn, at=people.at, limit=1)
        listed = opt_in.due(conn, at=people.at, limit=10)

    assert [one.request_id for one in listed] == [3, 4]
    assert listed[0] == first
    assert first.subject == subject_of(people, "c@firma.example")
    assert (first.language, first.controller, first.source) == ("de", "default", "footer")
    assert (first.requested_at, first.expires_at) == (people.at, people.at + opt_in.TOKEN_LIFE)


def test_another_controllers_consent_answers_no_request(people: People) -> None:
    """Who agreed to it elsewhere is still asked here, and an old link tells of what stands here."""
    people.sign_up()
    with people.store.write() as conn:
        text_id = texts.current(conn, controller="default", purpose=NEWSLETTER, language="de").id
        other = Standing(subject_of(people), "other", "email", NEWSLETTER, State.GIVEN, 77, text_id, people.at, None)
        put(conn, [other])
    assert people.sign_up(at=people.at + DAY).queued

    token = people.link(opt_in.Requested(1, queued=True))
    people.press(token)
    people.leave(subject_of(people))
    with people.store.read() as conn:
        view = opt_in.look_up(conn, token, at=people.at + DAY)
    assert view is not None
    assert view.state is opt_in.RequestState.VOID


def test_a_bar_of_another_controller_stops_no_sign_up(people: People) -> None:
    """Only what binds this controller, or all, does."""
    index = people.keyring.address_index("kim@firma.example")
    with people.store.write() as conn:
        suppression.add(conn, {index: "blocked"}, controller="other", at=people.at - DAY)
    assert people.sign_up().queued

    with people.store.write() as conn:
        suppression.add(conn, {index: "blocked"}, controller="default", at=people.at)
    assert not people.sign_up(at=people.at + DAY).queued


def test_a_sealed_link_opens_at_its_own_request_only(people: People) -> None:
    """Whoever copies one into another row of the same person opens nothing."""
    people.sign_up()
    people.sign_up(at=people.at + DAY)
    with people.store.write() as conn:
        sealed = conn.execute(select(opt_in_request.c.sealed_token).where(opt_in_request.c.id == 1)).scalar_one()
        conn.execute(update(opt_in_request).where(opt_in_request.c.id == 2).values(sealed_token=sealed))
        with pytest.raises(sealing.SealError):
            opt_in.token(conn, people.keyring, 2)
