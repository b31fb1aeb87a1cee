"""May these mails leave, now? The one transaction that decides it, with authority.

Everything that speaks for or against a mail is read here again: expiry, kill switch, circuit,
whose lead it is, what the person chose, frequency cap, consent, suppression, tracking. What is allowed is written down
(authorisation, attempt) before a single byte goes out; what is not leaves the batch with its reason.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import orjson
from sqlalchemy import bindparam, delete, insert, select, update

from consent import basis, gate, ledger, suppression
from consent.among import among
from consent.bulk import insert_columns
from consent.gate import Ask, Permit, Refusal, RefusalReason
from consent.schema import identity, opt_in_request
from nurture.delivery import brakes, circuit, frequency, switch
from nurture.delivery.claiming import SUBMIT_LEASE, finish
from nurture.delivery.errors import DeliveryError
from nurture.delivery.states import Counts, Kind, State
from nurture.delivery.withheld import Gate, Withheld, withhold
from nurture.leads import preferences, stages, wordings
from nurture.store.engine import by_index
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
WRITTEN = (*PASSED, Gate("content", passed=True), Gate("stage", passed=True))
"""What a message was asked before the person's own choices."""
SCOPE = sequence_version.c.definition["scope"].as_string()
NAMES_SCOPE = (
    select(sequence_version.c.id).where(sequence_version.c.name == bindparam("sequence"), SCOPE.is_not(None)).limit(1)
)

# Made once: putting a statement together takes longer than executing it.
OURS = update(send_batch).where(
    send_batch.c.id == bindparam("of"),
    send_batch.c.attempt == bindparam("tried"),
    send_batch.c.state == State.CLAIMED,
)
ATTEMPT = insert(delivery_attempt)


class Ready(NamedTuple):
    """One mail that may leave. A confirmation has no permit: it asks for the consent that a permit rests on."""

    message_id: int
    outgoing: Outgoing
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
        return tuple([one.outgoing for one in self.ready])


def intend(
    conn: Connection, ws: Workspace, composed: Composed, *, at: datetime, policy: FrequencyPolicy | None = None
) -> Submission:
    """Decide a claimed batch: it becomes submitting, goes back to planned, or ends unsent.

    The caller commits before it hands anything over. A claim that somebody else holds by now gives an
    empty submission and changes nothing. `policy` is the frequency policy, read from its file if not given.
    """
    # Before the first batch or slot: an erasure locks the ledger, then the slots of whom it erases.
    ledger.lock(conn)
    by_index(conn)
    claim = composed.claim
    if not _hold(conn, claim, at):
        return Submission(claim)
    if at >= claim.not_after:
        expired = finish(conn, [claim.batch_id], State.EXPIRED, "expired", at=at)
        return Submission(claim, counts=Counts(expired=expired))
    stopped = switch.is_stopped(switch.stopped(conn), claim.sequence)
    stopped = stopped or brakes.stopping(conn, claim.kind, claim.provider) is not None
    if stopped or not circuit.enter(conn, claim.provider, claim.kind, at):
        _release(conn, claim)
        return Submission(claim, counts=Counts(released=len(composed.letters)))
    written, withheld = _written(composed.letters)
    if claim.kind is Kind.CONFIRMATION:
        ready, refused = _confirmations(conn, ws, written, at)
    else:
        policy = policy or frequency.load(ws.settings.policies)
        ready, refused = _marketing(conn, ws, composed, written, policy, at)
    withheld += refused
    withhold(conn, withheld, at=at)
    if withheld:
        # Also what an earlier try left with those that can no longer be written.
        unsent = [item.message_id for item in withheld]
        conn.execute(delete(send_slot).where(among(conn, send_slot.c.message_id, unsent)))
    if ready:
        _commit_to_send(conn, claim, ready, at)
    else:
        circuit.give_back(conn, claim.provider, claim.kind, at)
        _close_empty(conn, claim, withheld, at)
    return Submission(claim, tuple(ready), _count(withheld))


def _hold(conn: Connection, claim: Claim, at: datetime) -> bool:
    """Lock the batch and see that it is still ours; a late worker finds a higher attempt and stops."""
    return _move(conn, claim, lease_until=at + SUBMIT_LEASE)


