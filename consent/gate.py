"""May this message go to this person, now? A Permit or a Refusal, never a maybe.

`check` tells at planning time, so that nothing is prepared in vain. `authorise` decides: it runs as the
ledger's one writer, so no withdrawal can slip between its look and its entry, and what it permits
stands in the ledger before the provider hears of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import String, and_, bindparam, case, exists, null, or_, select, update

from consent import canonical, ledger, texts
from consent.among import among, among_listed, listed
from consent.identity import chunks
from consent.rules import stale_from
from consent.schema import consent_state, identity, suppression
from consent.states import CONSENT, EMAIL, TRACKING, State
from consent.suppression import EVERYONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Column, ColumnElement, Connection

LEASE = timedelta(seconds=30)
"""The provider's call must start this soon after the authorisation, else ask again."""
PERMITS_PER_ENTRY = 200
SURELY_FRESH = timedelta(days=729)
"""Less than any 24 calendar months: a consent used within this span is not stale, and no calendar is asked."""


class RefusalReason(StrEnum):
    """Why a message may not go. A closed set: each is stored and counted by this word."""

    NO_CONSENT = "no_consent"
    """Nobody ever gave this consent, the request is not confirmed yet, or the subject is unknown."""
    WITHDRAWN = "withdrawn"
    """It was given and taken back."""
    STALE = "stale"
    """It was given, but no message used it for 24 months; it needs renewal."""
    SUPPRESSED = "suppressed"
    """The address is on the suppression list, whatever the consent says."""
    ERASED = "erased"
    """The person was erased."""
    NOT_COVERED = "not_covered"
    """What permits does not cover this message: the wording agreed to does not name its scope; or only the
    existing-customer exception permits, and it is switched off or the mail lacks the notice it asks for."""
    RESTRICTED = "restricted"
    """The person's data is kept, but may be used for nothing (Art. 18 GDPR)."""


class Ask(NamedTuple):
    """A question to the gate about one message."""

    subject: str
    purpose: str
    controller: str
    message_id: str
    """Public id of the message."""
    scope: texts.Scope | None = None
    """What the wording agreed to must name beyond the purpose; None: the purpose is enough."""
    exception: bool = False
    """May it rest on the existing-customer exception: policy allows it, and the mail says that one may object?"""


class Permit(NamedTuple):
    """This message may go to the provider, until `lease_until` (UTC)."""

    subject: str
    purpose: str
    controller: str
    consent_seq: int
    """Ledger entry of the consent it rests on."""
    message_id: str
    seq: int
    """Ledger entry of the authorisation itself."""
    tracking: bool
    """May opens and clicks of this message be measured?"""
    lease_until: datetime


class Refusal(NamedTuple):
    """This message may not go."""

    subject: str
    message_id: str
    reason: RefusalReason


def check(
    conn: Connection,
    subjects: Iterable[str],
    *,
    purpose: str,
    controller: str,
    at: datetime,
    scope: texts.Scope | None = None,
    exception: bool = False,
) -> dict[str, int | RefusalReason]:
    """Tell for each subject the consent entry a message could rest on at `at`, or why not.

    Appends nothing and promises nothing: only `authorise` permits. `scope` and `exception` as in an Ask.
    """
    found = _verdicts(conn, subjects, purpose=purpose, controller=controller, at=at, scope=scope, exception=exception)
    return {subject: verdict for subject, (verdict, _) in found.items()}


def check_tracked(
    conn: Connection,
    subjects: Iterable[str],
    *,
    purpose: str,
    controller: str,
    at: datetime,
    scope: texts.Scope | None = None,
    exception: bool = False,
) -> dict[str, tuple[int | RefusalReason, int | None]]:
    """As `check`, and beside each answer the entry of a tracking consent that stands: one statement for both."""
    return _verdicts(conn, subjects, purpose=purpose, controller=controller, at=at, scope=scope, exception=exception)


def _verdicts(
    conn: Connection,
    subjects: Iterable[str],
    *,
    purpose: str,
    controller: str,
    at: datetime,
    scope: texts.Scope | None,
    exception: bool,
) -> dict[str, tuple[int | RefusalReason, int | None]]:
    """Give what `check` gives, and beside it the entry of a tracking consent that stands."""
    wide = None if scope is None else texts.covering(conn, scope, controller=controller, purpose=purpose)
    found: dict[str, tuple[int | RefusalReason, int | None]] = dict.fromkeys(subjects, (RefusalReason.NO_CONSENT, None))
    asked = {
        "subjects": listed(conn, found), "purpose": purpose, "controller": controller, "recent": at - SURELY_FRESH,
    }  # fmt: skip
    # Few persons differ in what a verdict rests on: it is found once for all that are alike.
    known: dict[Any, RefusalReason | None] = {}
    for subject, seq, tracking_seq, unused_since, *alike in conn.execute(_evidence(conn.dialect.name), asked).all():
        stale = unused_since is not None and at >= stale_from(unused_since)
        key = (stale, *alike)
        if key not in known:
            known[key] = _refused(Evidence(*key), wide, exception=exception)
        found[subject] = (known[key] or seq, tracking_seq)
    return found


