"""How is one consent, or one mail, shown to a court? One printable page that can be checked without us (R9).

It holds the wording to the letter, both steps of the sign-up, the entries of the ledger with their proof of
inclusion, and the checkpoint. What it says is in `data`; paper, page and text print the same blocks.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from consent import canonical, checkpoints, identity, merkle
from consent.rights import Copy
from consent.schema import consent_text, ledger_entry, opt_in_request
from consent.states import EVERYTHING
from consent.texts import IMPORT
from nurture.audit import AuditError
from nurture.audit.anchoring import enter, open_signer
from nurture.audit.people import disclosure
from nurture.audit.words import WORDS, field_name, word
from nurture.store import pdf
from nurture.store.pdf import Block, Exact, Facts, Heading, Rows, Text
from nurture.store.tables import (
    authorisation,
    delivery_attempt,
    message,
    message_exception,
    send_batch,
    template_version,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from consent.checkpoints import Checkpoint
    from nurture.audit.export import Order
    from nurture.audit.scope import Scope
    from nurture.store.workspace import Workspace

GIVING = {
    "consent.confirmed": "double_opt_in",
    "consent.imported": "imported",
    "basis.recorded": "existing_customer",
}
OPEN_FIELDS = frozenset({"page_url", "page", "form", "method", "box_default", "boxes", "endpoint", "confirmed_at"})
"""Evidence that names nobody: shown without revealing who it is."""
OWN_CODES = frozenset({"box_default", "wording_stated"})
OWN_TIMES = frozenset({"confirmed_at", "opted_in_at", "captured_at"})
"""Evidence that we write: codes, and times (ISO 8601). The rest was stated by somebody and is printed unchanged."""


@dataclass(frozen=True)
class Page:
    """A proof, ready to print."""

    title: str
    language: str
    data: dict[str, Any]
    """Everything it says, as plain data."""
    blocks: tuple[Block, ...]
    name: str
    """For a file: consent-42, mail-abc."""


SCALES = (0.78, 0.72, 0.67, 0.62)
"""Small print, so that it fits on one sheet: one consent in a ledger of a million entries with the first of them. The
last one's letters have 5 points; what is longer goes over to a second sheet instead."""


def paper(page: Page) -> bytes:
    """Give the PDF of a proof."""
    return pdf.write(page.title, page.blocks, language=page.language, footer=page.name, scales=SCALES)


@dataclass(frozen=True)
class _Entry:
    """An entry of the ledger with its proof."""

    seq: int
    at: datetime
    type: str
    subject: str | None
    leaf: bytes
    body: Mapping[str, Any]
    proof: str


def of_consent(ws: Workspace, seq: int, scope: Scope, order: Order) -> Page:
    """Prove the consent that ledger entry `seq` gave. Raises AuditError for an entry that gives none."""
    signer = open_signer(ws)
    with ws.store.write() as conn:
        row = conn.execute(select(ledger_entry).where(ledger_entry.c.seq == seq)).one_or_none()
        if row is None or row.type not in GIVING:
            raise AuditError(f"entry {seq} gives no consent; 'nurture consent show' names those that do")
        enter(conn, ws, kind=Copy.PROOF, scope=scope, count=1, by=order.by, at=order.at, subject=row.subject)
        signed = checkpoints.sign(conn, signer, at=order.at)
        writer = _Writer(conn, ws, scope, order, signed)
        data = {"issued_at": canonical.utc_text(order.at), **writer.consent(seq)}
        blocks = (
            writer.issue_block(),
            *writer.consent_blocks(data),
            *writer.check_blocks([data["entry"], *_asked(data)]),
        )
    signer.remember(signed)
    return Page(writer.words["title_consent"], order.language, data, blocks, f"consent-{seq}")


