"""From the envelope sender of a mail to what its bounce does, the whole way."""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from nurture.delivery.facts import reconcile
from nurture.delivery.provider import Sender
from nurture.delivery.sending import send_next
from nurture.delivery.smtp import Smtp, verp
from nurture.store.tables import delivery_fact
from nurture.tracking import mailbox
from nurture.tracking.ingest import ingest
from tests.nurture.delivery.linehost import HANG_UP, Linehost

if TYPE_CHECKING:
    from pathlib import Path

    from nurture.delivery.sending import Counts
    from tests.nurture.delivery.world import World

REPORT = """\
To: {to}
Date: {date}
Content-Type: multipart/report; report-type=delivery-status; boundary=B

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; somebody@example.org
Action: {action}
Status: {status}

--B--
"""


def send(world: World, host: Linehost) -> Counts | None:
    """Send what is due over SMTP, with an envelope sender for each mail."""
    with host.run():
        provider = Smtp(
            Sender("post@musterwerk.example", "Musterwerk"),
            host="127.0.0.1",
            port=host.port,
            security="none",
            timeout=2,
            bounces_to=verp("bounces@musterwerk.example", world.ws.keyring),
        )
        counts = send_next(world.ws, world.library, provider, kind="marketing", owner="w1", at=world.at)
        provider.close()
    return counts


def bounce(world: World, folder: Path, to: str, action: str, status: str) -> None:
    """Let a report come to an address, and take it in."""
    path = folder / f"{to[:20]}.eml"
    path.write_text(REPORT.format(to=to, date=format_datetime(world.at), action=action, status=status))
    assert mailbox.take(world.ws, path, at=world.at) is mailbox.Read.REPORT
    with world.ws.store.write() as conn:
        assert ingest(conn, world.ws, at=world.at, limit=10).events == 1


@pytest.mark.parametrize(("action", "status"), [("delivered", "2.0.0"), ("failed", "5.2.2"), ("delayed", "4.4.1")])
def test_a_report_settles_what_was_in_doubt(world: World, tmp_path: Path, action: str, status: str) -> None:
    """The line broke after the dot; whatever the server reports, it had taken the mail."""
    world.plan(*(world.person() for _ in range(3)))
    host = Linehost({("person2@example.org", "dot"): HANG_UP})
    counts = send(world, host)
    assert counts is not None
    assert (counts.accepted, counts.in_doubt, counts.refused) == (1, 1, 1)

    bounce(world, tmp_path, host.senders[1], action, status)

    with world.ws.store.write() as conn:
        assert reconcile(conn, at=world.at).accepted == 1


def test_each_mail_bounces_for_itself(world: World, tmp_path: Path) -> None:
    """Of two mails of one batch, the one whose address it comes to."""
    subjects = [world.person(), world.person()]
    world.plan(*subjects)
    host = Linehost()
    send(world, host)

    bounce(world, tmp_path, host.senders[1], "failed", "5.1.1")

    with world.ws.store.read() as conn:
        assert list(conn.execute(select(delivery_fact.c.message_id)).scalars()) == [2]
    assert host.taken == ["person1@example.org", "person2@example.org"]
