"""Many mails over one line: each outcome is true, whatever the server does and wherever the line breaks."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.delivery import dialogue
from nurture.delivery.provider import NOT_TRIED, Accepted, Outcome, Outgoing, Refused, Rejected, Sender, Unknown
from nurture.delivery.smtp import Smtp
from tests.nurture.delivery.linehost import HANG_UP, MUTE, Linehost
from tests.nurture.delivery.mails import changed
from tests.nurture.delivery.test_mime import MAIL

if TYPE_CHECKING:
    from collections.abc import Sequence

SENDER = Sender("post@example.com", "Musterwerk")


def mails(count: int, first: int = 0) -> list[Outgoing]:
    """Give mails to persons with numbers."""
    return [
        MAIL._replace(public_id=f"{number:026d}", to_address=f"p{number}@example.org")
        for number in range(first, first + count)
    ]


def names(batch: Sequence[Outgoing]) -> list[str]:
    """Give whom a batch is for."""
    return [mail.to_address for mail in batch]


def accepted(batch: Sequence[Outgoing]) -> list[Outcome]:
    """Give what all of a batch meet when all goes well."""
    return [Accepted(f"{mail.public_id}@example.com") for mail in batch]


def smtp(host: Linehost, timeout: float = 2) -> Smtp:
    """Speak to it in the clear."""
    return Smtp(SENDER, host="127.0.0.1", port=host.port, security="none", timeout=timeout)


def submit(host: Linehost, batch: Sequence[Outgoing], timeout: float = 2) -> list[Outcome]:
    """Run the host and tell it a batch."""
    host.order = names(batch)
    with host.run():
        provider = smtp(host, timeout)
        outcomes = provider.submit(batch)
        provider.close()
    return outcomes


both = pytest.mark.parametrize("pipelining", [True, False])


@both
def test_a_batch_goes_over_one_line(*, pipelining: bool) -> None:
    """In its order, each once."""
    host, batch = Linehost(pipelining=pipelining), mails(5)
    assert submit(host, batch) == accepted(batch)
    assert (host.taken, host.connections) == (names(batch), 1)


def test_the_next_mail_is_announced_behind_the_dot() -> None:
    """The server answers a dot only when it has read what announces the next: in lock-step nobody would move."""
    batch = mails(3)
    host = Linehost(before_answer=dict.fromkeys(names(batch)[:2], 3))
    assert submit(host, batch) == accepted(batch)
    assert [line[:4] for line in host.ahead] == [b"MAIL", b"RCPT", b"DATA"] * 2


def test_no_second_mail_follows_a_dot_without_answer() -> None:
    """Only one is in doubt: behind the group nothing comes before the server says 354."""
    batch = mails(3)
    host = Linehost(before_answer={batch[0].to_address: 4})
    outcomes = submit(host, batch, timeout=0.3)
    assert [type(outcome) for outcome in outcomes] == [Unknown, Refused, Refused]
    assert outcomes[1:] == [NOT_TRIED] * 2
    assert host.ahead[3:] == [b""]


def test_without_pipelining_each_command_waits_for_its_answer() -> None:
    """A server that does not offer it may lose what comes early."""
    batch = mails(2)
    host = Linehost(pipelining=False, before_answer={batch[0].to_address: 1})
    assert [type(outcome) for outcome in submit(host, batch, timeout=0.3)] == [Unknown, Refused]
    assert host.ahead == [b""]


@both
def test_one_recipient_refused_for_ever_costs_nobody_else(*, pipelining: bool) -> None:
    """The next begins anew."""
    batch = mails(4)
    host = Linehost({(names(batch)[1], "RCPT"): "550 no such user"}, pipelining=pipelining)
    expected = accepted(batch)
    expected[1] = Rejected("rcpt 550")
    assert submit(host, batch) == expected
    assert host.taken == [names(batch)[number] for number in (0, 2, 3)]


def test_a_server_that_wants_content_for_nobody_gets_none() -> None:
    """It says 354 after the only recipient was refused: a dot alone ends it, and nobody gets an empty mail."""
    batch = mails(3)
    host = Linehost({(names(batch)[1], "RCPT"): "550 no such user"}, eager=True)
    assert [type(outcome) for outcome in submit(host, batch)] == [Accepted, Rejected, Accepted]
    assert host.taken == [names(batch)[0], names(batch)[2]]


@both
@pytest.mark.parametrize("stage", ["RCPT", "dot"])
def test_a_refusal_for_now_does_not_keep_the_others_waiting(stage: str, *, pipelining: bool) -> None:
    """Greylisting, a full mailbox: theirs alone."""
    batch = mails(4)
    host = Linehost({(names(batch)[0], stage): "450 later"}, pipelining=pipelining)
    outcomes = submit(host, batch)
    assert [type(outcome) for outcome in outcomes] == [Refused, Accepted, Accepted, Accepted]


def test_three_refusals_for_now_in_a_row_end_it() -> None:
    """Then the server is the trouble."""
    batch = mails(6)
    host = Linehost({(name, "RCPT"): "451 lookup failed" for name in names(batch)[1:]})
    assert submit(host, batch) == [*accepted(batch[:1]), *[Refused("rcpt 451")] * 3, *[NOT_TRIED] * 2]


@both
def test_a_server_that_had_enough_of_a_line_gets_a_new_one(*, pipelining: bool) -> None:
    """Many servers take only so many mails over a line."""
    batch = mails(5)
    host = Linehost(most=2, pipelining=pipelining)
    assert submit(host, batch) == accepted(batch)
    assert (host.taken, host.connections) == (names(batch), 3)


def test_a_server_that_wants_nothing_is_asked_once() -> None:
    """A new line told that, too: the rest waits."""
    batch = mails(3)
    host = Linehost(most=0)
    first, *rest = submit(host, batch)
    assert isinstance(first, Refused)
    assert not first.opens_circuit
    assert (rest, host.connections, host.taken) == ([NOT_TRIED] * 2, 1, [])


@both
def test_our_sender_refused_is_no_fault_of_the_mail(*, pipelining: bool) -> None:
    """For ever: a person must look."""
    batch = mails(2)
    host = Linehost({(names(batch)[0], "MAIL"): "550 not you"}, pipelining=pipelining)
    assert submit(host, batch) == [Refused("mail 550", opens_circuit=True), NOT_TRIED]


def test_an_answer_too_many_stops_all_before_the_mail() -> None:
    """What the server says could not be assigned any more: the answer to DATA would pass for that to the dot."""
    batch = mails(2)
    host = Linehost({(names(batch)[0], "DATA"): "354 go on\r\n250 what?"})
    assert submit(host, batch) == [Refused("dialogue GarbledError"), NOT_TRIED]
    assert host.taken == []


def test_a_kept_line_is_used_again() -> None:
    """By the next batch, at once."""
    first, second = mails(2), mails(2, first=2)
    host = Linehost(order=names([*first, *second]))
    with host.run():
        provider = smtp(host)
        assert provider.submit(first) + provider.submit(second) == accepted([*first, *second])
        provider.close()
    assert (host.connections, host.commands.count("EHLO")) == (1, 1)


def test_a_line_that_the_server_ended_is_not_used_again() -> None:
    """Nor one that broke while it rested: a new one carries the mail."""
    first, second = mails(2), mails(2, first=2)
    host = Linehost({(names(first)[1], "dot"): "250 taken\r\n421 bye"}, order=names([*first, *second]))
    with host.run():
        provider = smtp(host)
        assert provider.submit(first) == accepted(first)
        time.sleep(0.05)
        assert provider.submit(second) == accepted(second)
        provider.close()
    assert (host.connections, host.taken) == (2, names([*first, *second]))


def test_a_line_that_rested_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may end it at the moment we write."""
    monkeypatch.setattr(dialogue, "LONGEST_IDLE", -1)
    host, batch = Linehost(), mails(2)
    with host.run():
        provider = smtp(host)
        assert provider.submit(batch[:1]) + provider.submit(batch[1:]) == accepted(batch)
        provider.close()
    assert host.connections == 2


