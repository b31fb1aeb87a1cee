"""From planned to accepted, and every way out between."""

from __future__ import annotations

import html
import re
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, func, insert, select, update

from consent import identity, suppression, withdrawal
from consent.gate import LEASE
from consent.schema import identity as identities
from nurture.delivery import circuit, switch
from nurture.delivery.confirmations import queue_confirmations
from nurture.delivery.content.library import Library
from nurture.delivery.errors import DeliveryError
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Accepted, Refused, Rejected, Sender, Unknown
from nurture.delivery.sending import claim, compose, intend, recover, refuse_ahead, send_next, settle
from nurture.settings import PROJECT
from nurture.store.tables import (
    authorisation,
    decision,
    delivery_attempt,
    message,
    message_exception,
    send_batch,
    send_slot,
    verdict,
)
from tests.nurture.delivery.world import HELLO, HTML, PURPOSE, TEXT, TRACKING, Scripted, library

if TYPE_CHECKING:
    from nurture.delivery.sending import Counts
    from tests.nurture.delivery.world import World


def send(world: World, provider: Scripted, kind: str = "marketing") -> Counts | None:
    """Take the next batch all the way."""
    return send_next(world.ws, world.library, provider, kind=kind, owner="w1", at=world.at)


def withdraw(world: World, subject: str, *purposes: str) -> None:
    """Take consent back."""
    with world.ws.store.write() as conn:
        withdrawal.withdraw(
            conn,
            subject=subject,
            controller="default",
            purposes=list(purposes) or None,
            route="page",
            actor="person",
            at=world.at,
        )


def test_planned_mails_are_accepted(world: World) -> None:
    world.plan(world.person(), world.person())
    assert send(world, Scripted()).accepted == 2  # type: ignore[union-attr]
    assert world.states() == {"accepted": 2}


def test_nothing_due_gives_none(world: World) -> None:
    assert send(world, Scripted()) is None


def test_planning_twice_queues_once(world: World) -> None:
    subject = world.person()
    assert [world.plan(subject), world.plan(subject)] == [1, 0]


def test_batches_keep_to_the_limit(world: World) -> None:
    world.plan(*(world.person() for _ in range(5)), batch_limit=2)
    with world.ws.store.read() as conn:
        assert conn.execute(select(send_batch.c.count).order_by(send_batch.c.id)).scalars().all() == [2, 2, 1]


@pytest.mark.requirement(95, 116)
def test_no_consent_no_mail(world: World) -> None:
    provider = Scripted()
    world.plan(world.person(consent=False))
    counts = send(world, provider)
    assert (provider.mails, counts.withheld) == ([], {"no_consent": 1})  # type: ignore[union-attr]


def test_withdrawal_after_planning_stops_the_mail(world: World) -> None:
    provider = Scripted()
    gone, stays = world.person(), world.person()
    world.plan(gone, stays)
    withdraw(world, gone)
    assert send(world, provider).withheld == {"withdrawn": 1}  # type: ignore[union-attr]
    assert [one.to_address for one in provider.mails] == ["person2@example.org"]


def test_withdrawal_after_writing_stops_the_mail(world: World) -> None:
    subject = world.person()
    world.plan(subject)
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    withdraw(world, subject)
    with world.ws.store.write() as conn:
        assert intend(conn, world.ws, composed, at=world.at).ready == ()
    assert world.states() == {"suppressed": 1}


def test_suppression_after_planning_stops_the_mail(world: World) -> None:
    subject = world.person()
    world.plan(subject)
    with world.ws.store.write() as conn:
        suppression.suppress_subject(conn, subject, "bounced", at=world.at)
    assert send(world, Scripted()).withheld == {"suppressed": 1}  # type: ignore[union-attr]


def test_erasure_after_planning_stops_the_mail(world: World) -> None:
    subject = world.person()
    world.plan(subject)
    with world.ws.store.write() as conn:
        identity.erase(conn, subject, at=world.at)
    assert send(world, Scripted()).withheld == {"erased": 1}  # type: ignore[union-attr]


def test_each_refusal_leaves_a_decision_with_its_gates(world: World) -> None:
    world.plan(world.person(consent=False))
    send(world, Scripted())
    with world.ws.store.read() as conn:
        asked = select(decision, verdict.c.gates).join(verdict, verdict.c.id == decision.c.verdict_id)
        row = conn.execute(asked.where(decision.c.phase == "intent")).one()
    assert (row.outcome, row.reason, row.sequence_version) == ("withheld", "no_consent", 1)
    assert [(gate["gate"], gate["passed"]) for gate in row.gates] == [
        ("expiry", True),
        ("kill_switch", True),
        ("circuit", True),
        ("content", True),
        ("stage", True),
        ("frequency", True),
        ("consent", False),
    ]