def of_mail(ws: Workspace, message_id: str, scope: Scope, order: Order) -> Page:
    """Prove one mail that was sent: its authorisation and the consent it rests on. Raises AuditError for another."""
    signer = open_signer(ws)
    with ws.store.write() as conn:
        mail = _mail(conn, message_id)
        if mail is None:
            raise AuditError("no such mail was authorised; confirmation mails ask for a consent and rest on none")
        enter(conn, ws, kind=Copy.PROOF, scope=scope, count=1, by=order.by, at=order.at, subject=mail["subject"])
        signed = checkpoints.sign(conn, signer, at=order.at)
        writer = _Writer(conn, ws, scope, order, signed)
        data = {"issued_at": canonical.utc_text(order.at), **writer.mail(mail)}
        blocks = (
            writer.issue_block(),
            *writer.mail_blocks(data),
            *writer.consent_blocks(data["consent"]),
            *writer.check_blocks([data["entry"], data["consent"]["entry"], *_asked(data["consent"])], message_id),
        )
    signer.remember(signed)
    return Page(writer.words["title_mail"], order.language, data, blocks, f"mail-{message_id}")


def _asked(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [data["request"]["entry"]] if data["request"] else []


def _mail(conn: Connection, message_id: str) -> dict[str, Any] | None:
    """Give a mail with its last authorisation and what became of it."""
    query = (
        select(
            message.c.public_id,
            message.c.subject,
            message.c.sequence,
            message.c.step,
            message.c.purpose,
            message.c.language,
            authorisation.c.seq,
            authorisation.c.consent_seq,
            authorisation.c.content_sha256,
            template_version.c.sha256.label("template_sha256"),
            send_batch.c.state,
            message_exception.c.state.label("own_state"),
            delivery_attempt.c.started_at,
            delivery_attempt.c.provider_message_id,
        )
        .select_from(
            message.join(authorisation, authorisation.c.message_id == message.c.id)
            .join(send_batch, send_batch.c.id == message.c.batch_id)
            .join(template_version, template_version.c.id == message.c.template_version_id)
            .outerjoin(
                delivery_attempt,
                (delivery_attempt.c.batch_id == message.c.batch_id) & (delivery_attempt.c.n == authorisation.c.attempt),
            )
            .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
        )
        .where(message.c.public_id == message_id)
        .order_by(authorisation.c.attempt.desc())
        .limit(1)
    )
    found = conn.execute(query).mappings().one_or_none()
    return dict(found) if found else None


class _Writer:
    """Gathers and prints one proof, in one transaction."""

    def __init__(self, conn: Connection, ws: Workspace, scope: Scope, order: Order, signed: Checkpoint) -> None:
        self.conn, self.ws, self.scope, self.order, self.signed = conn, ws, scope, order, signed
        self.words = WORDS[order.language]

    # --- gathering ---------------------------------------------------------------------------

    def consent(self, seq: int) -> dict[str, Any]:
        """Give all there is about a consent."""
        entry = self._entry(seq)
        asked = entry.body.get("request")
        return {
            "controller": f"{self.ws.settings.company}, {self.ws.settings.postal_address}",
            "controller_id": entry.body["controller"],
            "subject": entry.subject,
            "address": self._address(entry.subject),
            "basis": GIVING[entry.type],
            "channel": entry.body["channel"],
            "purposes": [self._purpose(entry, item) for item in entry.body["purposes"]],
            "given_at": entry.body.get("confirmed") or canonical.utc_text(entry.at),
            "entry": self._told(entry),
            "request": self._request(asked) if asked is not None else None,
            "latency_seconds": (entry.at - self._entry(asked).at).total_seconds() if asked is not None else None,
            "checkpoint": self.signed.note,
        }

    def mail(self, mail: Mapping[str, Any]) -> dict[str, Any]:
        """Give all there is about a mail."""
        entry = self._entry(mail["seq"])
        return {
            "message": mail["public_id"],
            "purpose": mail["purpose"],
            "mail": f"{mail['sequence']}/{mail['step']}",
            "language": mail["language"],
            "authorised_at": canonical.utc_text(entry.at),
            "lease_until": entry.body["lease_until"],
            "submitted_at": canonical.utc_text(mail["started_at"]) if mail["started_at"] else None,
            "outcome": mail["own_state"] or mail["state"],
            "provider_message_id": mail["provider_message_id"],
            "content_sha256": mail["content_sha256"],
            "template_sha256": mail["template_sha256"],
            "tracking": next(permit[3] for permit in entry.body["permits"] if permit[0] == mail["public_id"]),
            "entry": self._told(entry),
            "consent": self.consent(mail["consent_seq"]),
            "checkpoint": self.signed.note,
        }

    def _entry(self, seq: int) -> _Entry:
        row = self.conn.execute(select(ledger_entry).where(ledger_entry.c.seq == seq)).one()
        body = canonical.decode(row.leaf)["body"]
        proof = checkpoints.tlog_proof(self.conn, seq, self.signed)
        return _Entry(seq, row.at, row.type, row.subject, row.leaf, body, proof)

    def _told(self, entry: _Entry) -> dict[str, Any]:
        """Give an entry as anybody can check it; salt and evidence only when revealed."""
        opened = disclosure(self.conn, self.ws.keyring, entry.seq) if entry.body.get("commit") else None
        evidence: dict[str, Any] = opened["evidence"] if opened else {}
        shown = {name: value for name, value in evidence.items() if self.scope.reveal or name in OPEN_FIELDS}
        return {
            "seq": entry.seq,
            "at": canonical.utc_text(entry.at),
            "type": entry.type,
            "leaf": entry.leaf.decode(),
            "leaf_hash": merkle.leaf_hash(entry.leaf).hex(),
            "tlog_proof": entry.proof,
            "evidence": shown,
            "withheld": sorted(evidence.keys() - shown.keys()),
            "evidence_destroyed": bool(entry.body.get("commit")) and opened is None,
            "salt": opened["salt"] if opened and self.scope.reveal else None,
        }

    def _purpose(self, entry: _Entry, item: Mapping[str, Any]) -> dict[str, Any]:
        text = self.conn.execute(
            select(consent_text.c.body, consent_text.c.channel, consent_text.c.published_at).where(
                consent_text.c.sha256 == item["text"], consent_text.c.purpose == item["purpose"]
            )
        ).first()
        # What another system showed was never published here; its time is that of the import.
        published = text.published_at if text and text.channel != IMPORT else None
        body = text.body if text else self._wording_in_evidence(entry.seq, item["text"])
        return {
            "purpose": item["purpose"],
            "version": item["version"],
            "sha256": item["text"],
            "wording": body,
            "published_at": canonical.utc_text(published) if published else None,
            "ended": self._end(entry, item["purpose"]),
        }

    def _wording_in_evidence(self, seq: int, sha256: str) -> str | None:
        """Give the wording that is kept with the evidence alone: a customer's notice, an old import's text."""
        opened = disclosure(self.conn, self.ws.keyring, seq)
        evidence = opened["evidence"] if opened else {}
        wording = evidence.get("wording") or evidence.get("notice", {}).get("wording")
        fits = isinstance(wording, str) and hashlib.sha256(wording.encode()).hexdigest() == sha256
        return wording if fits else None

    def _end(self, entry: _Entry, purpose: str) -> dict[str, Any] | None:
        """Give the entry that ended the consent, if one did."""
        query = select(ledger_entry.c.seq, ledger_entry.c.type, ledger_entry.c.leaf).where(
            ledger_entry.c.subject == entry.subject, ledger_entry.c.seq > entry.seq
        )
        for row in self.conn.execute(query.order_by(ledger_entry.c.seq)):
            leaf = canonical.decode(row.leaf)
            body = leaf["body"]
            named = body.get("purposes", [EVERYTHING])
            ours = (body.get("controller"), body.get("channel")) == (entry.body["controller"], entry.body["channel"])
            ends = row.type == "consent.withdrawn" and ours and (purpose in named or EVERYTHING in named)
            if ends or row.type in {"subject.erased", "subject.merged"}:
                return {"seq": row.seq, "at": leaf["at"], "type": row.type, "route": body.get("route")}
        return None

    def _request(self, seq: int) -> dict[str, Any]:
        entry = self._entry(seq)
        return {
            "source": entry.body["source"],
            "language": entry.body["language"],
            "expires": entry.body["expires"],
            "entry": self._told(entry),
            "mails": self._confirmation_mails(seq),
        }

    def _confirmation_mails(self, seq: int) -> list[dict[str, Any]]:
        query = (
            select(
                message.c.public_id,
                template_version.c.sha256,
                delivery_attempt.c.started_at,
                delivery_attempt.c.provider_message_id,
                send_batch.c.state,
                message_exception.c.state.label("own_state"),
            )
            .select_from(
                message.join(opt_in_request, opt_in_request.c.id == message.c.request_id)
                .join(send_batch, send_batch.c.id == message.c.batch_id)
                .join(template_version, template_version.c.id == message.c.template_version_id)
                .join(
                    delivery_attempt,
                    (delivery_attempt.c.batch_id == send_batch.c.id) & (delivery_attempt.c.n == send_batch.c.attempt),
                )
                .outerjoin(message_exception, message_exception.c.message_id == message.c.id)
            )
            .where(opt_in_request.c.requested_seq == seq)
            .order_by(message.c.id)
        )
        return [
            {
                "message": row.public_id,
                "sent_at": canonical.utc_text(row.started_at),
                "outcome": row.own_state or row.state,
                "provider_message_id": row.provider_message_id,
                "template_sha256": row.sha256,
            }
            for row in self.conn.execute(query)
        ]

    def _address(self, subject: str | None) -> str | None:
        if not self.scope.reveal or subject is None:
            return None
        person = identity.reveal_each(self.conn, self.ws.keyring, [subject]).get(subject)
        return person.address if isinstance(person, identity.Person) else None

    # --- printing ----------------------------------------------------------------------------

    def issue_block(self) -> Block:
        """Print when the proof was made: what it says of the standing holds for then."""
        return Facts([(self.words["issued"], self._moment(canonical.utc_text(self.order.at)))])

    def consent_blocks(self, data: Mapping[str, Any]) -> Iterator[Block]:
        """Print a consent: who, what, the wording, both steps, the end."""
        words = self.words
        facts = [
            (words["controller"], data["controller"]),
            (words["subject"], data["address"] or f"{data['subject']} ({words['pseudonym']})"),
            (words["basis"], words[data["basis"]]),
            (words["given_at"], self._moment(data["given_at"])),
        ]
        yield Heading(words["consent"])
        yield Facts(facts)
        for item in data["purposes"]:
            kind = "wording" if item["version"] is not None else f"wording_{data['basis']}"
            yield Heading(words[kind].format(**item), level=2)
            if item["wording"] is None:
                yield Text(words["no_wording"])
                yield Facts([("SHA-256", item["sha256"]), (words["standing"], self._standing(item["ended"]))])
            else:
                yield Exact(item["wording"])
                digest = hashlib.sha256(item["wording"].encode()).hexdigest()
                verdict = words["matches"] if digest == item["sha256"] else words["differs"]
                yield Facts(
                    [
                        ("SHA-256", f"{digest}, {verdict}".format(seq=data["entry"]["seq"])),
                        (words["standing"], self._standing(item["ended"])),
                    ]
                )
        yield Heading(words["steps"] if data["request"] else words["recorded"])
        yield self._steps(data)

    def _steps(self, data: Mapping[str, Any]) -> Block:
        """Put both steps side by side: what was stated at which."""
        words, request = self.words, data["request"]
        second = [(words["when"], self._moment(data["entry"]["at"])), *self._evidence(data["entry"])]
        if not request:
            return Facts(second)
        first = [(words["when"], self._moment(request["entry"]["at"])), (words["form"], request["source"])]
        first += self._evidence(request["entry"])
        first += [
            (
                words["mail"],
                f"{self._moment(one['sent_at'])}, {self._said(one['outcome'])}, {one['provider_message_id'] or ''}",
            )
            for one in request["mails"]
        ]
        second += [(words["how"], words["button"]), (words["latency"], f"{data['latency_seconds']:.0f} s")]
        told = [dict(step) for step in (first, second)]
        names = dict.fromkeys([*told[0], *told[1]])
        rows = [(name, told[0].get(name, ""), told[1].get(name, "")) for name in names]
        return Rows(("", words["step_1"], words["step_2"]), rows, (0.7, 1.1, 1.2))

    def mail_blocks(self, data: Mapping[str, Any]) -> Iterator[Block]:
        """Print a mail: when it was permitted, what became of it, on what it rests."""
        words = self.words
        rows = [
            (words["message"], data["message"]),
            (words["purpose"], data["purpose"]),
            (words["authorised_at"], self._moment(data["authorised_at"])),
            (words["submitted_at"], self._moment(data["submitted_at"])),
            (words["outcome"], self._said(data["outcome"])),
            (words["provider_id"], data["provider_message_id"] or ""),
            (words["content_sha256"], data["content_sha256"]),
            (words["tracking"], words["no"] if data["tracking"] is None else str(data["tracking"])),
            (words["rests_on"], str(data["consent"]["entry"]["seq"])),
        ]
        yield Heading(words["the_mail"])
        yield Facts(rows)
        yield Text(words["content_rule"])

    def check_blocks(self, entries: list[dict[str, Any]], message_id: str | None = None) -> Iterator[Block]:
        """Print entries, proofs and the checkpoint, and how to check them offline.

        Of an entry that permits several mails only the permit of `message_id` is shown, beside the hash of the whole:
        the others are about other people.
        """
        words = self.words
        yield Heading(words["check"])
        for entry in entries:
            # The checkpoint is the same for all and printed once; the hashes share lines, to spare paper.
            hashes = " ".join(entry["tlog_proof"].partition("\n\n")[0].split("\n")[2:])
            yield Heading(words["entry"].format(**entry), level=2)
            permits = canonical.decode(entry["leaf"].encode())["body"].get("permits", [])
            if len(permits) > 1:
                own = next(permit for permit in permits if permit[0] == message_id)
                yield Text(words["one_of"].format(count=len(permits), **entry))
                yield Exact(f"{canonical.encode(own).decode()}\n{hashes}")
            else:
                yield Exact(f"{entry['leaf']}\n{hashes}")
        yield Heading(words["checkpoint"], level=2)
        yield Exact(self.signed.note)
        key = open_signer(self.ws).verifier
        yield Text(words["how_to"].format(key=key, root=base64.b64encode(self.signed.root).decode()))

    def _evidence(self, entry: Mapping[str, Any]) -> list[tuple[str, str]]:
        rows = [
            (field_name(name, self.order.language), self._stated(name, value))
            for name, value in _flat(entry["evidence"])
            if name not in {"wording", "notice.wording"}
        ]
        if entry["salt"]:
            rows.append((self.words["salt"], entry["salt"]))
        hidden = [name for name in entry["withheld"] if name != "wording"]
        if hidden:
            named = ", ".join(field_name(name, self.order.language) for name in hidden)
            rows.append((self.words["withheld"], named))
        if entry["evidence_destroyed"]:
            rows.append((self.words["evidence"], self.words["destroyed"]))
        return rows

    def _standing(self, ended: Mapping[str, Any] | None) -> str:
        if ended is None:
            return self.words["stands"]
        said = self.words[ended["type"]].format(when=self._moment(ended["at"]), seq=ended["seq"])
        return f"{said}, {self._said(ended['route'])}" if ended["route"] else said

    def _said(self, code: str) -> str:
        return word(code, self.order.language)

    def _stated(self, name: str, value: str) -> str:
        """Say a piece of evidence: our own codes and times in words, what a person or another system wrote as it is."""
        if name in OWN_CODES:
            return self._said(value)
        return self._moment(value) if name in OWN_TIMES else value

    def _moment(self, text: str | None) -> str:
        """Say a time in the legal zone, and in UTC, as the entries have it."""
        if text is None:
            return ""
        moment = datetime.fromisoformat(text).astimezone(UTC)
        local = moment.astimezone(self.ws.settings.tz)
        day = "%d.%m.%Y" if self.order.language == "de" else "%d %B %Y"
        said = f"{local:{day} %H:%M:%S %Z}"
        if local.utcoffset() == timedelta(0):
            return said
        same_day = local.date() == moment.date()
        return f"{said} ({moment:{'' if same_day else f'{day} '}%H:%M:%S} UTC)"


def _flat(evidence: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give each piece of evidence, one inside another under both names."""
    for name, value in evidence.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", text) for inner, text in _flat(value))
        else:
            yield name, str(value)
