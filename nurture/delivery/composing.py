"""What exactly would be sent? Reads a claimed batch and writes its mails; sends nothing, changes nothing.

No write transaction is open while templates run: one slow template must not hold up the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from sqlalchemy import Row, bindparam, not_, select

from consent import basis, identity, opt_in, tokens
from consent.schema import consent_text, opt_in_purpose, opt_in_request
from consent.sealing import SealError
from nurture.delivery import addressing, origins
from nurture.delivery.content.addresses import Addresses
from nurture.delivery.content.library import MailKey, Urls
from nurture.delivery.content.pieces import Content
from nurture.delivery.content.skeleton import Frame, Skeleton, skeleton
from nurture.delivery.errors import DeliveryError
from nurture.delivery.headers import list_unsubscribe
from nurture.delivery.provider import Outgoing, fault_of
from nurture.delivery.states import Kind
from nurture.failpoints import reach
from nurture.leads import wordings
from nurture.store.tables import message, message_exception, template_version

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.identity import Person
    from nurture.delivery.claiming import Claim
    from nurture.delivery.content.library import Library, Mail
    from nurture.delivery.content.skeleton import Obstacle
    from nurture.store.workspace import Workspace

UNREADABLE = "unreadable_identity"
"""A sealed value of this one person does not open; the others of the batch get their mail."""
_OWN = select(message_exception.c.message_id).where(message_exception.c.message_id == message.c.id).exists()
MESSAGES = (
    select(
        message.c.id, message.c.public_id, message.c.subject, message.c.lead_id, message.c.request_id, message.c.kind,
        message.c.sequence, message.c.step, message.c.tracked, message.c.template_version_id,
    )
    .where(message.c.batch_id == bindparam("batch"), not_(_OWN))
    .order_by(message.c.id)
)  # fmt: skip
"""The messages of a batch that have not left it."""


class Letter(NamedTuple):
    """One message of a batch: either written (`outgoing`) or not (`failure` says why, without personal data)."""

    message_id: int
    public_id: str
    subject: str
    lead_id: int | None
    request_id: int | None
    tracked: bool
    outgoing: Outgoing | None
    failure: str = ""


def _written_once(_letter: Letter) -> Letter:
    raise AssertionError("these letters cannot be written again")


@dataclass(frozen=True)
class Composed:
    """A claimed batch with its mails."""

    claim: Claim
    letters: tuple[Letter, ...] = field(repr=False)
    untracked: Callable[[Letter], Letter] = field(default=_written_once, repr=False)
    """Writes a letter again without tracking, for a consent that ended meanwhile."""


class CannotWriteError(DeliveryError):
    """A mail cannot be written for one person; the message is a short reason for the decision row."""


class Writer(Protocol):
    """Writes one kind of mail."""

    tracks: ClassVar[bool]
    """May its mails carry a pixel and wrapped links?"""

    def write(self, row: Row[Any], person: Person, *, tracked: bool) -> Outgoing:
        """Write one mail; raises CannotWriteError or whatever a template raises."""
        ...


def compose(ws: Workspace, library: Library, claim: Claim, *, at: datetime) -> Composed:
    """Write every mail of a claimed batch that is still to be sent. `at` becomes the mails' Date."""
    with ws.store.read() as conn:
        rows = _messages(conn, claim.batch_id)
        templates = _templates(conn, {row[-1] for row in rows})
        subjects = [row[2] for row in rows]
        people = identity.reveal_each(conn, ws.keyring, subjects)
        writer: Writer
        if claim.kind is Kind.CONFIRMATION:
            requests = _requests(conn, ws, [row.request_id for row in rows])
            writer = ConfirmationWriter(ws, library, templates, claim.attempt, at, requests)
        else:
            customers: set[str] = set()
            if wordings.exception_allowed(ws.settings.policies):
                ours = {"purpose": claim.purpose or "", "controller": ws.settings.controller}
                customers = basis.among(conn, subjects, **ours)
            writer = MarketingWriter(ws, library, templates, claim.attempt, at, customers)
    letters = []
    for number, row in enumerate(rows):
        letters.append(_letter(row, people, writer, track=writer.tracks))
        if number == len(rows) // 2:
            reach("render.mid")
    return Composed(claim, tuple(letters), partial(_untracked, writer, rows, people))


