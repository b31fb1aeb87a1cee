"""How is a person erased so that no byte is left, and so that a power cut in the middle costs nothing?

    announced   every consent ended, the person restricted        one transaction with the request
    files       mails, records, payloads, logs                    while the address is still known
    database    identity, keys, evidence, behaviour, bodies       one transaction, with subject.erased
    remains     files that were written meanwhile                 by ids alone
    pages       free pages and the database's log                 once for all that came this far

The step that was done last stands in rights_request.step; whoever comes next goes on behind it. Every step
may be done twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from consent import identity as identities
from consent import ledger, rights, suppression, withdrawal
from consent.schema import consent_state, identity, opt_in_request, proof_vault, rights_request
from nurture.leads.rights import exporting, places, policy, rows
from nurture.leads.rights.dates import end_of_calendar_year
from nurture.leads.rights.group import Group, RightsError, group_of
from nurture.leads.rights.requests import Kind, Pending, settle_others, take_down
from nurture.store.inserting import chunks
from nurture.store.scrubbing import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from nurture.store.workspace import Workspace

ROUTE = "objection"
"""Route of the withdrawals that an erasure brings along."""
RESTRICTION = "erasure"
SUPPRESSED = "erasure"
SETTLED = "erased"
"""Why a person's other requests need no answer any more."""
TOGETHER = 200
"""People erased in one transaction."""


class Step(StrEnum):
    """How far an erasure came."""

    ANNOUNCED = "announced"
    """Nothing may be done with the data any more."""
    FILES = "files"
    """The files that name the person are gone."""
    DATABASE = "database"
    """So are the rows; the ledger says so."""
    REMAINS = "remains"
    """So are files that a worker finished meanwhile."""
    PAGES = "pages"
    """Free pages and the log of the database are clean: done."""
    HELD = "held"
    """Done but for the proof, which is held for legal claims until its day."""


@dataclass
class Erased:
    """What was destroyed. Counts and paths, nobody's name."""

    requests: int = 0
    """Requests that came to their end."""
    held: int = 0
    """Of these, with the proof held for legal claims."""
    rows: int = 0
    files: int = 0
    left: list[str] = field(default_factory=list)
    """Files of the workspace that still name somebody and are not ours to change."""


def _quiet(_point: str) -> None:
    """Tell nobody how far it came."""


def request_erasure(  # noqa: PLR0913  each is a fact of the request
    conn: Connection,
    workspace: Workspace,
    subject: str,
    *,
    route: str,
    actor: str,
    at: datetime,
    reason: str = "request",
    keep_suppression: bool = True,
    hold: bool = False,
) -> Pending:
    """Take a request for erasure down and see to it that nothing is done with the data from now on.

    In this transaction every consent ends, open sign-ups are void and the person is restricted; the address
    stays on the suppression list by its keyed HMAC if wanted. `erase_open` carries the rest out. With `hold`
    the proof is kept, restricted, until the end of the calendar years that retention.yaml names (Art.
    17(3)(e)). A second request while one is open gives the first and changes nothing; one after a hold ends
    nothing earlier. Raises RightsError for an unknown or erased person.
    """
    ledger.lock(conn)
    group = group_of(conn, subject)
    known = _pending(conn, group)
    if known is not None:
        return Pending(known.id, known.due_at, repeated=True)
    alive = _alive(conn, group)
    if not alive:
        raise RightsError("this person was erased before; nothing about them is left")
    settings = workspace.settings
    for one in alive:
        _silence(conn, one, settings.controller, actor=actor, keep_suppression=keep_suppression, at=at)
    years = policy.load(settings.policies).proof_after_withdrawal.calendar_years
    pending = take_down(conn, subject, Kind.ERASE, route=route, actor=actor, zone=settings.tz, at=at, reason=reason)
    conn.execute(
        update(rights_request)
        .where(rights_request.c.id == pending.request_id)
        .values(
            state="running",
            step=Step.ANNOUNCED.value,
            reason=reason,
            hold_until=end_of_calendar_year(at, years, settings.tz) if hold else None,
        )
    )
    return Pending(pending.request_id, pending.due_at)