def tracking(conn: Connection, subjects: Iterable[str], *, controller: str) -> set[str]:
    """Who of these agreed that opens and clicks are measured, and did not take it back?"""
    return set(_tracking(conn, subjects, controller))


def agrees_to_tracking(subject: ColumnElement[Any], *, controller: str) -> ColumnElement[bool]:
    """Make the condition that whoever `subject` names agreed, as `tracking` tells; for a query about many of them."""
    return (
        exists()
        .where(
            consent_state.c.subject == subject,
            consent_state.c.controller == controller,
            consent_state.c.channel == EMAIL,
            consent_state.c.purpose == TRACKING,
            consent_state.c.state == State.GIVEN,
        )
        .correlate_except(consent_state)
    )


def tracked_since(conn: Connection, subjects: Iterable[str], *, controller: str) -> dict[str, datetime]:
    """Give the moment (UTC) from which on opens and clicks may be measured of those who agreed to it."""
    query = _tracking_given(conn, consent_state.c.since, subjects, controller)
    return {subject: since for subject, since in conn.execute(query)}  # noqa: C416  rows are no pairs to mypy


def authorise(conn: Connection, asks: Sequence[Ask], *, at: datetime) -> list[Permit | Refusal]:
    """Decide each ask, in the order given, and record every answer in the ledger.

    Permits are appended as send.authorised (up to 200 in one entry), refusals as send.blocked. A permit
    counts as a use of the consent: its 24 months start anew.
    """
    ledger.lock(conn)
    alike: dict[tuple[str, str, texts.Scope | None, bool], list[int]] = {}
    for number, ask in enumerate(asks):
        alike.setdefault((ask.controller, ask.purpose, ask.scope, ask.exception), []).append(number)
    answers: dict[int, Permit | Refusal] = {}
    for numbers in alike.values():
        answers |= _authorise(conn, {number: asks[number] for number in numbers}, at=at)
    return [answers[number] for number in range(len(asks))]


def _authorise(conn: Connection, asks: dict[int, Ask], *, at: datetime) -> dict[int, Permit | Refusal]:
    """Decide and record asks that differ in person and message only; keys are the caller's order."""
    one = next(iter(asks.values()))
    controller, purpose = one.controller, one.purpose
    about: dict[str, Any] = {"purpose": purpose, "controller": controller}
    found = _verdicts(
        conn, [ask.subject for ask in asks.values()], at=at, scope=one.scope, exception=one.exception, **about
    )
    permitted: list[tuple[int, str, str, int, int | None]] = []
    refused: list[tuple[int, str, str, RefusalReason]] = []
    for number, (subject, _, _, message_id, *_) in asks.items():
        verdict, tracking_seq = found[subject]
        if isinstance(verdict, RefusalReason):
            refused.append((number, message_id, subject, verdict))
        else:
            permitted.append((number, message_id, subject, verdict, tracking_seq))
    about |= {"channel": EMAIL}
    if one.scope is not None:
        about["scope"] = one.scope.described
    lease = at + LEASE
    entries, parts = [], list(chunks(permitted, PERMITS_PER_ENTRY))
    for part in parts:
        body = {**about, "lease_until": canonical.utc_text(lease), "permits": [list(permit[1:]) for permit in part]}
        entries.append(ledger.Entry(ledger.EntryType.AUTHORISED, body, at))
    for barred in chunks(refused, PERMITS_PER_ENTRY):
        refusals = [[message_id, subject, str(reason)] for _, message_id, subject, reason in barred]
        entries.append(ledger.Entry(ledger.EntryType.BLOCKED, {**about, "refusals": refusals}, at))
    answers: dict[int, Permit | Refusal] = {
        number: Refusal(subject, message_id, reason) for number, message_id, subject, reason in refused
    }
    for seq, part in zip(ledger.append(conn, entries), parts, strict=False):
        for number, message_id, subject, consent_seq, tracking_seq in part:
            answers[number] = Permit(
                subject, purpose, controller, consent_seq, message_id, seq, tracking_seq is not None, lease
            )
    _use(conn, {subject for _, _, subject, *_ in permitted}, controller, purpose, at)
    return answers


