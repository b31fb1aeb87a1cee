"""I3 at the door: what was answered is safe, what ends a consent has ended it, and coming again changes nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from consent import ledger as consent_ledger
from consent import opt_in
from consent.addresses import Address
from nurture import failpoints
from nurture.store.tables import event, kill_switch, raw_event
from nurture.tracking import effects, intake
from nurture.tracking.ingest import Ingested, ingest
from nurture.web import arrivals
from tests.nurture.web import provider
from tests.nurture.web.provider import send

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nurture.store.workspace import Workspace
    from tests.nurture.web.visitor import Visitor

    States = Callable[[str], dict[str, str]]
    Ledger = Callable[[], list[str]]
    Mailed = Callable[..., str]
    Count = Callable[[], int]

BOTH = {"newsletter.product": "withdrawn", "email.tracking": "withdrawn"}


def told(name: str, public_id: str | None, seconds: int, **more: Any) -> dict[str, Any]:
    """An event as SendGrid writes it, `seconds` after the test's morning."""
    given = {
        "email": "anna@firma.example", "timestamp": 1_760_000_000 + seconds, "event": name, "sg_event_id": "ev",
        "sg_message_id": "m.1", "response": "250 OK", "attempt": "1", "url": "https://musterwerk.example/a",
    }  # fmt: skip
    return given | ({"nurture_message_id": public_id} if public_id else {}) | more


def apply(workspace: Workspace, hook: Visitor) -> Ingested:
    """Let the flow's work be done."""
    with workspace.store.write() as conn:
        return ingest(conn, workspace, at=hook.clock.now(), limit=500)


def count(workspace: Workspace, table: Any) -> int:
    """How many rows has a table?"""
    with workspace.store.read() as conn:
        return int(conn.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.mark.requirement(95)
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("spamreport", {}),
        ("unsubscribe", {}),
        ("group_unsubscribe", {"asm_group_id": 1}),
        ("dropped", {"reason": "Unsubscribed Address"}),
        ("dropped", {"reason": "Spam Reporting Address"}),
    ],
    ids=["spamreport", "unsubscribe", "group_unsubscribe", "dropped unsubscribed", "dropped spam"],
)
def test_a_no_at_the_provider_ends_consent_before_the_answer(
    hook: Visitor, mailed: Mailed, confirmed: str, states: States, name: str, more: dict[str, Any]
) -> None:
    """No flow has run; the very next authorisation refuses."""
    assert send(hook, json.dumps([told(name, mailed(), 0, **more)]).encode()) == 200
    assert states(confirmed) == BOTH


def test_a_no_by_address_alone_counts_too(hook: Visitor, confirmed: str, states: States) -> None:
    assert send(hook, json.dumps([told("spamreport", None, 0)]).encode()) == 200
    assert states(confirmed) == BOTH


def test_other_drops_wait_for_the_flow(hook: Visitor, mailed: Mailed, workspace: Workspace) -> None:
    assert send(hook, json.dumps([told("dropped", mailed(), 0, reason="Invalid")]).encode()) == 200
    assert count(workspace, event) == 0


def test_trouble_with_our_account_stops_sending_at_once(hook: Visitor, workspace: Workspace) -> None:
    body = [{"event": "account_status_change", "timestamp": 1, "type": "suspended"}]
    assert send(hook, json.dumps(body).encode()) == 200
    assert count(workspace, kill_switch) == 1


def test_a_no_with_its_name_spelt_in_numbers_is_heard(
    hook: Visitor, mailed: Mailed, confirmed: str, states: States
) -> None:
    body = json.dumps([told("spamreport", mailed(), 0)]).replace("spamreport", "\\u0073pamreport")
    assert send(hook, body.encode()) == 200
    assert states(confirmed) == BOTH


