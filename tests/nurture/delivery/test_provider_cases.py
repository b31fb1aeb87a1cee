"""What every provider must do, whichever it is."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from nurture import settings as known
from nurture.delivery.content.pieces import Content
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Accepted, Outgoing, Refused, Rejected, Sender, open_provider
from nurture.delivery.sendgrid import SendGrid
from nurture.delivery.smtp import Smtp
from tests.nurture.delivery.mailhost import Mailhost
from tests.nurture.delivery.mails import changed
from tests.nurture.delivery.stub import Stub, answer
from tests.nurture.delivery.test_mime import MAIL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consent.keys import Keyring
    from nurture.delivery.provider import Outcome, Provider
    from nurture.settings import Settings

SENDER = Sender("post@example.com", "Musterwerk")
KINDS = ["outbox", "sendgrid", "smtp"]


@pytest.fixture(params=KINDS)
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Provider]:
    """One of each kind, with somebody to talk to."""
    with ExitStack() as stack:
        if request.param == "sendgrid":
            stub = stack.enter_context(Stub([answer(202, X_Message_Id="abc")]).run())
            yield SendGrid(SENDER, key="SG.0123456789", url=stub.url, timeout=5)
        elif request.param == "smtp":
            host = stack.enter_context(Mailhost().run())
            yield Smtp(SENDER, host="127.0.0.1", port=host.port, security="none", timeout=5)
        else:
            yield Outbox(tmp_path / "outbox", SENDER)


@pytest.fixture(params=KINDS)
def unreachable(request: pytest.FixtureRequest, tmp_path: Path) -> Provider:
    """One of each kind, with nobody to talk to."""
    if request.param == "sendgrid":
        return SendGrid(SENDER, key="SG.0123456789", url="http://127.0.0.1:1", timeout=1)
    if request.param == "smtp":
        return Smtp(SENDER, host="127.0.0.1", port=1, security="none", timeout=1)
    (tmp_path / "outbox").write_text("in the way")
    return Outbox(tmp_path / "outbox", SENDER)


def test_a_good_mail_is_accepted_with_an_id(provider: Provider) -> None:
    outcome = provider.submit([MAIL])[0]
    assert isinstance(outcome, Accepted)
    assert outcome.provider_message_id


def test_a_name_and_a_limit_are_stated(provider: Provider) -> None:
    assert provider.name in KINDS
    assert 1 <= provider.batch_limit <= 1000


@pytest.mark.parametrize(
    "bad",
    [
        changed(MAIL, to_address="a@example.org, b@example.org"),
        changed(MAIL, to_name="x\r\nBcc: v@example.org"),
        changed(MAIL, subject="x\nBcc: v@example.org"),
        changed(MAIL, headers={"X-A\r\nBcc": "v@example.org"}),
        changed(MAIL, headers={"X-A": "ü"}),
        changed(MAIL, text=""),
    ],
    ids=["two addresses", "name", "subject", "header name", "header value", "no text"],
)
def test_what_could_inject_is_rejected(provider: Provider, bad: Outgoing) -> None:
    assert isinstance(provider.submit([bad])[0], Rejected)


def people(count: int) -> list[Outgoing]:
    """Give mails to several persons that share their content."""
    content = Content(("Guten Tag ", 0), ("<p>Guten Tag ", 1, "</p>"), ("Guten Tag ", 2, "\n"))
    return [
        MAIL._replace(
            public_id=f"{number:026d}",
            to_address=f"p{number}@example.org",
            content=content,
            values=(f"P{number}", f"P&amp;{number}", f"P&{number}"),
        )
        for number in range(count)
    ]


def test_a_batch_gets_an_outcome_for_each(provider: Provider) -> None:
    """All are taken."""
    assert [type(outcome) for outcome in provider.submit(people(7))] == [Accepted] * 7


def test_one_bad_mail_costs_no_other(provider: Provider) -> None:
    """Outcomes stand in the order of the batch, wherever the bad one stands."""
    for place in (0, 2, 4):
        batch = people(5)
        batch[place] = batch[place]._replace(to_address="a@example.org, b@example.org")
        expected: list[type[Outcome]] = [Accepted] * 5
        expected[place] = Rejected
        assert [type(outcome) for outcome in provider.submit(batch)] == expected


def test_only_bad_mails_are_all_rejected(provider: Provider) -> None:
    """Nobody is asked for anything."""
    batch = [mail._replace(values=()) for mail in people(3)]
    assert [type(outcome) for outcome in provider.submit(batch)] == [Rejected] * 3


@pytest.mark.parametrize("values", [("P", "P"), ("P", "P", "P", "P")], ids=["too few", "too many"])
def test_values_that_do_not_fit_their_holes_cost_no_other_mail(provider: Provider, values: tuple[str, ...]) -> None:
    """Whoever has one too few or too many is rejected alone."""
    batch = people(3)
    batch[1] = batch[1]._replace(values=values)
    assert [type(outcome) for outcome in provider.submit(batch)] == [Accepted, Rejected, Accepted]


def test_an_empty_batch_has_no_outcomes(provider: Provider) -> None:
    """And costs nothing."""
    assert list(provider.submit([])) == []


def test_nobody_there_costs_the_rest_nothing(unreachable: Provider) -> None:
    """All are known to be refused, whether tried or not."""
    assert {type(outcome) for outcome in unreachable.submit(people(3))} == {Refused}


def test_nobody_there_is_a_known_refusal(unreachable: Provider) -> None:
    outcome = unreachable.submit([MAIL])[0]
    assert isinstance(outcome, Refused)
    assert not outcome.opens_circuit


def test_no_outcome_names_a_person(unreachable: Provider) -> None:
    assert "erika" not in repr(unreachable.submit([MAIL])[0])


def test_the_outbox_is_the_default(settings: Settings, keyring: Keyring) -> None:
    assert open_provider(settings, keyring).name == "outbox"


WHO_WRITES = {**dict.fromkeys(known.SENDER, "Firma"), "sender_address": "post@firma.example"}


def test_settings_choose_sendgrid(settings: Settings, keyring: Keyring) -> None:
    key = SecretStr("SG.0123456789")
    chosen = settings.model_copy(update={**WHO_WRITES, "provider": "sendgrid", "sendgrid_api_key": key})
    assert open_provider(chosen, keyring).name == "sendgrid"


def test_settings_choose_smtp(settings: Settings, keyring: Keyring) -> None:
    chosen = settings.model_copy(update={**WHO_WRITES, "provider": "smtp", "smtp_host": "mail.example.com"})
    assert open_provider(chosen, keyring).name == "smtp"
