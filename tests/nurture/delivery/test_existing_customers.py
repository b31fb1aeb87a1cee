"""Mails on the existing-customer exception: with its notice or not at all (R3)."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import typer
from sqlalchemy import select
from typer.testing import CliRunner

from consent import basis
from nurture.cli import consent
from nurture.delivery.content import sample
from nurture.delivery.content.library import Library, MessageClass, Urls
from nurture.delivery.sending import send_next
from nurture.settings import PROJECT
from nurture.store.tables import decision, lead
from tests.nurture.delivery.world import HTML, PURPOSE, TEXT, Scripted, library

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from tests.nurture.delivery.world import World

SALE = """\
sale: {id: A-2026-117, date: 2026-05-12}
similar_goods: {sold: Schwingungssensor, advertised: Sensoren und Software}
notice:
  wording: Der Nutzung können Sie jederzeit widersprechen, kostenlos bis auf die Übermittlungskosten.
  place: Bestellformular
  date: 2026-05-12
objection: {checked: 2026-11-20, by: Vertrieb}
"""
NOTICE = (
    "{% if existing_customer %}Sie können jederzeit widersprechen, nur zu Übermittlungskosten nach den Basistarifen."
    "{% else %}Sie haben zugestimmt.{% endif %}"
)


@pytest.fixture
def allowing(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An installation where counsel allowed the exception."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "policies", project / "policies")
    switch(project, "on")
    world.ws = replace(world.ws, settings=world.ws.settings.model_copy(update={"project": project}))
    monkeypatch.setenv("NURTURE_HOME", str(world.ws.home))
    monkeypatch.setenv("NURTURE_PROJECT", str(project))
    monkeypatch.setenv("NURTURE_DATABASE_URL", world.ws.settings.database_url)
    return world


def switch(project: Path, to: str) -> None:
    path = project / "policies" / "consent.yaml"
    lines = [f"existing_customer: {to}" if line.startswith("existing_customer:") else line
             for line in path.read_text("utf-8").splitlines()]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", "utf-8")


def record(world: World, subject: str, sale: str = SALE) -> Result:
    """Type the command."""
    with world.ws.store.read() as conn:
        number = conn.execute(select(lead.c.id).where(lead.c.subject == subject)).scalar_one()
    file = world.ws.home / "sale.yaml"
    file.write_text(sale, "utf-8")
    app = typer.Typer()
    consent.register(app)
    words = [
        "consent",
        "basis",
        str(number),
        "--purpose",
        PURPOSE,
        "--evidence",
        str(file),
        "--at",
        world.at.isoformat(),
    ]
    return CliRunner().invoke(app, words)


def sent(world: World, subject: str) -> tuple[list[str], list[str]]:
    """Send one mail: the texts that left, and why not."""
    world.plan(subject)
    provider = Scripted()
    send_next(world.ws, world.library, provider, kind="marketing", owner="w", at=world.at)
    with world.ws.store.read() as conn:
        reasons = conn.execute(select(decision.c.reason).where(decision.c.outcome == "withheld")).scalars().all()
    return [mail.text for mail in provider.mails], list(reasons)


def test_a_customer_gets_the_notice_in_place_of_the_consent(allowing: World) -> None:
    """Recorded by the command; the mail says that one may object, not that one agreed."""
    allowing.library = library(html=HTML + NOTICE, text=TEXT + NOTICE)
    subject = allowing.person(consent=False)

    done = record(allowing, subject)

    assert (done.exit_code, done.stdout.split(",")[0]) == (0, "recorded")
    [text], reasons = sent(allowing, subject)
    assert reasons == []
    assert "widersprechen" in text
    assert "zugestimmt" not in text


def test_a_mail_without_the_notice_stays(allowing: World) -> None:
    """In either part: nothing leaves."""
    allowing.library = library(html=HTML, text=TEXT + NOTICE)
    subject = allowing.person(consent=False)
    record(allowing, subject)

    assert sent(allowing, subject) == ([], ["not_covered"])


def test_the_policy_switched_off_again_stops_mails(allowing: World) -> None:
    """What was recorded stays recorded, and permits nothing any more."""
    allowing.library = library(html=HTML + NOTICE, text=TEXT + NOTICE)
    subject = allowing.person(consent=False)
    record(allowing, subject)
    switch(allowing.ws.settings.project, "off")

    assert sent(allowing, subject) == ([], ["not_covered"])


def test_consenting_people_read_their_own_footer(allowing: World) -> None:
    """The exception changes nothing for them."""
    allowing.library = library(html=HTML + NOTICE, text=TEXT + NOTICE)

    [text], _ = sent(allowing, allowing.person())
    assert "zugestimmt" in text


def test_the_command_names_what_is_missing(allowing: World) -> None:
    """Exit 3, each condition named; off: refused by its setting."""
    subject = allowing.person(consent=False)
    done = record(allowing, subject, SALE.replace("objection:", "other:"))
    assert (done.exit_code, "objection.checked is missing; objection.by is missing" in done.stderr) == (3, True)

    switch(allowing.ws.settings.project, "off")
    assert "switched off" in record(allowing, subject).stderr


def test_the_exception_is_off_as_shipped() -> None:
    """Nobody is written to on it before somebody decided so."""
    from nurture.leads import wordings  # noqa: PLC0415  only here

    assert not wordings.exception_allowed(PROJECT / "policies")


@pytest.mark.parametrize("existing", ["yes", None])
def test_every_bundled_mail_can_carry_the_notice(existing: str | None) -> None:
    """Both languages, both parts, each temperature: the notice for customers, none for the others."""
    shipped = Library.load(PROJECT / "templates")
    mails = [mail for mail in map(shipped.mail, shipped.keys()) if mail.message_class is not MessageClass.CONFIRMATION]
    assert len(mails) > 10
    for mail in mails:
        shown = mail.render(sample.context(mail) | {"existing_customer": existing}, Urls())
        assert [basis.carries_notice(part) for part in (shown.text, shown.html)] == [existing == "yes"] * 2, mail.key