def _untracked(
    writer: Writer, rows: Sequence[Row[Any]], people: Mapping[str, Person | SealError], letter: Letter
) -> Letter:
    """Write a letter once more, without tracking; as with the first time, it may fail."""
    row = next(row for row in rows if row.id == letter.message_id)
    return _letter(row, people, writer, track=False)


def _messages(conn: Connection, batch_id: int) -> Sequence[Row[Any]]:
    """Which messages of a batch have not left it? Served by ix_message_batch."""
    return conn.execute(MESSAGES, {"batch": batch_id}).all()


def _templates(conn: Connection, ids: Collection[int]) -> dict[int, Template]:
    """Give the versions of the mails that were planned; a batch has one, or few."""
    columns = template_version.c
    query = select(columns.id, columns.key, columns.sha256, columns.links).where(columns.id.in_(sorted(ids)))
    return {
        row.id: Template(row.key, row.sha256, tuple(link["url"] for link in row.links)) for row in conn.execute(query)
    }


@dataclass(frozen=True)
class Template:
    """A mail as it was when the messages were planned."""

    key: str
    sha256: str
    urls: tuple[str, ...]
    """Of its links, in the order of their numbers."""


def _letter(row: Row[Any], people: Mapping[str, Person | SealError], writer: Writer, *, track: bool) -> Letter:
    number, public_id, subject, lead_id, request_id, _, _, _, planned, _ = row
    # As it was when planned. Whether the person still agrees, the intent asks with authority (`_final`).
    tracked = bool(planned) and track
    person = people.get(subject)
    outgoing, failure = None, ""
    if person is None:
        failure = "erased"
    elif isinstance(person, SealError):
        failure = UNREADABLE
    else:
        try:
            outgoing = writer.write(row, person, tracked=tracked)
        except CannotWriteError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001  a template may raise anything; one bad mail must not stop the others
            failure = f"render {type(error).__name__}"[:64]
    return Letter(number, public_id, subject, lead_id, request_id, tracked, outgoing, failure)


@dataclass(frozen=True)
class MarketingWriter:
    """Writes the mails of sequences.

    `customers` are those whom no consent, but the existing-customer exception permits: their footer says that
    they may object.
    """

    ws: Workspace
    library: Library
    templates: Mapping[int, Template]
    attempt: int
    at: datetime
    customers: set[str]
    tracks: ClassVar[bool] = True

    def write(self, row: Row[Any], person: Person, *, tracked: bool) -> Outgoing:
        """Write one mail, with one-click unsubscribe (RFC 8058)."""
        _, public_id, subject, _, _, _, sequence, step, _, version = row
        customer = subject in self.customers
        mail, shared = self._shared(version, tracked=tracked, customer=customer)
        said = addressing.lead(person.details)
        parts = tokens.parts_for_mail(self.ws.keyring, public_id)
        content: Content
        values: tuple[str, ...] = ()
        if isinstance(shared, Skeleton):
            content, values = shared.content, shared.values(said, parts)
        else:
            links = Addresses(self.ws.settings.public_url, tracked, parts)
            content = self._alone(mail, said, links, customer=customer)
        name, category = addressing.display_name(said), f"{sequence}.{step}"
        return _sound(Outgoing(public_id, self.attempt, person.address, name, content, self.at, values, category))

    @cached_property
    def _found(self) -> dict[tuple[int, bool, bool], tuple[Mail, Skeleton | Obstacle]]:
        """What the mails of this batch share, by template, whether they are tracked and whether to customers."""
        return {}

    def _shared(self, version: int, *, tracked: bool, customer: bool) -> tuple[Mail, Skeleton | Obstacle]:
        found = self._found.get((version, tracked, customer))
        if found is None:
            mail = _mail(self.library, self.templates[version])
            settings = self.ws.settings
            frame = Frame(
                settings.public_url,
                tracked,
                tuple(_sender(self.ws).items()),
                settings.privacy_link,
                settings.unsubscribe_mailbox,
                customer,
            )
            found = self._found[version, tracked, customer] = mail, skeleton(mail, frame)
        return found

    def _alone(self, mail: Mail, said: dict[str, str], links: Addresses, *, customer: bool) -> Content:
        """Write a mail that cannot be split for this one person (`nurture template check` names such mails)."""
        context = {
            "lead": said,
            "sender": _sender(self.ws),
            "unsubscribe_url": links.unsubscribe,
            "preferences_url": links.preferences,
            "open_pixel_url": links.pixel,
            "existing_customer": "yes" if customer else None,
            "privacy_url": self.ws.settings.privacy_link,
        }
        rendered = mail.render(context, Urls(link=links.link))
        headers = list_unsubscribe(links.unsubscribe, links.token("unsubscribe"), self.ws.settings.unsubscribe_mailbox)
        return Content.whole(rendered.subject, rendered.html, rendered.text, headers)