def test_a_line_after_a_refused_recipient_begins_anew() -> None:
    """The transaction of the last mail of a batch is still open on the kept line."""
    first, second = mails(1), mails(1, first=1)
    host = Linehost({(names(first)[0], "RCPT"): "550 no such user"}, order=names([*first, *second]))
    with host.run():
        provider = smtp(host)
        assert provider.submit(first) == [Rejected("rcpt 550")]
        assert provider.submit(second) == accepted(second)
        provider.close()
    assert (host.connections, host.commands.count("RSET")) == (1, 1)


def test_a_server_that_answers_slowly_does_not_outlast_the_permits() -> None:
    """A batch ends in about three timeouts; what was not begun by then is not tried."""
    batch = mails(40)
    host = Linehost()
    slow = threading.Event()
    host.script = _Slow(slow)
    started = time.monotonic()
    outcomes = submit(host, batch, timeout=0.3)
    assert time.monotonic() - started < 2
    assert outcomes[0] == accepted(batch)[0]
    assert outcomes[-1] == NOT_TRIED
    told = [mail.to_address for mail, outcome in zip(batch, outcomes, strict=True) if isinstance(outcome, Accepted)]
    assert host.taken[: len(told)] == told
    assert len(host.taken) - len(told) <= sum(isinstance(outcome, Unknown) for outcome in outcomes)


