"""What every provider must do, whichever it is."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

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

    from nurture.delivery.provider import Provider
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


def test_nobody_there_is_a_known_refusal(unreachable: Provider) -> None:
    outcome = unreachable.submit([MAIL])[0]
    assert isinstance(outcome, Refused)
    assert not outcome.opens_circuit


def test_no_outcome_names_a_person(unreachable: Provider) -> None:
    assert "erika" not in repr(unreachable.submit([MAIL])[0])


def test_the_outbox_is_the_default(settings: Settings) -> None:
    assert open_provider(settings).name == "outbox"


def test_settings_choose_sendgrid(settings: Settings) -> None:
    chosen = settings.model_copy(update={"provider": "sendgrid", "sendgrid_api_key": SecretStr("SG.0123456789")})
    assert open_provider(chosen).name == "sendgrid"


def test_settings_choose_smtp(settings: Settings) -> None:
    chosen = settings.model_copy(update={"provider": "smtp", "smtp_host": "mail.example.com"})
    assert open_provider(chosen).name == "smtp"
