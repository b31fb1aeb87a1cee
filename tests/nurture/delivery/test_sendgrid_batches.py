"""Many readers in one request: what is shared, what is substituted, and how a refused one is split."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sendgrid.helpers import mail as helpers

from nurture.delivery.content.pieces import Content
from nurture.delivery.dialogue import Letter
from nurture.delivery.provider import NOT_TRIED, Accepted, Refused, Rejected, Unknown
from nurture.delivery.sendgrid import LARGEST_SUBSTITUTIONS, SendGrid, request_body
from nurture.delivery.sendgrid_logs import Doubtful
from tests.nurture.delivery.stub import Stub, answer
from tests.nurture.delivery.test_sendgrid_transport import KEY, MAIL, SENDER

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from nurture.delivery.provider import Outgoing
    from tests.nurture.delivery.stub import Act

SHARED = Content(
    ("Guten Tag ", 0), ("<p>", 1, " liest</p>"), ("Hallo ", 2, "!"),
    (("List-Unsubscribe", ("<https://example.com/u/", 0, ">")), ("List-Unsubscribe-Post", ("One-Click",))),
)  # fmt: skip


def mails(count: int, content: Content = SHARED) -> list[Outgoing]:
    """Give so many mails of one content."""
    return [
        MAIL._replace(
            public_id=f"{number:026d}",
            to_address=f"p{number}@example.org",
            content=content,
            values=(f"P{number}", f"&lt;{number}&gt;", f"<{number}>"),
        )
        for number in range(count)
    ]


def written(body: dict[str, Any], number: int) -> tuple[str, str, str]:
    """Do what SendGrid does: put one reader's substitutions into the content."""
    parts = [body["subject"], body["content"][1]["value"], body["content"][0]["value"]]
    for key, value in body["personalizations"][number].get("substitutions", {}).items():
        parts = [part.replace(key, value) for part in parts]
    return parts[0], parts[1], parts[2]


def refuse_if(bad: set[str]) -> Act:
    """Refuse requests that name one of these addresses, as SendGrid does: as a whole."""

    def act(wire: socket.socket) -> None:
        body = json.dumps(STUBS[-1].requests[-1].json)
        answer(400 if any(address in body for address in bad) else 202, X_Message_Id="ok")(wire)

    return act


STUBS: list[Stub] = []


def post(stub: Stub, batch: list[Outgoing]) -> list[Any]:
    """Send a batch to a stub."""
    STUBS.append(stub)
    with stub.run():
        return SendGrid(SENDER, key=KEY, url=stub.url, timeout=2).submit(batch)


def test_a_batch_is_one_request() -> None:
    stub = Stub([answer(202, X_Message_Id="m")])
    assert post(stub, mails(300)) == [Accepted("m")] * 300
    assert [len(request.json["personalizations"]) for request in stub.requests] == [300]


@pytest.mark.parametrize("number", [0, 7])
def test_each_reader_gets_what_was_written_for_them(number: int) -> None:
    batch = mails(8)
    one = batch[number]
    assert written(request_body(SENDER, batch), number) == (one.subject, one.html, one.text)


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=4))
def test_no_value_is_ever_taken_for_a_key(values: list[tuple[str, str, str]]) -> None:
    """Whatever people typed, also what looks like our own keys."""
    batch = [one._replace(values=value) for one, value in zip(mails(len(values)), values, strict=True)]
    body = request_body(SENDER, batch)
    assert [written(body, number) for number in range(len(batch))] == [
        (one.subject, one.html, one.text) for one in batch
    ]


MARKS_AND_DIGITS = st.text(st.sampled_from("~^|0123A"), max_size=3)
PIECES = st.lists(st.integers(0, 3) | st.integers(0, 11) | MARKS_AND_DIGITS, max_size=8).map(tuple)


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[Outgoing], list[int]]:
    """Readers of one content full of digits and holes side by side, and an order to replace in, more than once."""
    content = Content(draw(PIECES), draw(PIECES), draw(PIECES))
    values = st.tuples(*[MARKS_AND_DIGITS] * content.holes)
    batch = [one._replace(values=draw(values)) for one in mails(draw(st.integers(1, 3)), content)]
    return batch, draw(st.permutations([*range(content.holes)] * 2))