def test_each_mail_names_the_entry_it_rests_on(world: World) -> None:
    world.plan(world.person())
    send(world, Scripted())
    with world.ws.store.read() as conn:
        row = conn.execute(select(authorisation)).one()
    assert row.seq > row.consent_seq


@pytest.mark.requirement(116)
def test_a_refused_mail_takes_no_slot(world: World) -> None:
    world.plan(world.person(consent=False))
    send(world, Scripted())
    with world.ws.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(send_slot)).scalar_one() == 0


def test_the_third_mail_of_a_week_is_withheld(world: World) -> None:
    subject = world.person()
    for n in (1, 2, 3):
        world.plan(subject, n=n)
    provider = Scripted()
    results = [send(world, provider) for _ in range(3)]
    assert [dict(counts.withheld) for counts in results if counts] == [{}, {}, {"frequency_cap": 1}]


def test_the_next_week_has_slots_again(world: World) -> None:
    subject = world.person()
    for n in (1, 2):
        world.plan(subject, n=n)
        send(world, Scripted())
    later = world.later(days=7)
    later.plan(subject, n=3)
    assert send(later, Scripted()).accepted == 1  # type: ignore[union-attr]


def test_untracked_mail_has_raw_links_and_no_pixel(world: World) -> None:
    provider = Scripted()
    world.plan(world.person(), tracked=False)
    send(world, provider)
    assert "https://example.com/guide" in provider.mails[0].html
    assert "<img" not in provider.mails[0].html


def test_tracked_mail_has_wrapped_links_and_a_pixel(world: World) -> None:
    provider = Scripted()
    world.plan(world.person(tracking=True), tracked=True)
    send(world, provider)
    assert "https://example.com/guide" not in provider.mails[0].html + provider.mails[0].text
    assert "/o/" in provider.mails[0].html


def test_t39_tracking_changes_the_links_and_the_pixel_alone(world: World) -> None:
    """T39, on a mail that we ship: without them both versions are the same bytes."""
    world.library = Library.load(PROJECT / "templates")
    world.plan(world.person(tracking=True), tracked=True)
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    [letter] = composed.letters
    assert letter.outgoing is not None
    tracked, plain = letter.outgoing, composed.untracked(letter).outgoing
    assert plain is not None
    mail = world.library.mail(HELLO)

    def stripped(text: str) -> str:
        for number, link in enumerate(mail.links):
            text = re.sub(rf"http://127\.0\.0\.1:8321/c/[a-z0-9]{{58}}/{number}(?![0-9])", html.escape(link.url), text)
        return re.sub(r"\s*<img[^>]*/o/[a-z0-9]{58}\.gif[^>]*>", "", text)

    assert ("/o/" in tracked.html, "/c/" in tracked.html, "/c/" in tracked.text) == (True, True, True)
    assert not {"/o/", "/c/"} & {part for part in ("/o/", "/c/") if part in plain.html + plain.text}
    assert all(html.escape(link.url) in plain.html for link in mail.links)
    assert [re.sub(r"\s+", " ", stripped(tracked.html)), stripped(tracked.text)] == [
        re.sub(r"\s+", " ", plain.html),
        plain.text,
    ]
    assert (tracked.subject, tracked.headers, tracked.to_address) == (plain.subject, plain.headers, plain.to_address)


def test_tracking_withdrawn_before_writing_is_honoured(world: World) -> None:
    provider = Scripted()
    subject = world.person(tracking=True)
    world.plan(subject, tracked=True)
    withdraw(world, subject, TRACKING)
    send(world, provider)
    assert "https://example.com/guide" in provider.mails[0].html


def test_tracking_withdrawn_after_writing_is_honoured(world: World) -> None:
    subject = world.person(tracking=True)
    world.plan(subject, tracked=True)
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    withdraw(world, subject, TRACKING)
    with world.ws.store.write() as conn:
        (ready,) = intend(conn, world.ws, composed, at=world.at).ready
    assert "https://example.com/guide" in ready.outgoing.html
    assert "/o/" not in ready.outgoing.html