def _move(conn: Connection, claim: Claim, **values: object) -> bool:
    """Change the claimed batch, if it is still that of this claim."""
    return conn.execute(OURS, {"of": claim.batch_id, "tried": claim.attempt, **values}).rowcount == 1


def _release(conn: Connection, claim: Claim) -> None:
    _move(conn, claim, state=State.PLANNED, lease_owner=None, lease_until=None)


def _written(letters: Sequence[Letter]) -> tuple[list[Letter], list[Withheld]]:
    """Part what could be written from what could not."""
    written, failed = [], []
    for letter in letters:
        if letter.outgoing is not None:
            written.append(letter)
        else:
            failed.append(_unwritten(letter))
    return written, failed


def _unwritten(letter: Letter) -> Withheld:
    """Withhold a mail that could not be written."""
    gone = letter.failure in {"erased", "request_settled"}
    state = State.SUPPRESSED if gone else State.FAILED_RENDER
    gates = (*PASSED, Gate("content", passed=False, detail=letter.failure))
    return Withheld(letter.message_id, state, letter.failure, gates)


def _marketing(
    conn: Connection, ws: Workspace, composed: Composed, letters: list[Letter], policy: FrequencyPolicy, at: datetime
) -> tuple[list[Ready], list[Withheld]]:
    """Ask whose lead it is, what the person chose, then the cap, then the consent gate.

    The ledger authorises nothing the others forbid. The send window is not asked again: `not_after`
    bounds how late a mail may leave.
    """
    withheld: list[Withheld] = []
    versions = {"frequency": policy.version}
    barred = stages.barred_among(conn, [one.lead_id for one in letters if one.lead_id is not None])
    if barred:
        withheld += [_barred(letter, *barred[letter.lead_id]) for letter in letters if letter.lead_id in barred]
        letters = [letter for letter in letters if letter.lead_id not in barred]
    choices = preferences.of(conn, [letter.subject for letter in letters])
    if choices:
        resting = [letter for letter in letters if _choice(choices, letter).pauses(at)]
        withheld += [_resting(letter, choices[letter.subject], versions) for letter in resting]
        letters = [letter for letter in letters if not _choice(choices, letter).pauses(at)]
    cap, zone = policy.marketing, ws.settings.tz
    window = cap.window(at, zone)
    own = _chosen(conn, letters, choices, cap, at, zone) if choices else {}
    held = frequency.take_slots(conn, letters, window, cap.most, own=own)
    if len(held) < len(letters):
        over = [letter for letter in letters if letter.message_id not in held]
        withheld += [
            _capped(letter, own.get(letter.lead_id or 0, cap.most), cap.most, window, versions) for letter in over
        ]
        letters = [letter for letter in letters if letter.message_id in held]
    ready: list[Ready] = []
    for letter, answer in zip(letters, _permits(conn, ws, composed.claim, letters, at), strict=True):
        if isinstance(answer, Permit):
            final = _final(composed, letter, answer)
            if final.outgoing is None:
                withheld.append(_unwritten(final))
            else:
                ready.append(Ready(letter.message_id, final.outgoing, answer))
        else:
            few = own.get(letter.lead_id or 0, cap.most)
            withheld.append(_refused(letter, answer, _limit(few, cap.most, window), versions))
    return ready, withheld


def _permits(
    conn: Connection, ws: Workspace, claim: Claim, letters: Sequence[Letter], at: datetime
) -> list[Permit | Refusal]:
    """Ask the gate for each letter, in their order."""
    purpose, controller = claim.purpose or "", ws.settings.controller
    # Few sequences name a scope; only for those each lead's version is asked.
    named = conn.execute(NAMES_SCOPE, {"sequence": claim.sequence}).first() is not None
    scopes = scopes_of(conn, ws, purpose, [letter.message_id for letter in letters]) if named else {}
    customers = wordings.exception_allowed(ws.settings.policies)
    asks = [
        Ask(
            letter.subject,
            purpose,
            controller,
            letter.public_id,
            scopes.get(letter.message_id),
            customers and _says_one_may_object(letter),
        )
        for letter in letters
    ]
    return gate.authorise(conn, asks, at=at)


def _limit(few: int, most: int, window: str) -> str:
    return f"{few} in {window}, chosen" if few < most else f"{most} in {window}"