def test_a_no_beside_poison_is_heard(hook: Visitor, mailed: Mailed, confirmed: str, states: States) -> None:
    """The body as a whole is no JSON; one element of it is."""
    good = json.dumps(told("unsubscribe", mailed(), 0))
    assert send(hook, f'[{{"event":"spamreport","timestamp":NaN}},{good},{{"event"]'.encode()) == 200
    assert states(confirmed) == BOTH


def test_the_flow_finds_what_was_applied_at_the_door(
    hook: Visitor, mailed: Mailed, workspace: Workspace, ledger: Ledger
) -> None:
    """Counted once, as new, and without a second withdrawal."""
    public_id = mailed()
    send(hook, json.dumps([told("delivered", public_id, 0), told("unsubscribe", public_id, 9)]).encode())
    done = apply(workspace, hook)
    assert (done.events, done.duplicates, done.withdrawn) == (2, 0, 0)
    assert ledger().count("consent.withdrawn") == 1


def test_a_consent_given_after_the_no_stands(
    hook: Visitor, mailed: Mailed, workspace: Workspace, confirmed: str, states: States
) -> None:
    """Neither the flow that comes late nor the provider that tells it again ends what was agreed to afterwards."""
    body = [told("unsubscribe", mailed(), 0)]
    send(hook, json.dumps(body).encode())
    hook.wait(timedelta(days=10).total_seconds())
    with workspace.store.write() as conn:
        asked = opt_in.request(
            conn, workspace.keyring, address=Address.of("anna@firma.example"), purposes=["newsletter.product"],
            controller="default", language="de", source="web", evidence={}, at=hook.clock.now(),
        )  # fmt: skip
        assert asked.request_id is not None
        secret = opt_in.token(conn, workspace.keyring, asked.request_id)
        opt_in.confirm(conn, workspace.keyring, secret, evidence={}, at=hook.clock.now())
    send(hook, json.dumps([body[0] | {"sg_event_id": "told again"}]).encode())
    apply(workspace, hook)
    assert states(confirmed)["newsletter.product"] == "given"


def test_a_mistake_of_ours_costs_no_bytes(
    hook: Visitor, mailed: Mailed, raw_count: Count, monkeypatch: pytest.MonkeyPatch, workspace: Workspace,
    confirmed: str, states: States,
) -> None:  # fmt: skip
    """What could not be applied at the door is stored and answered; the flow applies it."""

    def fail(*_: object, **__: object) -> None:
        raise LookupError("no such thing")

    with monkeypatch.context() as broken:
        broken.setattr(effects, "apply", fail)
        assert send(hook, json.dumps([told("unsubscribe", mailed(), 0)]).encode()) == 200
    assert (raw_count(), count(workspace, event)) == (1, 0)
    assert apply(workspace, hook).withdrawn == 1
    assert states(confirmed) == BOTH


def test_posts_that_would_not_fit_into_memory_come_again_later(
    hook: Visitor, ready: Workspace, raw_count: Count
) -> None:
    """Somebody holds the database: the second post is refused at once, and the provider told when to come again."""
    gatherer = hook.app.state.edge.arrivals._posts  # noqa: SLF001  its room and its patience, made small
    gatherer._heaviest, gatherer._patience = 1, 0.05  # noqa: SLF001
    bodies = [json.dumps([told("delivered", None, second)]).encode() for second in range(2)]
    with ready.store.write() as conn:
        consent_ledger.lock(conn)
        answers = hook.together_with(provider.PATH, [(body, provider.signed(hook, body)) for body in bodies])
    assert [(each.status_code, each.headers["retry-after"]) for each in answers] == [(503, "60")] * 2
    gatherer._heaviest, gatherer._patience = arrivals.POST_BYTES, arrivals.PROVIDER_SECONDS  # noqa: SLF001
    assert (send(hook, bodies[0]), raw_count()) == (200, 1)
    assert (send(hook, bodies[1]), raw_count()) == (200, 2)


class DiedError(Exception):
    """An error in the middle; deaths of the process are in test_killed.py."""


