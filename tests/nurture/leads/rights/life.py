"""One person with a whole life here: signs up, gets mail, clicks, asks, goes to sales; through the real doors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from consent import checkpoints, identity, opt_in, texts
from consent.addresses import Address
from consent.schema import ledger_entry, rights_request
from nurture.delivery import sending
from nurture.delivery.outbox import Outbox
from nurture.delivery.provider import Sender
from nurture.handover import deliver
from nurture.handover import policy as handover_policy
from nurture.handover.qualify import qualify
from nurture.handover.targets import Folder
from nurture.leads.register import NewLead, register
from nurture.scoring import policy as scoring_policy
from nurture.scoring import project
from nurture.store.tables import mail_preference, message
from nurture.tracking.ingest import ingest
from nurture.tracking.intake import store_raw
from tests.consent import wording
from tests.nurture.delivery.world import PURPOSE, TRACKING, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nurture.store.workspace import Workspace

DETAILS = {
    "first_name": "Žofia",
    "last_name": "Kőrös-Łaska",
    "phone": "+493012345678",
    "company": "Fräswerk Wühlhuber",
}
IP = "198.51.100.77"
AGENT = "Quaxbrowser/9"
ADDRESS = "Zofia.Koeroes@Wuehlhuber.example"
MESSAGE = "Unsere Spindel heißt Brunhilde-4711."


@dataclass
class Life:
    """An installation in which people live."""

    ws: Workspace
    at: datetime
    worlds: list[World] = field(default_factory=list)

    def publish(self) -> None:
        """Publish the wordings."""
        with self.ws.store.write() as conn:
            settings = self.ws.settings
            texts.publish(conn, wording.standard(settings.controller, settings.company), at=self.at)

    def joins(self, address: str = ADDRESS, purposes: Sequence[str] = (PURPOSE, TRACKING)) -> int:
        """Sign up and confirm, with everything the proof holds; give the lead's number."""
        seen = {"ip": IP, "user_agent": AGENT, "page": "/subscribe", "boxes": "unticked"}
        with self.ws.store.write() as conn:
            asked = opt_in.request(
                conn,
                self.ws.keyring,
                address=Address.of(address),
                purposes=purposes,
                controller=self.ws.settings.controller,
                language="de",
                source="footer",
                evidence=seen,
                at=self.at - timedelta(hours=2),
            )
            assert asked.request_id is not None
            token = opt_in.token(conn, self.ws.keyring, asked.request_id)
            done = opt_in.confirm(conn, self.ws.keyring, token, evidence=seen, at=self.at - timedelta(hours=1))
            assert isinstance(done, opt_in.Confirmed)
            new = NewLead(done.subject, "de", "form", "footer", industry="machinery", company_size=120, role="decider")
            return register(conn, [new], at=self.at - timedelta(hours=1), keyring=self.ws.keyring)[done.subject]

    def subject(self, lead_id: int) -> str:
        """Give the random id behind a lead."""
        from nurture.leads.register import subjects_of  # noqa: PLC0415  one line, one use

        with self.ws.store.read() as conn:
            return subjects_of(conn, [lead_id])[lead_id]

    def tells(self, lead_id: int, details: dict[str, str] | None = None) -> None:
        """Become known by name."""
        with self.ws.store.write() as conn:
            identity.describe(conn, self.ws.keyring, {self.subject(lead_id): details or DETAILS})

    def gets_mail(self, *leads: int) -> str:
        """Send one mail to each, into the outbox folder; give the public id of the first."""
        self.worlds = self.worlds or [World(self.ws, self.at)]
        [world] = self.worlds
        subjects = [self.subject(one) for one in leads]
        world.plan(*subjects, tracked=True)
        settings = self.ws.settings
        sender = Sender(settings.sender_address, settings.sender_name)
        outbox = Outbox(self.ws.home / "outbox", sender)
        done = sending.send_next(self.ws, world.library, outbox, kind="marketing", owner="test", at=self.at)
        assert done is not None
        with self.ws.store.read() as conn:
            query = select(message.c.public_id).where(message.c.subject == subjects[0])
            return str(conn.execute(query.order_by(message.c.id.desc()).limit(1)).scalar_one())

    def clicks(self, public_id: str, address: str = ADDRESS) -> None:
        """Have the provider report delivery and a click."""
        stamp = int(self.at.timestamp()) + 600
        told = [
            {"email": address, "timestamp": stamp + n, "event": name, "sg_event_id": f"{name}-{public_id}",
             "sg_message_id": "x.y", "nurture_message_id": public_id, "response": "250 ok", "ip": IP,
             "url": "https://example.com/guide", "useragent": AGENT}
            for n, name in enumerate(["delivered", "click"])
        ]  # fmt: skip
        self.hears("sendgrid", json.dumps(told).encode())

    def asks(self, address: str = ADDRESS) -> None:
        """Fill in the demo form, with a text of one's own."""
        moment = (self.at + timedelta(minutes=20)).isoformat()
        fields = {"message": MESSAGE, "phone": DETAILS["phone"]}
        body = {"form": "demo_request", "id": "f1", "at": moment, "address": address, "fields": fields}
        self.hears("form", json.dumps(body).encode())

    def hears(self, source: str, body: bytes) -> None:
        """Receive a body and apply it."""
        with self.ws.store.write() as conn:
            store_raw(conn, self.ws.keyring, source=source, body=body, at=self.at + timedelta(minutes=30))
        with self.ws.store.write() as conn:
            ingest(conn, self.ws, at=self.at + timedelta(minutes=31), limit=500)

    def is_scored(self, *leads: int) -> None:
        """Be scored, and go to sales where that is due."""
        at, policies = self.at + timedelta(minutes=40), self.ws.settings.policies
        with self.ws.store.write() as conn:
            project.rescore(conn, scoring_policy.load(policies), leads, at=at)
            qualify(conn, handover_policy.load(policies), leads, zone=self.ws.settings.tz, at=at)
        policy = handover_policy.load(policies)
        deliver.drain(self.ws, policy, Folder(self.ws.home / "handovers"), at=at + timedelta(minutes=1))

    def chooses(self, lead_id: int) -> None:
        """Choose one mail a week."""
        row = {"subject": self.subject(lead_id), "per_week": 1, "changed_at": self.at}
        with self.ws.store.write() as conn:
            conn.execute(insert(mail_preference).values(row))

    def lives(self, address: str = ADDRESS) -> int:
        """Do all of it; give the lead's number."""
        lead_id = self.joins(address)
        self.tells(lead_id)
        self.clicks(self.gets_mail(lead_id), address)
        self.asks(address)
        self.is_scored(lead_id)
        self.chooses(lead_id)
        return lead_id

    def signs(self) -> checkpoints.Signer:
        """Sign a checkpoint; refused where it would not continue the last one."""
        signer = checkpoints.Signer.load_or_create(self.ws.home / "checkpoint_key.json", "ledger.example/test")
        with self.ws.store.write() as conn:
            checkpoints.sign(conn, signer, at=self.at)
        return signer

    def entries(self, *types: str) -> list[Any]:
        """Read the ledger."""
        query = select(ledger_entry).order_by(ledger_entry.c.seq)
        with self.ws.store.read() as conn:
            return list(conn.execute(query.where(ledger_entry.c.type.in_(types)) if types else query).all())

    def requests(self) -> list[Any]:
        """Read the requests of persons."""
        with self.ws.store.read() as conn:
            return list(conn.execute(select(rights_request).order_by(rights_request.c.id)).all())

    def rows(self, query: Any) -> list[Any]:
        """Read anything."""
        with self.ws.store.read() as conn:
            return list(conn.execute(query).all())

    @property
    def later(self) -> datetime:
        """An hour after everything."""
        return self.at + timedelta(hours=1)