class Evidence(NamedTuple):
    """What a verdict about one person rests on."""

    stale: bool
    """Was the consent last used, or given, so long ago that it turned stale?"""
    erased: bool
    restricted: bool
    suppressed: bool
    state: str | None
    """The consent's last word; None where nothing was ever said."""
    text_id: int | None
    basis: str | None


@cache
def _evidence(dialect: str) -> Any:  # noqa: ANN401  a select
    """All that a verdict needs, by primary keys: identity, the consent's last word, the suppression.

    Gives subject, consent entry, tracking consent entry, the last use where it is so long ago that the calendar must
    be asked, and the rest of an Evidence. Parameters: subjects (as `listed`), purpose, controller, recent.
    """
    controller = bindparam("controller", type_=String())
    measured = consent_state.alias("measured")
    stands = and_(
        consent_state.c.subject == identity.c.subject,
        consent_state.c.controller == controller,
        consent_state.c.channel == EMAIL,
        consent_state.c.purpose == bindparam("purpose"),
    )
    agreed = and_(
        measured.c.subject == identity.c.subject,
        measured.c.controller == controller,
        measured.c.channel == EMAIL,
        measured.c.purpose == TRACKING,
        measured.c.state == State.GIVEN,
    )
    barred = exists().where(
        suppression.c.address_index == identity.c.address_index,
        or_(suppression.c.controller == EVERYONE, suppression.c.controller == controller),
    )
    since, used_at = consent_state.c.since, consent_state.c.used_at
    recent = bindparam("recent", type_=since.type)
    return (
        select(
            identity.c.subject,
            consent_state.c.seq,
            measured.c.seq.label("tracking_seq"),
            case(
                (or_(since > recent, used_at > recent), null()), (used_at > since, used_at), else_=since
            ).label("unused_since"),
            identity.c.erased_at.is_not(None).label("erased"),
            identity.c.restricted_at.is_not(None).label("restricted"),
            barred.label("suppressed"),
            consent_state.c.state,
            consent_state.c.text_id,
            consent_state.c.basis,
        )
        .select_from(identity.outerjoin(consent_state, stands).outerjoin(measured, agreed))
        .where(among_listed(dialect, identity.c.subject, "subjects"))
    )  # fmt: skip


def _refused(found: Evidence, wide: set[int] | None, *, exception: bool) -> RefusalReason | None:
    """Give the first reason in the order of finality, None where nothing speaks against it.

    `wide` are the texts wide enough.
    """
    reasons = (
        (found.erased, RefusalReason.ERASED),
        (found.restricted, RefusalReason.RESTRICTED),
        (found.suppressed, RefusalReason.SUPPRESSED),
        (found.state is None, RefusalReason.NO_CONSENT),
        (found.state == State.STALE, RefusalReason.STALE),
        (found.state != State.GIVEN, RefusalReason.WITHDRAWN),
        (found.stale, RefusalReason.STALE),
        (wide is not None and found.text_id not in wide, RefusalReason.NOT_COVERED),
        (found.basis != CONSENT and not exception, RefusalReason.NOT_COVERED),
    )
    return next((reason for holds, reason in reasons if holds), None)


def _tracking(conn: Connection, subjects: Iterable[str], controller: str) -> dict[str, int]:
    """Give the tracking consent entry of each subject who gave it."""
    query = _tracking_given(conn, consent_state.c.seq, subjects, controller)
    return {subject: seq for subject, seq in conn.execute(query)}  # noqa: C416  rows are no pairs to mypy


def _tracking_given(conn: Connection, column: Column[Any], subjects: Iterable[str], controller: str) -> Any:  # noqa: ANN401  a select of two columns
    """Read a column of the tracking consents that stand."""
    return select(consent_state.c.subject, column).where(
        among(conn, consent_state.c.subject, subjects),
        consent_state.c.controller == controller,
        consent_state.c.channel == EMAIL,
        consent_state.c.purpose == TRACKING,
        consent_state.c.state == State.GIVEN,
    )


def _use(conn: Connection, subjects: Iterable[str], controller: str, purpose: str, at: datetime) -> None:
    """Note the send on the consents it used; an older time takes nothing back."""
    used = {"subjects": listed(conn, subjects), "of": controller, "for": purpose, "now": at}
    conn.execute(_used(conn.dialect.name), used)


@cache
def _used(dialect: str) -> Any:  # noqa: ANN401  an update
    now = bindparam("now", type_=consent_state.c.used_at.type)
    return (
        update(consent_state)
        .where(
            among_listed(dialect, consent_state.c.subject, "subjects"),
            consent_state.c.controller == bindparam("of"),
            consent_state.c.channel == EMAIL,
            consent_state.c.purpose == bindparam("for"),
            or_(consent_state.c.used_at.is_(None), consent_state.c.used_at < now),
        )
        .values(used_at=now)
    )