def small(*html: str | int, values: tuple[str, ...]) -> list[Outgoing]:
    """Give one mail of these pieces."""
    return [mails(1, Content(("Tag",), html, ("Hallo",)))[0]._replace(values=values)]


@settings(max_examples=500)
@given(requests())
@example((small(2, "1", 3, " ", 0, 1, values=("P", "K", "A", "M")), [1, 0, 2, 3]))
@example((small(0, 1, 2, values=("P", "1", "M")), [1, 0, 2]))
@example((small(*range(11), values=tuple("abcdefghijk")), [1, 0, *range(2, 11)]))
@example((small(0, 1, 2, values=("~", "A0", "^|")), [0, 1, 2]))
def test_no_order_of_replacing_makes_a_key(made: tuple[list[Outgoing], list[int]]) -> None:
    """Of keys, text and values side by side: a digit between two keys, or a value of digits, is nobody's key."""
    batch, order = made
    body = request_body(SENDER, batch)
    for number, one in enumerate(batch):
        replaced = list(body["personalizations"][number].get("substitutions", {}).items())
        read = [body["subject"], body["content"][1]["value"], body["content"][0]["value"]]
        for hole in order:
            read = [part.replace(*replaced[hole]) for part in read]
        assert read == [one.subject, one.html, one.text]


def mark_of(body: dict[str, Any]) -> str:
    """Give what all keys of a request begin with."""
    [mark] = {str(key).rstrip("0123456789") for key in body["personalizations"][0]["substitutions"]}
    return mark


@pytest.mark.parametrize("used", ["", "~", "~^", "~^|"])
def test_a_key_is_marked_by_what_stands_nowhere_else(used: str) -> None:
    """Neither in a value nor in the content."""
    content = Content(("Tag ", 0), ("<p>", 1, f"0{used[:1]}</p>"), ("Hallo ", 2, "!"))
    batch = [one._replace(values=("P", f"{used}0", used)) for one in mails(3, content)]
    mark = mark_of(request_body(SENDER, batch))
    assert not any(mark in said for one in batch for said in (*one.values, *map(str, content.html)))


@pytest.mark.parametrize(
    "changed",
    [
        {"to_name": "a~"},
        {"to_address": "a~@example.org"},
        {"category": "~"},
        {"content": replace(SHARED, subject=("~", 0))},
    ],
)
def test_a_mark_stands_nowhere_in_the_request(changed: dict[str, Any]) -> None:
    """Also where the provider does not say whether it replaces."""
    body = request_body(SENDER, [mails(1)[0]._replace(**changed)])
    assert mark_of(body) == "^"


def test_a_mark_is_found_though_every_short_one_was_typed() -> None:
    """Where all signs are used, letters follow; here stand all twos of them."""
    every = "^|" + "".join(f"~{one}{two}" for one, two in product(ascii_uppercase, repeat=2))
    batch = [one._replace(values=("", every, "")) for one in mails(2)]
    assert len(mark_of(request_body(SENDER, batch))) > len("~AB")


def test_a_mark_is_not_what_two_values_make_side_by_side() -> None:
    """Each letter follows a sign in the mail of one of the readers, though in no value of theirs."""
    content = Content(("Tag ", 0), ("<p>", 1, 2, 0, "</p>"), ("^|",))
    batch = [
        one._replace(values=(letter, "~", "")) for one, letter in zip(mails(26, content), ascii_uppercase, strict=True)
    ]
    assert len(mark_of(request_body(SENDER, batch))) > len("~A")


def test_no_text_of_a_mail_stands_in_a_repr() -> None:
    """Whatever a log or a traceback shows: neither what somebody reads nor where it goes."""
    whole = Content.whole("Guten Tag Erika", "<p>Erika</p>", "Erika")
    letter = Letter(0, "b+token@example.com", "erika@example.org", b"Erika")
    asked = Doubtful(1, "a" * 26, "erika@example.org", MAIL.at, MAIL.at)
    assert "erika" not in repr((whole, letter, asked, MAIL)).lower()


