"""Does the night carry out what people asked for, and does Prefect learn nothing of them?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from consent.schema import identity, rights_request
from nurture.leads import rights
from nurture.leads.register import subjects_of
from nurture.leads.rights import requests
from tests.flows import people
from tests.flows.house import Server, wait_for
from tests.nurture.leads.rights.bytes import hits

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.store.workspace import Workspace

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.timeout(900), pytest.mark.usefixtures("prefect_here")]


def ask(ws: Workspace, *, at: datetime, erase: bool) -> str:
    """Let one of two people ask for erasure or access; give their subject."""
    leads = people.make_leads(ws, people.addresses("rights", 2), at=at)
    with ws.store.write() as conn:
        number = min(leads.values())
        subject = subjects_of(conn, [number])[number]
        if erase:
            rights.request_erasure(conn, ws, subject, route="page", actor="subject", at=at)
        else:
            zone = ws.settings.tz
            requests.take_down(conn, subject, requests.Kind.ACCESS, route="mail", actor="x", zone=zone, at=at)
    return subject


def test_t56_night_erases_and_prefect_knows_nobody(workspace: Workspace, at: datetime, prefect_here: Server) -> None:
    """Who asked on the page is gone in the morning; runs, results and logs of Prefect hold no byte of anybody."""
    from flows.housekeeping import keep_house  # noqa: PLC0415  Prefect reads the installation's settings then

    subject = ask(workspace, at=at, erase=True)
    counts = keep_house(at=at + timedelta(hours=8))
    with workspace.store.read() as conn:
        [row] = conn.execute(select(rights_request)).all()
        erased = conn.execute(select(identity.c.erased_at).where(identity.c.subject == subject)).scalar()

    assert (counts["erased"], row.state, row.step) == (1, "done", "pages")
    assert erased == at + timedelta(hours=8)
    home = Path(prefect_here.env["PREFECT_HOME"])
    assert any(home.rglob("*.db"))
    assert hits(home, {"marker": people.MARKER.encode()}) == []


def test_urgent_request_raises_an_alarm(workspace: Workspace, at: datetime, prefect_here: Server) -> None:
    """A week before its month is over, and each night until it is answered; by number only."""
    from flows.housekeeping import keep_house  # noqa: PLC0415  as above

    ask(workspace, at=at, erase=False)
    before = len(prefect_here.events("nurture.alarm.rights_due"))
    keep_house(at=at + timedelta(days=20))
    assert len(prefect_here.events("nurture.alarm.rights_due")) == before
    keep_house(at=at + timedelta(days=25))
    wait_for(lambda: len(prefect_here.events("nurture.alarm.rights_due")) > before)