@dataclass(frozen=True)
class Request:
    """What a confirmation mail must state about the sign-up."""

    token: str = field(repr=False)
    requested_at: datetime
    source: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class ConfirmationWriter:
    """Writes confirmation mails: neutral, untracked, with the wording that was agreed to (R12, R13)."""

    ws: Workspace
    library: Library
    templates: Mapping[int, Template]
    attempt: int
    at: datetime
    requests: Mapping[int, Request | None]
    """The open ones; None where the link does not open."""
    tracks: ClassVar[bool] = False

    def write(self, row: Row[Any], person: Person, *, tracked: bool) -> Outgoing:  # noqa: ARG002  never tracked
        """Write one mail; raises CannotWriteError for a request that is settled."""
        if row.request_id not in self.requests:
            raise CannotWriteError("request_settled")
        request = self.requests[row.request_id]
        if request is None:
            raise CannotWriteError(UNREADABLE)
        mail = _mail(self.library, self.templates[row.template_version_id])
        settings = self.ws.settings
        url = f"{settings.public_url}/confirm/{request.token}"
        context = {
            "sender": _sender(self.ws),
            "confirm_url": url,
            # The page behind it holds both buttons; nothing happens before one is pressed.
            "decline_url": f"{url}#decline",
            "requested_at": request.requested_at,
            "source": origins.told(request.source, mail.language),
            "texts": request.texts,
            "privacy_url": settings.privacy_link,
        }
        rendered = mail.render(context, Urls(link=lambda _, raw: raw))
        return _sound(
            Outgoing(
                public_id=row.public_id,
                attempt=self.attempt,
                to_address=person.address,
                to_name="",
                content=Content.whole(rendered.subject, rendered.html, rendered.text),
                at=self.at,
                category=f"{row.kind}.{row.step}",
            )
        )


def _sound(made: Outgoing) -> Outgoing:
    """Give a mail back that may be handed over as it stands."""
    if fault := fault_of(made):
        raise CannotWriteError(f"fault_{fault}")
    return made


def _mail(library: Library, planned: Template) -> Mail:
    """Give the mail that was planned. Newer wording is fine, other link numbers are not: sent links count by number."""
    mail = library.mail(MailKey.parse(planned.key))
    if mail.sha256 != planned.sha256 and tuple(link.url for link in mail.links) != planned.urls:
        raise CannotWriteError("template_changed")
    return mail


def _sender(ws: Workspace) -> dict[str, str]:
    settings = ws.settings
    return {
        "name": settings.sender_name,
        "address": settings.sender_address,
        "company": settings.company,
        "postal_address": settings.postal_address,
        "imprint": settings.imprint,
    }


def _requests(conn: Connection, ws: Workspace, request_ids: Sequence[int]) -> dict[int, Request | None]:
    """Give what confirmation mails state, of requests that are still open."""
    texts: dict[int, list[str]] = {}
    query = (
        select(opt_in_purpose.c.request_id, consent_text.c.body)
        .join(consent_text, consent_text.c.id == opt_in_purpose.c.text_id)
        .where(opt_in_purpose.c.request_id.in_(request_ids))
        .order_by(opt_in_purpose.c.request_id, opt_in_purpose.c.purpose.desc())
    )
    for request_id, body in conn.execute(query):
        texts.setdefault(request_id, []).append(body)
    open_ones = select(opt_in_request.c.id, opt_in_request.c.requested_at, opt_in_request.c.source).where(
        opt_in_request.c.id.in_(request_ids), opt_in_request.c.state == "requested"
    )
    return {row.id: _request(conn, ws, row, tuple(texts.get(row.id, ()))) for row in conn.execute(open_ones).all()}


def _request(conn: Connection, ws: Workspace, row: Row[Any], texts: tuple[str, ...]) -> Request | None:
    try:
        return Request(opt_in.token(conn, ws.keyring, row.id), row.requested_at, row.source, texts)
    except SealError:
        return None