def test_one_click_headers_stand_in_every_mail(world: World) -> None:
    provider = Scripted()
    world.plan(world.person())
    send(world, provider)
    headers = provider.mails[0].headers
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Unsubscribe"].startswith("<http://127.0.0.1:8321/u/")
    assert "mailto" not in headers["List-Unsubscribe"]


def test_a_mailbox_stands_beside_the_link_when_configured(world: World) -> None:
    """R44: one https address, and a mailto with the same token; short enough for one line (R47)."""
    settings = world.ws.settings.model_copy(update={"unsubscribe_mailbox": "weg@musterwerk.example"})
    world.ws = replace(world.ws, settings=settings)
    provider = Scripted()
    world.plan(world.person())
    send(world, provider)
    link, box = provider.mails[0].headers["List-Unsubscribe"].split(", ")
    assert box == f"<mailto:weg@musterwerk.example?subject=unsubscribe%20{link[1:-1].rpartition('/')[2]}>"
    assert len(link) + len(box) < 200


def test_a_mail_leads_to_the_privacy_notice(world: World) -> None:
    settings = world.ws.settings.model_copy(update={"privacy_url": "/datenschutz"})
    world.ws = replace(world.ws, settings=settings)
    provider = Scripted()
    world.library = library(text=TEXT + "{{ privacy_url }}\n")
    world.plan(world.person())
    send(world, provider)
    assert "http://127.0.0.1:8321/datenschutz" in provider.mails[0].text


def test_a_mail_that_cannot_be_written_leaves_the_others(world: World) -> None:
    provider = Scripted()
    world.library = library(subject="{{ lead.last_name }}")
    world.plan(world.person(last_name="Gut"), world.person(last_name="Bö\nBcc: x@example.com"))
    counts = send(world, provider)
    assert (counts.accepted, counts.failed) == (1, 1)  # type: ignore[union-attr]
    assert world.states() == {"accepted": 1, "failed_render": 1}


@pytest.mark.parametrize("column", ["wrapped_key", "sealed_address", "sealed_person"])
def test_a_damaged_identity_leaves_the_others(world: World, column: str) -> None:
    good, bad = world.person(), world.person()
    world.plan(good, bad)
    with world.ws.store.write() as conn:
        conn.execute(update(identities).where(identities.c.subject == bad).values({column: bytes(64)}))
    assert send(world, Scripted()).withheld == {"unreadable_identity": 1}  # type: ignore[union-attr]
    assert world.states() == {"accepted": 1, "failed_render": 1}


def test_a_changed_link_list_is_not_sent(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.write() as conn:
        conn.exec_driver_sql("update template_version set links = '[]', sha256 = 'c'")
    assert send(world, Scripted()).withheld == {"template_changed": 1}  # type: ignore[union-attr]


def test_a_refusal_waits_and_tries_again(world: World) -> None:
    provider = Scripted([Refused("http 429", retry_after=120.0), Accepted("x")])
    world.plan(world.person())
    assert send(world, provider).refused == 1  # type: ignore[union-attr]
    assert send(world.later(seconds=119), provider) is None
    assert send(world.later(seconds=121), provider).accepted == 1  # type: ignore[union-attr]


def test_a_second_try_that_cannot_be_written_gives_its_slot_back(world: World) -> None:
    """What was never sent counts against nobody's cap."""
    world.plan(world.person())
    send(world, Scripted([Refused("http 429")]))
    broken = replace(world, library=library(html="{{ lead.last_name.nothing.at.all }}"), at=world.later(hours=1).at)
    send(broken, Scripted())
    assert world.states() == {"failed_render": 1}
    with world.ws.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(send_slot)).scalar_one() == 0


def test_a_mail_that_can_only_be_written_tracked_leaves_the_others(world: World) -> None:
    """Consent to tracking ends between writing and intent: one reader's mail fails, not the batch."""
    html = HTML + "{% if not open_pixel_url and lead.last_name == 'Sonderfall' %}{{ 1 / 0 }}{% endif %}"
    world.library = library(html=html)
    both = [world.person(tracking=True, last_name=name) for name in ("Muster", "Sonderfall")]
    world.plan(*both, tracked=True)
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    for subject in both:
        withdraw(world, subject, TRACKING)
    with world.ws.store.write() as conn:
        submission = intend(conn, world.ws, composed, at=world.at)
    assert (len(submission.ready), submission.counts.failed) == (1, 1)