@pytest.mark.parametrize(
    ("point", "answered", "stored"),
    [
        ("webhook.raw_before_commit", 500, 0),
        # An error while applying keeps the bytes and leaves the event to the flow.
        ("webhook.apply_mid", 200, 1),
        ("webhook.raw_after_commit", 500, 1),
    ],
)
def test_a_post_that_comes_again_after_an_error_counts_once(
    hook: Visitor, mailed: Mailed, workspace: Workspace, raw_count: Count, ledger: Ledger, point: str, answered: int,
    stored: int,
) -> None:  # fmt: skip
    body = json.dumps([told("spamreport", mailed(), 0)]).encode()

    def die(name: str) -> None:
        if name == point:
            raise DiedError

    with failpoints.watching(die):
        assert (send(hook, body), raw_count()) == (answered, stored)
    assert send(hook, body) == 200
    apply(workspace, hook)
    assert (raw_count(), count(workspace, event), ledger().count("consent.withdrawn")) == (1, 1, 1)


def test_a_flow_that_dies_in_between_applies_all_or_nothing(
    hook: Visitor, mailed: Mailed, workspace: Workspace
) -> None:
    send(hook, json.dumps([told("delivered", mailed(), 0)]).encode())

    def die(name: str) -> None:
        raise DiedError(name)

    with failpoints.watching(die), pytest.raises(DiedError, match="apply_mid"):
        apply(workspace, hook)
    assert count(workspace, event) == 0
    assert [apply(workspace, hook).events, apply(workspace, hook).events] == [1, 0]


def test_every_sample_comes_to_its_expected_end(
    hook: Visitor, mailed: Mailed, workspace: Workspace, shared: Path, confirmed: str, states: States
) -> None:
    """All in one post, the bad between the good: the good become events, the bad are put aside.

    They are older than the consent to be measured, so the opens and the click leave no row.
    """
    mailed(public_id="01JNURTURE0000000000000001")
    samples = json.loads((shared / "data/sendgrid/event_webhook.samples.json").read_text())
    bad = [each["v"] for each in samples["invalid"]]
    mixed = [each for pair in zip(samples["valid"], bad, strict=False) for each in pair]
    mixed += samples["valid"][len(bad) :] + bad[len(samples["valid"]) :]
    assert send(hook, json.dumps(mixed).encode()) == 200
    done = apply(workspace, hook)
    with workspace.store.read() as conn:
        row = conn.execute(select(raw_event)).one()
    aside = intake.unseal(workspace.keyring, row.sealed_body, row.body_sha256).split(b"\n")
    assert (row.state, len(aside)) == ("quarantined", len(bad))
    assert done.kinds == KINDS
    assert done.events + done.duplicates + done.untracked + done.foreign == len(samples["valid"])
    assert (done.untracked, states(confirmed)) == (3, BOTH)


KINDS = dict.fromkeys(
    ["processed", "deferred", "delivered", "bounced", "soft_bounced", "dropped", "complained", "unsubscribed",
     "group_unsubscribed", "group_resubscribed", "account_changed", "unknown"], 1,
)  # fmt: skip
"""What the samples leave, by what they are."""


JUNK = st.one_of(
    st.none(), st.integers(), st.text(max_size=20), st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8), max_size=3),
    st.builds(lambda name: {"event": name, "timestamp": 1}, st.sampled_from(["open", "bounce", "spamreport", ""])),
)  # fmt: skip
BROKEN = ["{", '{"a":}', "NaN", "[1,", '"\\ud800"', "}", "nul", '{"event":"spamreport"', "\x01"]