def begin(conn: Connection, workspace: Workspace, subject: str, *, reason: str, at: datetime) -> int:
    """Note an erasure that nobody asked for, because a person's time is over; give the request to carry out.

    Where there is proof of a consent it is held as long as claims live, and who withdrew stays barred: by every
    address that goes with them, whichever of the leads that were merged said no.
    """
    settings = workspace.settings
    pending = take_down(conn, subject, Kind.ERASE, route=reason, actor=reason, zone=settings.tz, at=at, reason=reason)
    group = group_of(conn, subject)
    alive = _alive(conn, group)
    # Also of one of whom only the proof is kept already.
    proven = conn.execute(select(proof_vault.c.seq).where(proof_vault.c.subject.in_(group.subjects)).limit(1)).first()
    withdrew = conn.execute(select(func.max(consent_state.c.since)).where(consent_state.c.subject.in_(alive))).scalar()
    if withdrew is not None:
        for one in alive:
            suppression.suppress_subject(conn, one, SUPPRESSED, at=at)
    until = None
    if proven is not None:
        years = policy.load(settings.policies).proof_after_withdrawal.calendar_years
        until = end_of_calendar_year(withdrew or at, years, settings.tz)
    conn.execute(
        update(rights_request)
        .where(rights_request.c.id == pending.request_id)
        .values(state="running", step=Step.ANNOUNCED.value, hold_until=until if until and until > at else None)
    )
    return pending.request_id


def erase_open(
    workspace: Workspace, *, at: datetime, limit: int | None = None, reached: Callable[[str], None] = _quiet
) -> Erased:
    """Carry out what was asked for and is not done, and go on where a killed run stopped.

    `reached` hears the name of each point that was passed. Raises StoreError when the database is too busy to
    be cleaned; the requests then stay open at that step.
    """
    query = (
        select(rights_request.c.id)
        .where(
            rights_request.c.kind == Kind.ERASE.value,
            rights_request.c.state == "running",
            rights_request.c.settled_at.is_(None),
        )
        .order_by(rights_request.c.id)
        .limit(limit)
    )
    with workspace.store.read() as conn:
        waiting = list(conn.execute(query).scalars())
    return carry_out(workspace, waiting, at=at, reached=reached)


def carry_out(
    workspace: Workspace, requests: Iterable[int], *, at: datetime, reached: Callable[[str], None] = _quiet
) -> Erased:
    """Do the steps of these requests that are not done yet; the last one for all of them at once."""
    done, listed = Erased(), list(requests)
    for part in chunks(listed, TOGETHER):
        for step, some in _by_step(workspace, part).items():
            _some(workspace, step, some, done, at=at, reached=reached)
    if not listed:
        return done
    scrub(workspace.store)
    reached("pages:clean")
    with workspace.store.write() as conn:
        for request_id in listed:
            _settle(conn, request_id, done, at=at)
    reached("pages:noted")
    # The entry above is a write of its own; what it freed holds nothing of anybody.
    return done


def release(workspace: Workspace, *, at: datetime, limit: int = 1000) -> int:
    """Destroy the proofs whose hold is over; give how many people that were."""
    query = (
        select(rights_request.c.id, rights_request.c.subject)
        .where(rights_request.c.step == Step.HELD.value, rights_request.c.hold_until <= at)
        .order_by(rights_request.c.id)
        .limit(limit)
    )
    with workspace.store.write() as conn:
        over = conn.execute(query).all()
        for row in over:
            group = group_of(conn, row.subject)
            identities.erase_many(conn, group.subjects, at=at, reason="hold_over")
            conn.execute(
                update(rights_request).where(rights_request.c.id == row.id).values(state="done", step=Step.PAGES.value)
            )
    if over:
        scrub(workspace.store)
    return len(over)


def _by_step(workspace: Workspace, requests: Sequence[int]) -> dict[Step, list[Row[Any]]]:
    """Read requests, those at the same step together."""
    found: dict[Step, list[Row[Any]]] = {}
    with workspace.store.read() as conn:
        query = select(rights_request).where(rights_request.c.id.in_(requests)).order_by(rights_request.c.id)
        for row in conn.execute(query):
            found.setdefault(Step(row.step), []).append(row)
    return found