def test_a_second_try_keeps_its_slot(world: World) -> None:
    provider = Scripted([Refused("http 429")])
    world.plan(world.person())
    send(world, provider)
    send(world.later(minutes=16), provider)
    with world.ws.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(send_slot)).scalar_one() == 1


def test_a_wish_for_a_day_counts_an_hour(world: World) -> None:
    provider = Scripted([Refused("http 429", retry_after=86400.0)])
    world.plan(world.person())
    send(world, provider)
    assert send(world.later(minutes=61), provider).accepted == 1  # type: ignore[union-attr]


def test_a_rejected_message_is_poison(world: World) -> None:
    provider = Scripted([Rejected("http 400")])
    world.plan(world.person())
    assert send(world, provider).rejected == 1  # type: ignore[union-attr]
    assert send(world.later(hours=1), provider) is None


def test_a_rejected_message_gives_its_slot_back(world: World) -> None:
    world.plan(world.person())
    send(world, Scripted([Rejected("http 400")]))
    with world.ws.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(send_slot)).scalar_one() == 0


def test_a_doubt_is_counted_and_never_sent_again(world: World) -> None:
    provider = Scripted([Unknown("timeout")])
    world.plan(world.person())
    assert send(world, provider).in_doubt == 1  # type: ignore[union-attr]
    assert send(world.later(hours=30), provider) is None
    assert world.states() == {"in_doubt": 1}


def test_a_provider_that_raises_leaves_a_doubt(world: World) -> None:
    def explode() -> None:
        raise RuntimeError

    world.plan(world.person())
    assert send(world, Scripted(before=explode)).in_doubt == 1  # type: ignore[union-attr]


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux tells how long it was suspended")
@pytest.mark.parametrize("kind", ["marketing", "confirmation"])
@pytest.mark.parametrize("after", [1, 2], ids=["claim", "intent"])
def test_a_machine_that_slept_hands_nothing_over(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, after: int
) -> None:
    """Suspended after the commit of the claim or of the intent, for longer than a permit lives: asked again."""
    if kind == "marketing":
        world.plan(world.person())
    else:
        world.sign_up()
        with world.ws.store.write() as conn:
            queue_confirmations(conn, world.ws, world.library, at=world.at, limit=1)
    commits: list[object] = []
    tell = time.clock_gettime

    def since_boot(which: int) -> float:
        slept = which == time.CLOCK_BOOTTIME and len(commits) >= after
        return tell(which) + (LEASE.total_seconds() + 1 if slept else 0)

    monkeypatch.setattr(time, "clock_gettime", since_boot)
    event.listen(world.ws.store.engine, "commit", commits.append)
    provider = Scripted()

    assert send(world, provider, kind).refused == 1  # type: ignore[union-attr]
    assert (provider.mails, world.states()) == ([], {"planned": 1})


def test_what_is_too_late_expires_unsent(world: World) -> None:
    world.plan(world.person(), late=timedelta(hours=1))
    later = world.later(hours=1)
    with world.ws.store.write() as conn:
        assert recover(conn, at=later.at).expired == 1
    with world.ws.store.read() as conn:
        assert conn.execute(select(decision.c.reason).where(decision.c.phase == "intent")).scalar_one() == "expired"