def test_html_and_text_have_values_of_their_own() -> None:
    values = list(request_body(SENDER, mails(1))["personalizations"][0]["substitutions"].values())
    assert values == ["P0", "&lt;0&gt;", "<0>"]


def test_two_contents_are_two_requests() -> None:
    other = Content(("Guten Tag ", 0), ("<p>", 1, "</p>"), ("Hallo ", 2))
    stub = Stub([answer(202, X_Message_Id="m")])
    post(stub, [*mails(2), *mails(4, other)[2:], mails(5)[4]])
    assert sorted(len(request.json["personalizations"]) for request in stub.requests) == [2, 3]


def test_an_address_stands_in_a_request_once() -> None:
    stub = Stub([answer(202, X_Message_Id="m")])
    twice = mails(3)[2]._replace(to_address="P0@example.org")
    post(stub, [*mails(2), twice])
    assert [len(request.json["personalizations"]) for request in stub.requests] == [2, 1]


def test_large_values_get_a_request_of_their_own_written_out() -> None:
    stub = Stub([answer(202, X_Message_Id="m")])
    large = mails(3)[2]._replace(values=("P", "x" * LARGEST_SUBSTITUTIONS, "y"))
    post(stub, [*mails(2), large])
    [alone] = [request.json for request in stub.requests if len(request.json["personalizations"]) == 1]
    assert (written(alone, 0)[1], "substitutions" in alone["personalizations"][0]) == (large.html, False)


def test_keys_count_into_the_limit_too() -> None:
    """SendGrid's words leave open whether they do; a request above it would be refused for good."""
    stub = Stub([answer(202)])
    close = mails(1)[0]._replace(values=("P", "x" * (LARGEST_SUBSTITUTIONS - 10), "y"))
    post(stub, [close])
    assert "substitutions" not in stub.requests[0].json["personalizations"][0]


@pytest.mark.parametrize("bad", [{0}, {7}, {3, 4}, {0, 1, 2, 8}])
def test_one_bad_recipient_stops_nobody_else(bad: set[int]) -> None:
    stub = Stub([refuse_if({f'"p{number}@example.org"' for number in bad})])
    outcomes = post(stub, mails(9))
    assert [isinstance(one, Rejected) for one in outcomes] == [number in bad for number in range(9)]
    assert all(isinstance(one, Accepted | Rejected) for one in outcomes)


def test_a_split_takes_few_requests() -> None:
    stub = Stub([refuse_if({'"p700@example.org"'})])
    outcomes = post(stub, mails(1000))
    assert sum(isinstance(one, Rejected) for one in outcomes) == 1
    assert len(stub.requests) <= 21


def test_too_many_for_one_request_go_in_several() -> None:
    """A gateway that takes smaller requests only condemns nobody."""

    def act(wire: socket.socket) -> None:
        many = len(STUBS[-1].requests[-1].json["personalizations"]) > 2
        answer(413 if many else 202, X_Message_Id="ok")(wire)

    assert post(Stub([act]), mails(9)) == [Accepted("ok")] * 9


def test_a_fault_of_all_is_not_asked_a_thousand_times() -> None:
    stub = Stub([answer(400)])
    outcomes = post(stub, mails(1000))
    assert {type(one) for one in outcomes} == {Rejected}
    assert len(stub.requests) <= 25


def test_trouble_in_the_middle_leaves_the_rest_untried() -> None:
    other = Content(("Guten Tag ", 0), ("<p>", 1, "</p>"), ("Hallo ", 2))
    outcomes = post(Stub([answer(503)]), [*mails(2), *mails(4, other)[2:]])
    assert sorted(repr(one) for one in outcomes) == sorted(
        repr(one) for one in [Unknown("http 503")] * 2 + [NOT_TRIED] * 2
    )


@pytest.mark.parametrize("trouble", [429, 503])
def test_trouble_with_one_half_does_not_condemn_the_other(trouble: int) -> None:
    """A batch refused as a whole says nothing of each; the half that was not asked for goes again."""
    outcomes = post(Stub([answer(400), answer(trouble)]), mails(4))
    assert outcomes[2:] == [NOT_TRIED] * 2
    assert {type(one) for one in outcomes[:2]} == {Refused if trouble == 429 else Unknown}


