"""A sequence that names a scope reaches only those whose wording names it (T43)."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from consent import opt_in, texts
from nurture.delivery.sending import send_next
from nurture.leads import register, wordings
from nurture.leads.register import NewLead
from nurture.settings import PROJECT
from nurture.store.tables import decision, sequence_version
from tests.nurture.delivery.world import PURPOSE, Scripted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.nurture.delivery.world import World

COVERS = """    covers:
      events: {de: Veranstaltungen, en: events}
      hydraulics: {de: Hydraulik, en: hydraulics}
"""


@pytest.fixture
def scoped(world: World, tmp_path: Path) -> World:
    """An installation whose policies know two scopes; the second is in no published wording."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "policies", project / "policies")
    world.ws = replace(world.ws, settings=world.ws.settings.model_copy(update={"project": project}))
    with world.ws.store.write() as conn:
        wordings.publish(conn, world.ws.settings, at=world.at)
    path = project / "policies" / "consent.yaml"
    path.write_text(path.read_text("utf-8").replace("    version: 1\n", f"    version: 2\n{COVERS}", 1), "utf-8")
    return world


def lead(world: World, address: str = "neu") -> str:
    """Sign up on the first wording, confirm, become a lead."""
    from consent.addresses import Address  # noqa: PLC0415  only here

    with world.ws.store.write() as conn:
        about = {"purposes": [PURPOSE], "controller": "default", "language": "de", "source": "form", "evidence": {}}
        asked = opt_in.request(
            conn,
            world.ws.keyring,
            address=Address.of(f"{address}@example.org"),
            at=world.at,
            **about,  # type: ignore[arg-type]
        )
        assert asked.request_id is not None
        link = opt_in.token(conn, world.ws.keyring, asked.request_id)
        done = opt_in.confirm(conn, world.ws.keyring, link, evidence={}, at=world.at)
        assert isinstance(done, opt_in.Confirmed)
        register.register(conn, [NewLead(done.subject, "de", "form")], at=world.at)
    return done.subject


@pytest.mark.parametrize(("scope", "sent"), [("events", 1), ("hydraulics", 0), ("unheard_of", 0), (None, 1)])
def test_t43_a_scope_stops_mails_it_is_not_agreed_to(scoped: World, scope: str | None, sent: int) -> None:
    """T43 at the last gate: v1 names events, not hydraulics; a scope that no file knows is agreed to by nobody."""
    subject = lead(scoped)
    scoped.plan(subject)
    with scoped.ws.store.write() as conn:
        conn.execute(update(sequence_version).values(definition={"scope": scope} if scope else {}))
    provider = Scripted()

    send_next(scoped.ws, scoped.library, provider, kind="marketing", owner="w", at=scoped.at)

    assert len(provider.mails) == sent
    with scoped.ws.store.read() as conn:
        reasons = conn.execute(select(decision.c.reason).where(decision.c.outcome == "withheld")).scalars().all()
    assert reasons == ["not_covered"] * (1 - sent)


def test_a_published_text_that_lacks_a_scopes_words_is_refused(scoped: World) -> None:
    """policies/consent.yaml may not claim to cover what its text does not name."""
    with scoped.ws.store.write() as conn, pytest.raises(texts.TextError, match="the words for the scope hydraulics"):
        wordings.publish(conn, scoped.ws.settings, at=scoped.at)