def test_stopped_mail_is_not_claimed(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.write() as conn:
        switch.stop(conn, "sequence:welcome", "me", "test", world.at)
    assert send(world, Scripted()) is None


def test_a_stop_after_the_claim_holds_the_mail_back(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with world.ws.store.write() as conn:
        switch.stop(conn, "all", "me", "test", world.at)
    with world.ws.store.write() as conn:
        assert intend(conn, world.ws, composed, at=world.at).counts.released == 1
    assert world.states() == {"planned": 1}


def test_resuming_sends_what_waited(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.write() as conn:
        switch.stop(conn, "all", "me", "test", world.at)
        switch.resume(conn, "all", "me", "mended", world.at)
    assert send(world, Scripted()).accepted == 1  # type: ignore[union-attr]


def test_a_wrong_key_opens_the_circuit_at_once(world: World) -> None:
    provider = Scripted([Refused("http 401", opens_circuit=True)])
    world.plan(world.person(), world.person(), batch_limit=1)
    send(world, provider)
    assert send(world, provider) is None
    assert world.states() == {"planned": 2}


def test_a_probe_closes_the_circuit(world: World) -> None:
    provider = Scripted([Refused("http 401", opens_circuit=True)])
    world.plan(world.person())
    send(world, provider)
    later = world.later(minutes=16)
    assert send(later, provider).accepted == 1  # type: ignore[union-attr]
    with world.ws.store.read() as conn:
        assert circuit.look(conn, "outbox", later.at).state == "closed"


def test_a_probe_with_a_bad_address_before_a_good_one_closes_the_circuit(world: World) -> None:
    """What was taken counts, wherever in the batch it stood."""
    world.plan(world.person())
    send(world, Scripted([Refused("http 401", opens_circuit=True)]))
    later = world.later(minutes=16)
    with world.ws.store.write() as conn:
        assert circuit.enter(conn, "outbox", "marketing", later.at)
        assert (
            circuit.record(conn, "outbox", "marketing", [Rejected("fault address"), Accepted("x")], later.at)
            == "closed"
        )


def test_five_doubts_in_a_row_open_the_circuit(world: World) -> None:
    provider = Scripted([Unknown("timeout")] * 6)
    world.plan(*(world.person() for _ in range(6)), batch_limit=1)
    results = [send(world, provider) for _ in range(6)]
    assert [counts is not None for counts in results] == [True] * 5 + [False]


def test_a_new_provider_takes_what_waits(world: World) -> None:
    """Nothing queued for the former provider is lost when another is set."""
    world.plan(world.person())
    assert send(world, Scripted(name="sendgrid", batch_limit=1)).accepted == 1  # type: ignore[union-attr]
    with world.ws.store.read() as conn:
        assert conn.execute(select(send_batch.c.provider)).scalar_one() == "sendgrid"


def test_a_new_provider_takes_over_what_the_old_one_refused(world: World) -> None:
    """A refusal is certain, and a key that no longer works is the usual reason to change."""
    world.plan(world.person())
    send(world, Scripted([Refused("http 401", opens_circuit=True)]))
    taken = send(world.later(hours=1), Scripted(name="sendgrid"))
    assert taken is not None
    assert (taken.accepted, world.states()) == (1, {"accepted": 1})


def test_a_new_provider_leaves_what_may_have_been_taken(world: World) -> None:
    world.plan(world.person())
    send(world, Scripted([Unknown("timeout")]))
    assert send(world.later(hours=1), Scripted(name="sendgrid")) is None


def test_a_new_provider_takes_what_is_too_large_in_parts(world: World) -> None:
    """Nobody had claimed the batch, so that it can be cut; each mail leaves once."""
    world.plan(*(world.person() for _ in range(5)))
    provider = Scripted(name="smtp", batch_limit=2)
    while send(world, provider) is not None:
        pass
    assert [len(batch) for batch in provider.got] == [2, 2, 1]
    assert (len({one.to_address for one in provider.mails}), world.states()) == (5, {"accepted": 5})


def test_a_new_provider_leaves_what_is_too_large_and_was_tried(world: World) -> None:
    """What was claimed once is never cut: proofs name it."""
    world.plan(world.person(), world.person())
    send(world, Scripted([Refused("http 401", opens_circuit=True)]))
    assert send(world.later(hours=1), Scripted(name="sendgrid", batch_limit=1)) is None


def test_another_environment_claims_nothing(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.write() as conn:
        conn.execute(update(send_batch).values(environment="another"))
    assert send(world, Scripted()) is None


def test_a_lapsed_claim_goes_back(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.write() as conn:
        claim(conn, owner="dead", kind="marketing", at=world.at)
    later = world.later(minutes=6)
    with world.ws.store.write() as conn:
        assert recover(conn, at=later.at).released == 1
    assert send(later, Scripted()).accepted == 1  # type: ignore[union-attr]


def test_a_claim_from_the_future_goes_back(world: World) -> None:
    """A worker told to act at a later time died: its lease does not hold the batch until then."""
    world.plan(world.person())
    with world.ws.store.write() as conn:
        claim(conn, owner="ahead", kind="marketing", at=world.at + timedelta(days=1))
        assert recover(conn, at=world.at).released == 1
    assert send(world, Scripted()).accepted == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["smtp", "sendgrid"])
def test_real_mail_is_never_sent_ahead(world: World, name: str) -> None:
    provider = Scripted(name=name)
    refuse_ahead(provider, at=world.at, now=world.at)
    with pytest.raises(DeliveryError, match="is to come"):
        refuse_ahead(provider, at=world.later(hours=1).at, now=world.at)


def test_the_outbox_may_be_sent_to_ahead(world: World) -> None:
    refuse_ahead(Scripted(), at=world.later(hours=1).at, now=world.at)


def test_a_late_worker_is_fenced_off(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.write() as conn:
        old = claim(conn, owner="slow", kind="marketing", at=world.at)
    assert old is not None
    composed = compose(world.ws, world.library, old, at=world.at)
    later = world.later(minutes=6)
    with world.ws.store.write() as conn:
        recover(conn, at=later.at)
        claim(conn, owner="fast", kind="marketing", at=later.at)
    with world.ws.store.write() as conn:
        assert intend(conn, world.ws, composed, at=later.at).ready == ()


def test_a_batch_that_kills_its_workers_is_set_aside(world: World) -> None:
    world.plan(world.person())
    moment = world
    for _ in range(3):
        with world.ws.store.write() as conn:
            assert claim(conn, owner="dead", kind="marketing", at=moment.at) is not None
        moment = moment.later(minutes=6)
        with world.ws.store.write() as conn:
            recover(conn, at=moment.at)
    assert world.states() == {"failed_render": 1}


def submitted(world: World) -> object:
    """Go as far as the committed intent."""
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)
    with world.ws.store.write() as conn:
        return intend(conn, world.ws, composed, at=world.at)


def test_a_lapsed_submission_is_in_doubt(world: World) -> None:
    world.plan(world.person())
    submitted(world)
    with world.ws.store.write() as conn:
        assert recover(conn, at=world.later(minutes=6).at).in_doubt == 1
    assert world.states() == {"in_doubt": 1}


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Accepted("x"), "accepted"), (Refused("y"), "planned"), (Rejected("z"), "rejected"), (Unknown("u"), "in_doubt")],
)
def test_a_late_answer_resolves_the_doubt(world: World, outcome: object, state: str) -> None:
    world.plan(world.person())
    submission = submitted(world)
    later = world.later(minutes=6)
    with world.ws.store.write() as conn:
        recover(conn, at=later.at)
        settle(conn, submission, [outcome], at=later.at)  # type: ignore[arg-type,list-item]
    assert world.states() == {state: 1}


def test_a_second_answer_changes_nothing(world: World) -> None:
    world.plan(world.person())
    submission = submitted(world)
    with world.ws.store.write() as conn:
        settle(conn, submission, [Accepted("x")], at=world.at)  # type: ignore[arg-type]
        assert settle(conn, submission, [Refused("y")], at=world.at).refused == 0  # type: ignore[arg-type]
    assert world.states() == {"accepted": 1}


def test_a_rolled_back_intent_leaves_nothing(world: World) -> None:
    world.plan(world.person(), world.person(consent=False))
    with world.ws.store.write() as conn:
        held = claim(conn, owner="w1", kind="marketing", at=world.at)
    assert held is not None
    composed = compose(world.ws, world.library, held, at=world.at)

    def crash() -> None:
        with world.ws.store.write() as conn:
            intend(conn, world.ws, composed, at=world.at)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    tables = (authorisation, delivery_attempt, send_slot, decision, message_exception)
    with world.ws.store.read() as conn:
        assert [conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables] == [0] * 5


def test_the_outbox_takes_a_whole_batch(world: World) -> None:
    outbox = Outbox(world.ws.home / "outbox", Sender("post@example.com", "Musterwerk"))
    world.plan(world.person(), world.person())
    send_next(world.ws, world.library, outbox, kind="marketing", owner="w1", at=world.at)
    with world.ws.store.read() as conn:
        ids = set(conn.execute(select(message.c.public_id)).scalars())
    assert {path.stem for path in (world.ws.home / "outbox").glob("*.eml")} == ids


def test_a_message_row_never_changes(world: World) -> None:
    world.plan(world.person())
    with pytest.raises(Exception, match="immutable"), world.ws.store.write() as conn:
        conn.execute(update(message).values(step="other"))


def test_two_messages_for_one_step_are_refused(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.read() as conn:
        row = dict(conn.execute(select(message)).one()._mapping)  # noqa: SLF001  SQLAlchemy's documented way
    row |= {"public_id": "another", "id": row["id"] + 1}
    with pytest.raises(Exception, match=r"(?i)unique"), world.ws.store.write() as conn:
        conn.execute(insert(message), row)


def test_the_purpose_is_the_batchs(world: World) -> None:
    world.plan(world.person())
    with world.ws.store.read() as conn:
        assert conn.execute(select(send_batch.c.purpose)).scalar_one() == PURPOSE