def test_no_neighbour_costs_a_valid_event(hook: Visitor, mailed: Mailed, workspace: Workspace) -> None:
    """Whatever stands beside them in a body, never a 5xx, and every valid event is kept."""
    public_id = mailed()
    second = iter(range(10**6))

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(before=st.lists(JUNK, max_size=3), after=st.lists(JUNK, max_size=3), broken=st.sampled_from(["", *BROKEN]))
    def probe(before: list[Any], after: list[Any], broken: str) -> None:
        good = [told("delivered", public_id, next(second)) for _ in range(2)]
        parts = [json.dumps(each) for each in [*before, good[0], *after, good[1]]]
        # What cannot be read as JSON stands last: nobody can tell where it ends.
        body = "[" + ",".join([*parts, broken] if broken else parts) + "]"
        assert send(hook, body.encode("utf-8", "surrogatepass")) == 200
        apply(workspace, hook)
        stored = {each["timestamp"] for each in good}
        with workspace.store.read() as conn:
            found = conn.execute(select(event.c.at).where(event.c.kind == "delivered")).scalars()
            times = {int(at.timestamp()) for at in found}
        assert stored <= times

    probe()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PROPFIND", "TRACE", "PUT", "DELETE"])
def test_no_other_method_leaves_a_row(
    hook: Visitor, mailed: Mailed, link: Callable[[str, str], str], raw_count: Count, ledger: Ledger, method: str
) -> None:
    public_id, before = mailed(), ledger()
    paths = [f"/c/{link('click', public_id)}/0", f"/o/{link('open', public_id)}.gif", "/hooks/sendgrid"]
    paths.append(f"/u/{link('unsubscribe', public_id)}")
    statuses = {hook.call(method, path).status_code for path in paths}
    assert statuses <= {200, 302, 405}
    assert (raw_count(), ledger()) == (0, before)


# --- clicks ------------------------------------------------------------------------------------


def clicks(workspace: Workspace) -> list[list[dict[str, Any]]]:
    """The clicks that lie raw, by the row that they share."""
    with workspace.store.read() as conn:
        rows = conn.execute(select(raw_event).where(raw_event.c.source == "click")).all()
    return [json.loads(intake.unseal(workspace.keyring, row.sealed_body, row.body_sha256)) for row in rows]


def test_clicks_that_come_together_share_rows_and_all_count(
    visitor: Visitor, mailed: Mailed, link: Callable[[str, str], str], workspace: Workspace
) -> None:
    urls = tuple(f"https://musterwerk.example/{number}" for number in range(30))
    token = link("click", mailed(urls=urls))
    answers = visitor.together_at([f"/c/{token}/{number}" for number in range(30)])
    assert [answer.headers["location"] for answer in answers] == list(urls)
    found = clicks(workspace)
    assert sorted(each["link"] for row in found for each in row) == list(range(30))
    assert len(found) < 30
    assert apply(workspace, visitor).events == 30


def test_a_click_in_a_row_of_others_leaves_none_of_itself_without_consent(
    visitor: Visitor, mailed: Mailed, link: Callable[[str, str], str], workspace: Workspace, other: str
) -> None:
    """Only who agrees stands in the shared row, not as a count either."""
    measured, not_tracked = mailed(), mailed(tracked=False)
    paths = [f"/c/{link('click', public_id)}/0" for public_id in (measured, not_tracked)]
    assert {answer.status_code for answer in visitor.together_at(paths)} == {302}
    assert [[each["message"] for each in row] for row in clicks(workspace)] == [[measured]]


def test_a_reader_does_not_wait_for_whoever_holds_the_database(
    ready: Workspace, visitor: Visitor, mailed: Mailed, link: Callable[[str, str], str], workspace: Workspace
) -> None:
    """The click is led on after a moment, and recorded when the database is free."""
    gatherer = visitor.app.state.edge.arrivals._visits  # noqa: SLF001  its patience, made short
    gatherer._patience = 0.05  # noqa: SLF001
    path = f"/c/{link('click', mailed())}/0"
    with ready.store.write() as conn:
        consent_ledger.lock(conn)
        assert visitor.get(path).status_code == 302
        assert clicks(workspace) == []
    visitor.wait(timedelta(minutes=1).total_seconds())
    gatherer._patience = arrivals.READER_SECONDS  # noqa: SLF001
    assert visitor.get(path).status_code == 302
    assert sum(map(len, clicks(workspace))) == 2
