"""A small installation for delivery's tests: people with consent, one sequence, real templates in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, select

from consent import identity, imported, opt_in, texts
from consent.addresses import Address
from nurture.delivery import queue
from nurture.delivery.content.compiler import Compiled
from nurture.delivery.content.library import Library, Link, Mail, MailKey, MessageClass
from nurture.delivery.content.notes import LibraryNotes, Temperature
from nurture.delivery.provider import Accepted, Outcome, Outgoing
from nurture.failpoints import committing
from nurture.leads import register
from nurture.leads.register import NewLead
from nurture.store.tables import enrolment, message, message_exception, send_batch, sequence_version
from tests.consent import wording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nurture.store.workspace import Workspace

PURPOSE = "newsletter.product"
TRACKING = "email.tracking"
ZONE = ZoneInfo("Europe/Berlin")
HELLO = MailKey("welcome", "hello", "cold", "de")
CONFIRM = MailKey("opt_in", "confirm", "neutral", "de")

HTML = (
    "<html><body><p>Guten Tag {{ lead.last_name }}</p>"
    "<a href=\"{{ track('guide', 'https://example.com/guide') }}\">Leitfaden</a>"
    '<a href="{{ unsubscribe_url }}">Abmelden</a>'
    '{% if open_pixel_url %}<img src="{{ open_pixel_url }}" alt="">{% endif %}</body></html>'
)
TEXT = "Guten Tag {{ lead.last_name }}\n{{ track('guide', 'https://example.com/guide') }}\n{{ unsubscribe_url }}\n"
CONFIRM_BODY = "{{ confirm_url }} {{ requested_at }} {{ source }} {% for text in texts %}{{ text }} {% endfor %}"


def mail(key: MailKey, message_class: MessageClass, *, subject: str, html: str, text: str, links: bool) -> Mail:
    """Compile a mail without files."""
    found = (Link("guide", "https://example.com/guide"),) if links else ()
    compiled = Compiled(subject, html, text, "", found, frozenset())
    return Mail(str(key), "a" * 64, message_class, key.language, compiled, ZONE)


def library(**changed: str) -> Library:
    """Give a library of two mails; `subject`, `html`, `text` replace the marketing mail's."""
    parts = {"subject": "Guten Tag {{ lead.last_name }}", "html": HTML, "text": TEXT, **changed}
    hello = mail(HELLO, MessageClass.EDUCATIONAL, links=True, **parts)
    confirm = mail(
        CONFIRM,
        MessageClass.CONFIRMATION,
        subject="Bitte bestätigen",
        html=CONFIRM_BODY,
        text=CONFIRM_BODY,
        links=False,
    )
    classes = dict.fromkeys(Temperature, MessageClass.EDUCATIONAL)
    notes = LibraryNotes(hosts=("example.com",), classes=classes)
    return Library(Path(), notes, {HELLO: hello, CONFIRM: confirm}, ())


@dataclass
class Scripted:
    """A provider that answers as told (then accepts) and remembers what it got."""

    answers: list[Outcome] = field(default_factory=list)
    got: list[tuple[Outgoing, ...]] = field(default_factory=list)
    name: str = "outbox"
    batch_limit: int = 500
    before: Callable[[], None] | None = None

    def submit(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Take the batch, in one request."""
        self.got.append(tuple(batch))
        if self.before:
            self.before()
        return [self.answers.pop(0) if self.answers else Accepted("scripted-1")] * len(batch)

    @property
    def mails(self) -> list[Outgoing]:
        """All mails handed over, refused or not."""
        return [one for batch in self.got for one in batch]


@dataclass
class World:
    """The installation and its people."""

    ws: Workspace
    at: datetime
    library: Library = field(default_factory=library)
    sequence: int = 0
    people: int = 0

    def person(self, *, tracking: bool = False, consent: bool = True, last_name: str = "Muster") -> str:
        """Make a lead with a proven consent; give the subject."""
        self.people += 1
        keyring = self.ws.keyring
        with self.ws.store.write() as conn:
            address = Address.of(f"person{self.people}@example.org")
            subject = identity.ensure(conn, keyring, address, at=self.at)
            identity.describe(conn, keyring, {subject: {"first_name": "Erika", "last_name": last_name}})
            purposes = [PURPOSE] * consent + [TRACKING] * tracking
            given = [
                imported.ImportedConsent(subject, purpose, "default", "Ja, bitte.", self.at - timedelta(days=1), {})
                for purpose in purposes
            ]
            imported.record(conn, keyring, given, at=self.at)
            register.register(conn, [NewLead(subject, "de", "form", zone="Europe/Berlin")], at=self.at)
        return subject

    def plan(
        self,
        *subjects: str,
        tracked: bool = False,
        batch_limit: int = 500,
        late: timedelta = timedelta(days=2),
        n: int = 1,
    ) -> int:
        """Queue one mail for each; `n` is the occurrence."""
        with committing("plan", self.ws.store.write()) as conn:
            if not self.sequence:
                row = {"name": "welcome", "version": 1, "sha256": "b" * 64, "definition": {}, "applied_at": self.at}
                self.sequence = conn.execute(
                    insert(sequence_version).returning(sequence_version.c.id), row
                ).scalar_one()
            leads = register.of_subject(conn, subjects)
            planned = [
                queue.PlannedMessage(
                    subject=subject,
                    lead_id=leads[subject],
                    enrolment_id=self._enrolment(conn, leads[subject]),
                    sequence="welcome",
                    step="hello",
                    occurrence=n,
                    purpose=PURPOSE,
                    message_class="educational",
                    temperature="cold",
                    language="de",
                    mail=self.library.mail(HELLO),
                    tracked=tracked,
                )
                for subject in subjects
            ]
            return queue.queue(
                conn,
                planned,
                provider_name="outbox",
                batch_limit=batch_limit,
                environment=queue.environment(conn),
                not_before=self.at,
                not_after=self.at + late,
                at=self.at,
            )

    def _enrolment(self, conn: Any, lead_id: int) -> int:
        known = conn.execute(select(enrolment.c.id).where(enrolment.c.lead_id == lead_id)).scalar()
        if known is not None:
            return int(known)
        row = {
            "lead_id": lead_id,
            "sequence": "welcome",
            "sequence_version_id": self.sequence,
            "state": "active",
            "step": "hello",
            "occurrence": 1,
            "due_at": self.at,
            "entered_at": self.at,
        }
        return int(conn.execute(insert(enrolment).returning(enrolment.c.id), row).scalar_one())

    def sign_up(self, local: str = "neu", source: str = "form") -> int:
        """Ask for the newsletter, unconfirmed; give the request's id."""
        with self.ws.store.write() as conn:
            texts.publish(conn, wording.standard("default", "Musterwerk GmbH"), at=self.at)
            asked = opt_in.request(
                conn,
                self.ws.keyring,
                address=Address.of(f"{local}@example.org"),
                purposes=[PURPOSE],
                controller="default",
                language="de",
                source=source,
                evidence={},
                at=self.at,
            )
        assert asked.request_id is not None
        return asked.request_id

    def states(self) -> dict[str, int]:
        """Count messages by the state they really have."""
        state = func.coalesce(message_exception.c.state, send_batch.c.state)
        source = message.join(send_batch).outerjoin(message_exception)
        with self.ws.store.read() as conn:
            rows = conn.execute(select(state, func.count()).select_from(source).group_by(state))
            return {row[0]: row[1] for row in rows}

    def later(self, **delta: float) -> World:
        """The same installation at a later time."""
        return replace(self, at=self.at + timedelta(**delta))