def test_trouble_leaves_nobody_condemned_who_was_refused_with_others_only() -> None:
    """Four of sixteen were refused alone; the four behind them together, before trouble came."""
    outcomes = post(Stub([*[answer(400)] * 10, answer(429)]), mails(16))
    assert [isinstance(one, Rejected) for one in outcomes] == [True] * 4 + [False] * 12
    assert outcomes[4:8] == [NOT_TRIED] * 4


def test_what_takes_too_long_is_decided_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of many requests does not outlive by much the consents it was permitted on."""
    seconds = iter([0.0] * 3 + [100.0] * 1000)
    monkeypatch.setattr("nurture.delivery.sendgrid.stopwatch", lambda: next(seconds))
    own = [mails(1, Content((f"{number}",), ("h",), ("t",)))[0]._replace(values=()) for number in range(3)]
    stub = Stub([answer(202, X_Message_Id="m")])
    outcomes = post(stub, own)
    assert (outcomes.count(Accepted("m")), outcomes.count(NOT_TRIED), len(stub.requests)) == (1, 2, 1)


def test_a_wish_without_end_is_heeded_for_an_hour() -> None:
    """A server with a wrong clock does not silence this process for years."""
    stub = Stub([answer(202, X_Message_Id="m", X_RateLimit_Remaining="0", X_RateLimit_Reset="999999999999")])
    with stub.run():
        provider = SendGrid(SENDER, key=KEY, url=stub.url, timeout=2)
        provider.submit(mails(1))
        [refused] = provider.submit(mails(1))
    assert isinstance(refused, Refused)
    assert refused.retry_after is not None
    assert refused.retry_after <= 3600


def test_a_spent_rate_limit_is_not_asked_again() -> None:
    """The provider said when it takes more; until then no request is made."""
    stub = Stub([answer(202, X_Message_Id="m", X_RateLimit_Remaining="0", X_RateLimit_Reset="30")])
    with stub.run():
        provider = SendGrid(SENDER, key=KEY, url=stub.url, timeout=2)
        first, second = provider.submit(mails(1))[0], provider.submit(mails(1))[0]
    assert (first, len(stub.requests)) == (Accepted("m"), 1)
    assert isinstance(second, Refused)
    assert second.retry_after is not None
    assert 29 < second.retry_after <= 30


def test_a_batch_fits_sendgrids_schema(shared: Path) -> None:
    schema = json.loads((shared / "data/sendgrid/mail_send_v3.request.schema.json").read_text("utf-8"))
    stub = Stub([answer(202)])
    post(stub, mails(5))
    jsonschema.Draft202012Validator(schema).validate(stub.requests[0].json)


def test_a_batch_means_what_the_helpers_say() -> None:
    batch = mails(2)
    body = request_body(SENDER, batch)
    made = helpers.Mail()
    made.from_email = helpers.From("post@example.com", "Musterwerk")
    made.subject = helpers.Subject(body["subject"])
    # The helpers put each one in front of those before it.
    for one, ours in reversed(list(zip(batch, body["personalizations"], strict=True))):
        person = helpers.Personalization()
        person.add_to(helpers.To(one.to_address, one.to_name))
        for name, value in {"Message-ID": f"<{one.public_id}@example.com>", **one.headers}.items():
            person.add_header(helpers.Header(name, value))
        person.add_custom_arg(helpers.CustomArg("nurture_message_id", one.public_id))
        for key, value in zip(ours["substitutions"], one.values, strict=True):
            person.add_substitution(helpers.Substitution(key, value))
        made.add_personalization(person)
    made.add_content(helpers.Content("text/plain", body["content"][0]["value"]))
    made.add_content(helpers.Content("text/html", body["content"][1]["value"]))
    said = made.get()
    assert [said[name] for name in ("personalizations", "subject", "content", "from")] == [
        body[name] for name in ("personalizations", "subject", "content", "from")
    ]
