"""May these mails leave, now? The one transaction that decides it, with authority.

Everything that speaks for or against a mail is read here again: expiry, kill switch, circuit,
whose lead it is, what the person chose, frequency cap, consent, suppression, tracking. What is allowed is written down
(authorisation, attempt) before a single byte goes out; what is not leaves the batch with its reason.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from consent import basis, gate, ledger, suppression
from consent.gate import Ask, Permit, Refusal, RefusalReason
from consent.schema import identity, opt_in_request
from nurture.delivery import circuit, frequency, switch
from nurture.delivery.claiming import SUBMIT_LEASE, finish
from nurture.delivery.errors import DeliveryError
from nurture.delivery.states import Counts, Kind, State
from nurture.delivery.withheld import Gate, Withheld, withhold
from nurture.leads import preferences, stages, wordings
from nurture.store.inserting import chunks
from nurture.store.tables import (
    authorisation,
    delivery_attempt,
    enrolment,
    message,
    send_batch,
    send_slot,
    sequence_version,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from consent.texts import Scope
    from nurture.delivery.claiming import Claim
    from nurture.delivery.composing import Composed, Letter
    from nurture.delivery.frequency import Cap, FrequencyPolicy
    from nurture.delivery.provider import Outgoing
    from nurture.leads.preferences import Choice
    from nurture.leads.stages import Bar
    from nurture.store.workspace import Workspace

PASSED = (Gate("expiry", passed=True), Gate("kill_switch", passed=True), Gate("circuit", passed=True))
"""What the batch as a whole was asked before any of its messages."""


@dataclass(frozen=True)
class Ready:
    """One mail that may leave. A confirmation has no permit: it asks for the consent that a permit rests on."""

    message_id: int
    outgoing: Outgoing = field(repr=False)
    permit: Permit | None


@dataclass(frozen=True)
class Submission:
    """What may be handed to the provider, once, after the intent is committed. Empty: nothing may."""

    claim: Claim
    ready: tuple[Ready, ...] = ()
    counts: Counts = field(default_factory=Counts)

    @property
    def outgoing(self) -> tuple[Outgoing, ...]:
        """The mails, for the provider."""
        return tuple(one.outgoing for one in self.ready)


def intend(
    conn: Connection, ws: Workspace, composed: Composed, *, at: datetime, policy: FrequencyPolicy | None = None
) -> Submission:
    """Decide a claimed batch: it becomes submitting, goes back to planned, or ends unsent.

    The caller commits before it hands anything over. A claim that somebody else holds by now gives an
    empty submission and changes nothing. `policy` is the frequency policy, read from its file if not given.
    """
    # Before the first batch or slot: an erasure locks the ledger, then the slots of whom it erases.
    ledger.lock(conn)
    claim = composed.claim
    if not _hold(conn, claim, at):
        return Submission(claim)
    if at >= claim.not_after:
        expired = finish(conn, [claim.batch_id], State.EXPIRED, "expired", at=at)
        return Submission(claim, counts=Counts(expired=expired))
    stopped = switch.is_stopped(switch.stopped(conn), claim.sequence)
    if stopped or not circuit.enter(conn, claim.provider, claim.kind, at):
        _release(conn, claim)
        return Submission(claim, counts=Counts(released=len(composed.letters)))
    written, withheld = _written(composed.letters)
    if claim.kind is Kind.CONFIRMATION:
        ready, refused = _confirmations(conn, ws, written, at)
    else:
        policy = policy or frequency.load(ws.settings.policies)
        ready, refused = _marketing(conn, ws, claim, written, policy, at)
    withheld += refused
    withhold(conn, withheld, at=at)
    if ready:
        _commit_to_send(conn, claim, ready, at)
    else:
        circuit.give_back(conn, claim.provider, at)
        _close_empty(conn, claim, withheld, at)
    return Submission(claim, tuple(ready), _count(withheld))


def _hold(conn: Connection, claim: Claim, at: datetime) -> bool:
    """Lock the batch and see that it is still ours; a late worker finds a higher attempt and stops."""
    changed = conn.execute(
        update(send_batch)
        .where(
            send_batch.c.id == claim.batch_id,
            send_batch.c.state == State.CLAIMED,
            send_batch.c.attempt == claim.attempt,
        )
        .values(lease_until=at + SUBMIT_LEASE)
    )
    return changed.rowcount == 1


def _release(conn: Connection, claim: Claim) -> None:
    conn.execute(
        update(send_batch)
        .where(send_batch.c.id == claim.batch_id, send_batch.c.attempt == claim.attempt)
        .values(state=State.PLANNED, lease_owner=None, lease_until=None)
    )


def _written(letters: Sequence[Letter]) -> tuple[list[Letter], list[Withheld]]:
    """Part what could be written from what could not."""
    written, failed = [], []
    for letter in letters:
        if letter.outgoing is not None:
            written.append(letter)
            continue
        gone = letter.failure in {"erased", "request_settled"}
        state = State.SUPPRESSED if gone else State.FAILED_RENDER
        gates = (*PASSED, Gate("content", passed=False, detail=letter.failure))
        failed.append(Withheld(letter.message_id, state, letter.failure, gates))
    return written, failed


def _marketing(
    conn: Connection,
    ws: Workspace,
    claim: Claim,
    letters: list[Letter],
    policy: FrequencyPolicy,
    at: datetime,
) -> tuple[list[Ready], list[Withheld]]:
    """Ask whose lead it is, what the person chose, then the cap, then the consent gate.

    The ledger authorises nothing the others forbid. The send window is not asked again: `not_after`
    bounds how late a mail may leave.
    """
    cap, zone = policy.marketing, ws.settings.tz
    most, window = cap.most, cap.window(at, zone)
    barred = stages.barred_among(conn, [one.lead_id for one in letters if one.lead_id is not None])
    choices = preferences.of(conn, [letter.subject for letter in letters])
    free = [letter for letter in letters if letter.lead_id not in barred]
    resting = [letter for letter in free if _choice(choices, letter).pauses(at)]
    open_to_us = [letter for letter in free if not _choice(choices, letter).pauses(at)]
    own = _chosen(conn, open_to_us, choices, cap, at, zone)
    held = frequency.take_slots(conn, open_to_us, window, most, own=own)
    allowed = [letter for letter in open_to_us if letter.message_id in held]
    scopes = scopes_of(conn, ws, claim.purpose or "", [letter.message_id for letter in allowed])
    customers = wordings.exception_allowed(ws.settings.policies)
    asks = [
        Ask(
            letter.subject,
            claim.purpose or "",
            ws.settings.controller,
            letter.public_id,
            scope=scopes.get(letter.message_id),
            exception=customers and _says_one_may_object(letter),
        )
        for letter in allowed
    ]
    answers = {answer.message_id: answer for answer in gate.authorise(conn, asks, at=at)}
    ready: list[Ready] = []
    versions = {"frequency": policy.version}
    withheld = [_barred(letter, *barred[letter.lead_id]) for letter in letters if letter.lead_id in barred]
    withheld += [_resting(letter, choices[letter.subject], versions) for letter in resting]
    for letter in open_to_us:
        answer = answers.get(letter.public_id)
        if isinstance(answer, Permit):
            ready.append(Ready(letter.message_id, _final(letter, answer), answer))
            continue
        few = own.get(letter.lead_id or 0, most)
        capped = preferences.SLOWED if few < most else "frequency_cap"
        reason = str(answer.reason) if isinstance(answer, Refusal) else capped
        gates = [*PASSED, Gate("content", passed=True), Gate("stage", passed=True)]
        limit = f"{few} in {window}, chosen" if few < most else f"{most} in {window}"
        gates.append(Gate("frequency", passed=letter.message_id in held, detail=limit))
        if isinstance(answer, Refusal):
            gates.append(Gate("consent", passed=False, detail=reason))
        withheld.append(Withheld(letter.message_id, State.SUPPRESSED, reason, tuple(gates), versions))
    if withheld:
        unsent = [item.message_id for item in withheld]
        conn.execute(delete(send_slot).where(send_slot.c.message_id.in_(unsent)))
    return ready, withheld


def scopes_of(conn: Connection, ws: Workspace, purpose: str, message_ids: Sequence[int]) -> dict[int, Scope]:
    """Give the scope of each message whose sequence names one, in the version that its lead is in."""
    named = sequence_version.c.definition["scope"].as_string()
    found: dict[int, Scope] = {}
    for part in chunks(message_ids):
        query = (
            select(message.c.id, named.label("scope"))
            .join(enrolment, enrolment.c.id == message.c.enrolment_id)
            .join(sequence_version, sequence_version.c.id == enrolment.c.sequence_version_id)
            .where(message.c.id.in_(part), named.is_not(None))
        )
        for row in conn.execute(query).all():
            wanted = wordings.scope(ws.settings.policies, purpose, row.scope)
            if wanted is not None:
                found[row.id] = wanted
    return found


def _says_one_may_object(letter: Letter) -> bool:
    """Does a mail carry the notice that the existing-customer exception asks for, in both its parts?"""
    mail = letter.outgoing
    return mail is not None and basis.carries_notice(mail.text) and basis.carries_notice(mail.html)


def _choice(choices: dict[str, Choice], letter: Letter) -> Choice:
    return choices.get(letter.subject, preferences.NONE)


def _chosen(
    conn: Connection,
    letters: Sequence[Letter],
    choices: dict[str, Choice],
    cap: Cap,
    at: datetime,
    zone: ZoneInfo,
) -> dict[int, int]:
    """How many mails may these leads still get in the present window by their own choice?"""
    mine = {
        letter.lead_id: choices[letter.subject]
        for letter in letters
        if letter.lead_id is not None and letter.subject in choices
    }
    return frequency.chosen(conn, mine, cap, at=at, zone=zone) if mine else {}


def _resting(letter: Letter, choice: Choice, versions: dict[str, int]) -> Withheld:
    gates = [*PASSED, Gate("content", passed=True), Gate("stage", passed=True)]
    gates.append(Gate("pause", passed=False, detail=f"until {choice.paused_until:%Y-%m-%d %H:%M}Z"))
    return Withheld(letter.message_id, State.SUPPRESSED, preferences.PAUSED, tuple(gates), versions)


def _barred(letter: Letter, bar: Bar, stage: str, owner: str) -> Withheld:
    gates = (*PASSED, Gate("content", passed=True), Gate("stage", passed=False, detail=f"{stage}, {owner}"))
    return Withheld(letter.message_id, State.SUPPRESSED, str(bar), gates)


def _final(letter: Letter, permit: Permit) -> Outgoing:
    """Give the mail as it may leave: without pixel and wrapped links when consent to tracking is gone."""
    if letter.tracked and not permit.tracking and letter.untracked is not None:
        return letter.untracked()
    if letter.outgoing is None:
        raise AssertionError("a letter that was not written reached the permit")
    return letter.outgoing


def _confirmations(
    conn: Connection, ws: Workspace, letters: list[Letter], at: datetime
) -> tuple[list[Ready], list[Withheld]]:
    """Only open requests that a confirmation could carry through get their mail.

    A suppression that the confirmation would lift is no bar: else nobody could come back. Who is restricted
    (Art. 18) gets none.
    """
    query = (
        select(opt_in_request.c.id, opt_in_request.c.requested_at, identity.c.address_index, identity.c.restricted_at)
        .join(identity, identity.c.subject == opt_in_request.c.subject)
        .where(
            opt_in_request.c.id.in_([letter.request_id for letter in letters]),
            opt_in_request.c.state == "requested",
            opt_in_request.c.expires_at > at,
        )
        .with_for_update()
    )
    rows = conn.execute(query).all()
    asked = {row.id: (row.address_index, row.requested_at) for row in rows}
    restricted = {row.id for row in rows if row.restricted_at is not None}
    known = [one for one in asked.values() if one[0] is not None]
    barred = suppression.lasting(conn, known, controller=ws.settings.controller)
    ready: list[Ready] = []
    withheld: list[Withheld] = []
    for letter in letters:
        found = asked.get(letter.request_id or 0)
        reason = "request_settled" if found is None else "suppressed" if found in barred else ""
        if letter.request_id in restricted:
            reason = RefusalReason.RESTRICTED.value
        if reason or letter.outgoing is None:
            gates = (*PASSED, Gate("request", passed=False, detail=reason))
            withheld.append(Withheld(letter.message_id, State.SUPPRESSED, reason, gates))
        else:
            ready.append(Ready(letter.message_id, letter.outgoing, None))
    return ready, withheld


def _count(withheld: Sequence[Withheld]) -> Counts:
    counts = Counts()
    for item in withheld:
        if item.state == State.FAILED_RENDER:
            counts.failed += 1
        counts.withheld[item.reason] += 1
    return counts


def _close_empty(conn: Connection, claim: Claim, withheld: Sequence[Withheld], at: datetime) -> None:
    """End a batch of which nothing is left to send."""
    failed = bool(withheld) and all(item.state == State.FAILED_RENDER for item in withheld)
    conn.execute(
        update(send_batch)
        .where(send_batch.c.id == claim.batch_id, send_batch.c.attempt == claim.attempt)
        .values(
            state=State.FAILED_RENDER if failed else State.SUPPRESSED,
            settled_at=at,
            lease_owner=None,
            lease_until=None,
        )
    )


def content_sha256(mail: Outgoing) -> str:
    """Give the fingerprint of what a person will read: what all readers of the mail share, the address, the values.

    Together they are the mail; writing it out for everybody only to hash it would cost more than sending it.
    """
    parts = (mail.content.sha256, mail.to_address, *mail.values)
    return hashlib.sha256("".join([f"{len(part)}:{part}" for part in parts]).encode()).hexdigest()


def _commit_to_send(conn: Connection, claim: Claim, ready: Sequence[Ready], at: datetime) -> None:
    """Write down what each mail rests on and that from now on it may have left."""
    fingerprints = {one.message_id: content_sha256(one.outgoing) for one in ready}
    rows = [
        {
            "message_id": one.message_id,
            "attempt": claim.attempt,
            "seq": one.permit.seq,
            "consent_seq": one.permit.consent_seq,
            "content_sha256": fingerprints[one.message_id],
        }
        for one in ready
        if one.permit is not None
    ]
    if rows:
        conn.execute(insert(authorisation), rows)
    request = hashlib.sha256("".join(fingerprints.values()).encode()).hexdigest()
    attempt = {"batch_id": claim.batch_id, "n": claim.attempt, "started_at": at, "request_sha256": request}
    conn.execute(insert(delivery_attempt).values(**attempt))
    changed = conn.execute(
        update(send_batch)
        .where(
            send_batch.c.id == claim.batch_id,
            send_batch.c.state == State.CLAIMED,
            send_batch.c.attempt == claim.attempt,
        )
        .values(state=State.SUBMITTING, lease_until=at + SUBMIT_LEASE)
    )
    if changed.rowcount != 1:
        # Cannot happen: `_hold` has the row locked. If it does, the rollback takes everything back.
        raise DeliveryError(f"batch {claim.batch_id} changed hands inside the intent; nothing was sent, run again")
