"""What is older than it may be? One query for each class of policies/retention.yaml, counted or dropped.

A span is half-open: what is exactly so old goes. Files count from when they were last written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, delete, exists, func, or_, select, update

from consent import ledger, vault
from consent.schema import consent_state, identity, opt_in_request, proof_vault, rights_request
from nurture.leads import stages
from nurture.leads.rights import erasing, exporting, places
from nurture.leads.rights.dates import months_before, over_since
from nurture.leads.rights.policy import load
from nurture.store import summaries
from nurture.store.inserting import chunks
from nurture.store.scrubbing import scrub
from nurture.store.tables import event, flow_summary, handover, lead, raw_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, Select, Table

    from nurture.leads.rights.policy import RetentionPolicy
    from nurture.store.workspace import Workspace

MOST = 5000
"""People, or rows of ten times that number, dealt with in one run; the next night goes on."""
LIVING = ("given", "stale")
SETTLED_HANDOVERS = ("accepted", "returned", "withdrawn")
ENDED_HANDOVERS = ("dead", "expired", "escalated")
REASON = "retention"


@dataclass(frozen=True)
class Limits:
    """The moments before which each class is over (UTC)."""

    policy: RetentionPolicy
    at: datetime
    zone: Any

    def older(self, span: timedelta) -> datetime:
        """Give the moment that lies a span back."""
        return self.at - span

    @property
    def proofs(self) -> datetime:
        """What ended before it has no claims any more."""
        return over_since(self.at, self.policy.proof_after_withdrawal.calendar_years, self.zone)

    @property
    def requests(self) -> datetime:
        """Requests settled before it need no record any more."""
        return over_since(self.at, self.policy.rights_requests.calendar_years, self.zone)

    @property
    def silence(self) -> datetime:
        """Whoever did nothing since, and may not be written to, is forgotten."""
        return months_before(self.at, self.policy.leads_without_consent.months, self.zone)


def overview(workspace: Workspace, *, at: datetime) -> dict[str, int]:
    """Count what `run` would drop, by class; changes nothing."""
    limits = _limits(workspace, at)
    with workspace.store.read() as conn:
        counts = {
            name: conn.execute(select(func.count()).select_from(query.subquery())).scalar_one()
            for name, query in _queries(limits).items()
        }
        counts["handover_payloads"] = len(_payloads(conn, workspace, limits))
    return counts | {name: len(paths) for name, paths in _old_files(workspace, limits).items()}


def run(workspace: Workspace, *, at: datetime, most: int = MOST) -> dict[str, int]:
    """Drop what is over, at most `most` people and ten times as many rows a class; give counts by class.

    Raises StoreError when the database is too busy to be cleaned; what was dropped stays dropped.
    """
    limits = _limits(workspace, at)
    done = {name: sum(places.remove(path) for path in paths) for name, paths in _old_files(workspace, limits).items()}
    with workspace.store.write() as conn:
        payloads = _payloads(conn, workspace, limits)[: most * 10]
    for _, public_id in payloads:
        places.remove(workspace.home / places.HANDOVERS / f"{public_id}.created.json")
    with workspace.store.write() as conn:
        # As everywhere before persons are written: who meets both in another order waits for ever.
        ledger.lock(conn)
        done |= _drop_rows(conn, limits, payloads, most)
        proofs = _ids(conn, _queries(limits)["proof_after_withdrawal"].limit(most))
        done["proof_after_withdrawal"] = len(proofs)
        vault.destroy(conn, proofs)
        people = _ids(conn, _queries(limits)["leads_without_consent"].limit(most))
        requests = [erasing.begin(conn, workspace, subject, reason=REASON, at=at) for subject in people]
    done["leads_without_consent"] = erasing.carry_out(workspace, requests, at=at).requests
    done["holds_over"] = erasing.release(workspace, at=at, limit=most)
    if proofs and not requests and not done["holds_over"]:
        scrub(workspace.store)
    return done


def _limits(workspace: Workspace, at: datetime) -> Limits:
    return Limits(load(workspace.settings.policies), at, workspace.settings.tz)


def _queries(limits: Limits) -> dict[str, Select[Any]]:
    """Give what is over of each class that rows tell, its key as the first column."""
    policy, request, raw = limits.policy, rights_request.c, raw_event.c
    return {
        "proof_after_withdrawal": _proofs(limits),
        "holds_over": select(request.id).where(request.step == erasing.Step.HELD, request.hold_until <= limits.at),
        "leads_without_consent": _silent(limits),
        "rights_requests": select(request.id).where(
            request.state.in_(["done", "refused"]), request.settled_at < limits.requests
        ),
        "quarantined_bodies": select(raw.id).where(
            raw.state == "quarantined", raw.sealed_body.is_not(None),
            raw.received_at <= limits.older(policy.quarantined_bodies),
        ),
        "applied_bodies": select(raw.id).where(
            raw.state == "applied", raw.received_at <= limits.older(policy.applied_bodies)
        ),
        "abuse_indexes": select(opt_in_request.c.id).where(
            opt_in_request.c.requested_at <= limits.older(policy.abuse_indexes),
            or_(
                opt_in_request.c.abuse_index.is_not(None),
                opt_in_request.c.network_index.is_not(None),
                opt_in_request.c.domain_index.is_not(None),
            ),
        ),
        "run_summaries": select(flow_summary.c.id).where(
            flow_summary.c.started_at < limits.older(policy.run_summaries)
        ),
    }  # fmt: skip


def _proofs(limits: Limits) -> Select[Any]:
    """Whose every consent ended before the years that claims live, and whose evidence lies here still?"""
    ended = (
        select(consent_state.c.subject)
        .group_by(consent_state.c.subject)
        .having(
            func.max(consent_state.c.since) < limits.proofs,
            func.sum(case((consent_state.c.state.in_(LIVING), 1), else_=0)) == 0,
        )
    )
    held = exists().where(rights_request.c.subject == proof_vault.c.subject, rights_request.c.step == erasing.Step.HELD)
    return select(proof_vault.c.subject).where(proof_vault.c.subject.in_(ended), ~held, ~_asks(proof_vault)).distinct()


def _silent(limits: Limits) -> Select[Any]:
    """Who may not be written to, is nobody's customer, and did nothing for long?"""
    since = limits.silence
    mine = consent_state.c.subject == lead.c.subject
    # A lead that was merged away is erased with the one that stays, and keeps it while a consent of its own lives.
    other = lead.alias("merged_away")
    # One look for all of them: no index leads from a lead to those that were merged into it.
    lives_on = lead.c.id.in_(
        select(other.c.merged_into)
        .join(consent_state, consent_state.c.subject == other.c.subject)
        .where(other.c.merged_into.is_not(None), consent_state.c.state.in_(LIVING))
    )
    return (
        select(lead.c.subject)
        .join(identity, identity.c.subject == lead.c.subject)
        .where(
            identity.c.erased_at.is_(None),
            identity.c.address_index.is_not(None),
            identity.c.restricted_at.is_(None),
            lead.c.merged_into.is_(None),
            ~lives_on,
            lead.c.owner == stages.Owner.MARKETING.value,
            lead.c.created_at <= since,
            lead.c.stage_since <= since,
            ~exists().where(and_(mine, or_(consent_state.c.state.in_(LIVING), consent_state.c.since > since))),
            ~exists().where(event.c.lead_id == lead.c.id, event.c.at > since, event.c.verdict == "human"),
            ~_asks(lead),
        )
        .order_by(lead.c.id)
    )