def _capped(letter: Letter, few: int, most: int, window: str, versions: dict[str, int]) -> Withheld:
    """Withhold a mail for which its lead has no place left in this window."""
    reason = preferences.SLOWED if few < most else "frequency_cap"
    gates = (*WRITTEN, Gate("frequency", passed=False, detail=_limit(few, most, window)))
    return Withheld(letter.message_id, State.SUPPRESSED, reason, gates, versions)


def _refused(letter: Letter, answer: Refusal, limit: str, versions: dict[str, int]) -> Withheld:
    """Withhold a mail that the gate does not permit."""
    reason = str(answer.reason)
    gates = (*WRITTEN, Gate("frequency", passed=True, detail=limit), Gate("consent", passed=False, detail=reason))
    return Withheld(letter.message_id, State.SUPPRESSED, reason, gates, versions)


def scopes_of(conn: Connection, ws: Workspace, purpose: str, message_ids: Sequence[int]) -> dict[int, Scope]:
    """Give the scope of each message whose sequence names one, in the version that its lead is in."""
    query = (
        select(message.c.id, SCOPE.label("scope"))
        .join(enrolment, enrolment.c.id == message.c.enrolment_id)
        .join(sequence_version, sequence_version.c.id == enrolment.c.sequence_version_id)
        .where(among(conn, message.c.id, message_ids), SCOPE.is_not(None))
    )
    found: dict[int, Scope] = {}
    for message_id, name in conn.execute(query).all():
        wanted = wordings.scope(ws.settings.policies, purpose, name)
        if wanted is not None:
            found[message_id] = wanted
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
    gates = (*WRITTEN, Gate("pause", passed=False, detail="until {paused}"))
    until = {"paused": f"{choice.paused_until:%Y-%m-%d %H:%M}Z"}
    return Withheld(letter.message_id, State.SUPPRESSED, preferences.PAUSED, gates, versions, until)


def _barred(letter: Letter, bar: Bar, said: str) -> Withheld:
    gates = (*PASSED, Gate("content", passed=True), Gate("stage", passed=False, detail=said))
    return Withheld(letter.message_id, State.SUPPRESSED, str(bar), gates)


def _final(composed: Composed, letter: Letter, permit: Permit) -> Letter:
    """Give the mail as it may leave: without pixel and wrapped links when consent to tracking is gone."""
    return composed.untracked(letter) if letter.tracked and not permit.tracking else letter


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
    state = State.FAILED_RENDER if failed else State.SUPPRESSED
    _move(conn, claim, state=state, settled_at=at, lease_owner=None, lease_until=None)


def content_sha256(mail: Outgoing) -> str:
    """Give the fingerprint of what a person will read: what all readers of the mail share, the address, the values.

    Together they are the mail; writing it out for everybody only to hash it would cost more than sending it.
    """
    return hashlib.sha256(orjson.dumps((mail.content.sha256, mail.to_address, *mail.values))).hexdigest()


def _commit_to_send(conn: Connection, claim: Claim, ready: Sequence[Ready], at: datetime) -> None:
    """Write down what each mail rests on and that from now on it may have left."""
    fingerprints = [content_sha256(one.outgoing) for one in ready]
    permits = [(ready[n].message_id, permit, fingerprints[n]) for n in range(len(ready)) if (permit := ready[n].permit)]
    if permits:
        ids, given, hashes = zip(*permits, strict=True)
        insert_columns(
            conn,
            authorisation,
            {
                "message_id": ids,
                "attempt": [claim.attempt] * len(ids),
                "seq": [permit.seq for permit in given],
                "consent_seq": [permit.consent_seq for permit in given],
                "content_sha256": hashes,
            },
        )
    request = hashlib.sha256("".join(fingerprints).encode()).hexdigest()
    attempt = {"batch_id": claim.batch_id, "n": claim.attempt, "started_at": at, "request_sha256": request}
    conn.execute(ATTEMPT, attempt)
    if not _move(conn, claim, state=State.SUBMITTING, lease_until=at + SUBMIT_LEASE):
        # Cannot happen: `_hold` has the row locked. If it does, the rollback takes everything back.
        raise DeliveryError(f"batch {claim.batch_id} changed hands inside the intent; nothing was sent, run again")