class _Slow(dict[tuple[str, str], str]):
    """A script that takes its time over each dot."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self.event = event

    def get(self, key: tuple[str, str], default: str = "") -> str:  # type: ignore[override]
        """Answer well, late."""
        if key[1] == "dot":
            self.event.wait(0.05)
        return default


def test_half_a_character_costs_its_mail_alone() -> None:
    """It has no bytes; the others are told."""
    batch = mails(3)
    batch[1] = changed(batch[1], text="\ud800")
    host = Linehost()
    assert [type(outcome) for outcome in submit(host, batch)] == [Accepted, Rejected, Accepted]


def test_lanes_have_lines_of_their_own() -> None:
    """Four threads at once: every mail arrives once, over at most four lines."""
    batches = [mails(10, first=10 * number) for number in range(8)]
    host = Linehost()
    with host.run():
        provider = smtp(host)
        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(provider.submit, batches))
        provider.close()
    assert outcomes == [accepted(batch) for batch in batches]
    assert sorted(host.taken) == sorted(name for batch in batches for name in names(batch))
    assert host.connections <= 4


ANSWERS = {
    "MAIL": ["451 later", "550 no", "421 bye", HANG_UP, "what?"],
    "RCPT": ["450 later", "550 no", "421 bye", HANG_UP, "250 fine\r\n250 fine"],
    "DATA": ["451 later", "554 no", "421 bye", HANG_UP],
    "dot": ["451 later", "554 no", "421 bye", HANG_UP, "what?", "354 what?"],
}
STEP = st.sampled_from(sorted(ANSWERS)).flatmap(
    lambda stage: st.tuples(st.just(stage), st.sampled_from(ANSWERS[stage]))
)
SCRIPTS = st.dictionaries(st.integers(0, 5), STEP, max_size=4)


@settings(max_examples=60, deadline=None)
@given(SCRIPTS, st.booleans(), st.booleans(), st.sampled_from([1, 2, 100]))
def test_no_outcome_is_false(script: dict[int, tuple[str, str]], pipelining: bool, eager: bool, most: int) -> None:  # noqa: FBT001  hypothesis gives them
    """Whatever the server does: what it took is accepted or in doubt, what is accepted it took, nothing twice."""
    batch = mails(6)
    host = Linehost(
        {(names(batch)[number], stage): answer for number, (stage, answer) in script.items()},
        pipelining=pipelining,
        eager=eager,
        most=most,
    )
    outcomes = submit(host, batch)

    assert len(host.taken) == len(set(host.taken))
    by_name = dict(zip(names(batch), outcomes, strict=True))
    assert {name for name, outcome in by_name.items() if isinstance(outcome, Accepted)} <= set(host.taken)
    certain = {name for name, outcome in by_name.items() if isinstance(outcome, Refused | Rejected)}
    assert not certain & set(host.taken)
    assert sum(isinstance(outcome, Unknown) for outcome in outcomes) <= 1


@both
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "dot"])
def test_silence_is_in_doubt_only_after_the_dot(stage: str, *, pipelining: bool) -> None:
    """The second of three: the first was taken, the third not tried."""
    batch = mails(3)
    host = Linehost({(names(batch)[1], stage): MUTE}, pipelining=pipelining)
    first, second, third = submit(host, batch, timeout=0.2)
    assert (type(first), type(second), third) == (Accepted, Unknown if stage == "dot" else Refused, NOT_TRIED)