def _some(
    workspace: Workspace,
    step: Step,
    asked: Sequence[Row[Any]],
    done: Erased,
    *,
    at: datetime,
    reached: Callable[[str], None],
) -> None:
    """Bring requests that stand at one step to the step before the last, in as few transactions as one would need."""
    with workspace.store.read() as conn:
        groups = {row.id: group_of(conn, row.subject) for row in asked}
        everybody = Group(
            tuple(subject for group in groups.values() for subject in group.subjects),
            tuple(number for group in groups.values() for number in group.leads),
        )
        found = places.traces(conn, workspace.keyring, everybody)
    if step is Step.ANNOUNCED:
        reached("files:before")
        done.files += _files(workspace, found, done, reached)
        step = _note(workspace, groups, Step.FILES)
        reached("files:noted")
    if step is Step.FILES:
        with workspace.store.write() as conn:
            ledger.lock(conn)
            done.rows += rows.forget(conn, workspace.keyring, everybody, found, at=at)
            reached("database:half")
            for row in asked:
                _destroy(conn, groups[row.id], row, at=at)
                settle_others(conn, groups[row.id].subjects, reason=SETTLED, at=at)
            step = _note_in(conn, groups, Step.DATABASE)
            reached("database:before_commit")
        reached("database:committed")
    if step is Step.DATABASE:
        done.files += sum(places.remove(path) for path in places.named(workspace.home, found))
        reached("remains:removed")
        _note(workspace, groups, Step.REMAINS)
        reached("remains:noted")


def _files(workspace: Workspace, found: places.Traces, done: Erased, reached: Callable[[str], None]) -> int:
    """Remove or blacken every file that names the person; give how many."""
    count = 0
    for path in places.named(workspace.home, found):
        count += places.remove(path)
        reached("files:one")
    for path in places.holding(workspace.home, found.needles):
        where = path.relative_to(workspace.home).parts[0]
        if where == places.LOGS:
            places.blacken(path, found.needles)
        elif where in {places.OUTBOX, places.HANDOVERS, exporting.FOLDER, places.REPORTS}:
            places.remove(path)
            count += sum(places.remove(paper) for paper in places.papers(workspace.home, path))
        else:
            done.left.append(str(path.relative_to(workspace.home)))
            continue
        count += 1
    return count


def _destroy(conn: Connection, group: Group, row: Any, *, at: datetime) -> None:  # noqa: ANN401  a row
    """Destroy who it was; with a hold all but the proof."""
    if row.hold_until is None:
        rights.forget_sign_ups(conn, group.subjects)
        identities.erase_many(conn, group.subjects, at=at, reason=row.reason or "request")
        return
    for subject in _alive(conn, group):
        rights.hold(conn, subject, actor=row.actor, keep_suppression=None, at=at)


def _settle(conn: Connection, request_id: int, done: Erased, *, at: datetime) -> None:
    row = conn.execute(select(rights_request).where(rights_request.c.id == request_id)).one()
    if row.step != Step.REMAINS:
        return
    held = row.hold_until is not None
    done.requests += 1
    done.held += held
    conn.execute(
        update(rights_request)
        .where(rights_request.c.id == request_id)
        .values(state="running" if held else "done", settled_at=at, step=(Step.HELD if held else Step.PAGES).value)
    )


def _silence(
    conn: Connection, subject: str, controller: str, *, actor: str, keep_suppression: bool, at: datetime
) -> None:
    """End every consent of a subject, bar the address if wanted, and restrict."""
    known = select(consent_state.c.controller).where(consent_state.c.subject == subject)
    asked = select(opt_in_request.c.controller).where(opt_in_request.c.subject == subject)
    controllers = {controller, *conn.execute(known.union(asked)).scalars()}
    for name in sorted(controllers):
        withdrawal.withdraw(conn, subject=subject, controller=name, purposes=None, route=ROUTE, actor=actor, at=at)
    if keep_suppression:
        suppression.suppress_subject(conn, subject, SUPPRESSED, at=at)
    rights.restrict(conn, subject, reason=RESTRICTION, actor=actor, at=at)


def _alive(conn: Connection, group: Group) -> list[str]:
    query = select(identity.c.subject).where(
        identity.c.subject.in_(group.subjects), identity.c.erased_at.is_(None), identity.c.address_index.is_not(None)
    )
    return sorted(conn.execute(query).scalars())


def _pending(conn: Connection, group: Group) -> Any | None:  # noqa: ANN401  a row
    """Find an erasure of this person that is under way, or whose proof is held."""
    return conn.execute(
        select(rights_request.c.id, rights_request.c.due_at)
        .where(
            rights_request.c.subject.in_(group.subjects),
            rights_request.c.kind == Kind.ERASE.value,
            rights_request.c.state == "running",
        )
        .order_by(rights_request.c.id)
    ).first()


def _note(workspace: Workspace, requests: Iterable[int], step: Step) -> Step:
    with workspace.store.write() as conn:
        return _note_in(conn, requests, step)


def _note_in(conn: Connection, requests: Iterable[int], step: Step) -> Step:
    conn.execute(update(rights_request).where(rights_request.c.id.in_(list(requests))).values(step=step.value))
    return step