def _asks(table: Table) -> ColumnElement[bool]:
    """Does a sign-up of theirs wait for its confirmation?"""
    return exists().where(opt_in_request.c.subject == table.c.subject, opt_in_request.c.state == "requested")


def _payloads(conn: Connection, workspace: Workspace, limits: Limits) -> list[tuple[int, str]]:
    """Give (id, public id) of handovers whose copy, in the database or as a file, is older than it may be."""
    before = limits.older(limits.policy.handover_payloads)
    table = handover.c
    over = or_(
        and_(table.state.in_(SETTLED_HANDOVERS), table.settled_at <= before),
        and_(table.state.in_(ENDED_HANDOVERS), table.deadline_at <= before),
    )
    rows = conn.execute(select(table.id, table.public_id, table.sealed_payload.is_not(None)).where(over)).all()
    folder = workspace.home / places.HANDOVERS
    files = {path.name for path in folder.glob("*.created.json")} if rows else set()
    return [(number, public_id) for number, public_id, sealed in rows if sealed or f"{public_id}.created.json" in files]


def _drop_rows(conn: Connection, limits: Limits, payloads: Sequence[tuple[int, str]], most: int) -> dict[str, int]:
    """Drop or empty the rows of the classes that name nobody by themselves."""
    found = {name: _ids(conn, query.limit(most * 10)) for name, query in _queries(limits).items()}
    for part in chunks(found["rights_requests"]):
        conn.execute(delete(rights_request).where(rights_request.c.id.in_(part)))
    for part in chunks(found["quarantined_bodies"]):
        conn.execute(update(raw_event).where(raw_event.c.id.in_(part)).values(sealed_body=None))
    for part in chunks(found["applied_bodies"]):
        conn.execute(update(event).where(event.c.raw_id.in_(part)).values(raw_id=None))
        conn.execute(delete(raw_event).where(raw_event.c.id.in_(part)))
    for part in chunks(found["abuse_indexes"]):
        conn.execute(
            update(opt_in_request)
            .where(opt_in_request.c.id.in_(part))
            .values(abuse_index=None, network_index=None, domain_index=None)
        )
    for part in chunks([number for number, _ in payloads]):
        conn.execute(update(handover).where(handover.c.id.in_(part)).values(sealed_payload=None, payload_sha256=None))
    dropped = summaries.forget(conn, before=limits.older(limits.policy.run_summaries))
    counts = {name: len(found[name]) for name in ("rights_requests", "quarantined_bodies", "applied_bodies")}
    return counts | {
        "abuse_indexes": len(found["abuse_indexes"]),
        "handover_payloads": len(payloads),
        "run_summaries": dropped,
    }


def _ids(conn: Connection, query: Select[Any]) -> list[Any]:
    return list(conn.execute(query).scalars())


def _old_files(workspace: Workspace, limits: Limits) -> dict[str, list[Path]]:
    """Give the files that are older than they may be."""
    policy, home = limits.policy, workspace.home
    return {
        "import_reports": _older(home / places.REPORTS, ["import-*.csv"], limits.older(policy.import_reports)),
        "personal_exports": _older(
            home / exporting.FOLDER, ["lead-*.json", "lead-*.pdf"], limits.older(policy.personal_exports)
        ),
        "outbox_mails": _older(home / places.OUTBOX, ["*.eml", "tmp/*"], limits.older(policy.outbox_mails)),
    }


def _older(folder: Path, patterns: Iterable[str], before: datetime) -> list[Path]:
    return sorted(
        path
        for pattern in patterns
        for path in folder.glob(pattern)
        if path.is_file() and path.stat().st_mtime <= before.timestamp()
    )
