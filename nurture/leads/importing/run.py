"""How does a file of people get in? One transaction for the file: all of it or nothing, also after a kill.

First everything is read once for what says no, then that enters the suppression list, then contacts
follow chunk by chunk. The price of one transaction is that other writers wait on SQLite: measured on
two busy cores, 50,000 rows with 25,000 consents take 14 seconds of CPU, and twice that by the clock;
writers wait longer than that (`BUSY_SECONDS` of the store). The gain is that nobody has to find out which half came in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from consent import ledger, lookup
from nurture.leads import register
from nurture.leads.importing.mapping import Map, fingerprint, plan, zone_of
from nurture.leads.importing.problems import FileProblem, ImportFileError, NotMailable, RowProblem
from nurture.leads.importing.report import (
    MOST_LISTED,
    Counts,
    ImportReport,
    counts_of,
    masked,
    masked_address,
    write_refused,
)
from nurture.leads.importing.rows import Barred, Contact, Defaults, Reader, Refused
from nurture.leads.importing.source import open_source
from nurture.leads.importing.taking import CAUSE, Into, Seen, bar, look, take
from nurture.store import statistics
from nurture.store.inserting import insert_new
from nurture.store.tables import import_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from nurture.leads.importing.mapping import Plan
    from nurture.leads.importing.source import Source
    from nurture.store.workspace import Workspace

CHUNK = 2000
"""Rows taken at once; memory is bounded by it."""
PREVIEWED = 5

Progress = Callable[[int], None]
"""Told the number of rows done, once a chunk."""


def import_file(
    workspace: Workspace,
    path: Path,
    *,
    at: datetime,
    settings: Map | None = None,
    preset: str = "",
    progress: Progress | None = None,
) -> ImportReport:
    """Import a list of people; give what came of it.

    The same file under the same map changes nothing; a changed file adds what is new, because people
    are found by their address. Rows without a proven double opt-in become leads that are not mailable.
    Refused rows are named in a file in the home's folder `reports`. Raises ImportFileError for a file
    that cannot be taken; then, as after any other error, nothing of it was.
    """
    said = settings or Map()
    controller = workspace.settings.controller
    with open_source(path, encoding=said.encoding or None, sheet=said.sheet) as source:
        chosen = plan(source, said, preset=preset, file_name=path.name)
        mark = fingerprint(path, said, preset=chosen.preset.name, controller=controller)
        report = _outline(path, source, chosen)
        run = _Run(workspace, source, chosen, mark, at, progress)
        barred = run.barred()
        target = workspace.home / "reports" / f"import-{mark[:12]}.csv"
        with workspace.store.write() as conn:
            # First of all locks, as everywhere: a sign-up that holds it asks for the persons we make.
            ledger.lock(conn)
            batch_id = _batch(conn, mark, chosen.preset.name, at)
            if batch_id is None:
                return _known(conn, mark, report)
            run.import_into(conn, barred, batch_id)
            counts = run.counts
            conn.execute(update(import_batch).where(import_batch.c.id == batch_id).values(counts=counts.as_dict()))
            if run.refused:
                # Before the commit: after it, a kill would leave the rows refused and nobody told.
                write_refused(target, run.refused)
    statistics.refresh(workspace.store, counts.new + counts.changed)
    return replace(report, counts=counts, report=target if run.refused else None)


def preview(
    workspace: Workspace,
    path: Path,
    *,
    at: datetime,
    settings: Map | None = None,
    preset: str = "",
    progress: Progress | None = None,
) -> ImportReport:
    """Tell what an import would do, without doing any of it: counts, columns, the first rows masked.

    Raises ImportFileError exactly where the import would.
    """
    said = settings or Map()
    controller = workspace.settings.controller
    with open_source(path, encoding=said.encoding or None, sheet=said.sheet) as source:
        chosen = plan(source, said, preset=preset, file_name=path.name)
        mark = fingerprint(path, said, preset=chosen.preset.name, controller=controller)
        run = _Run(workspace, source, chosen, mark, at, progress)
        barred = run.barred()
        with workspace.store.read() as conn:
            seen_before = conn.execute(select(import_batch.c.id).where(import_batch.c.file_sha256 == mark)).first()
            run.look_only(conn, barred)
        report = _outline(path, source, chosen)
        return replace(
            report,
            counts=run.counts,
            dry_run=True,
            already_imported=seen_before is not None,
            preview=tuple(run.shown),
        )


class _Run:
    """One pass over one file."""

    def __init__(
        self, workspace: Workspace, source: Source, chosen: Plan, mark: str, at: datetime, progress: Progress | None
    ) -> None:
        said, settings = chosen.map, workspace.settings
        zone = zone_of(said.zone) if said.zone else settings.tz
        self._reader = Reader(chosen, Defaults(said.language or settings.language, zone, at, mark))
        self._workspace, self._source, self._plan, self._at = workspace, source, chosen, at
        self._progress = progress or (lambda _: None)
        self._met: set[bytes] = set()
        # Somebody said no whose address cannot be read: any row of the file may be that person's.
        self._proves = True
        self.counts = Counts()
        self.refused: list[Refused] = []
        self.shown: list[dict[str, str]] = []

    def barred(self) -> list[Barred]:
        """Read the whole file for what says no, before any contact is taken."""
        if not self._reader.may_bar:
            return []
        found: list[Barred] = []
        for line, cells in self._source.rows():
            said = self._reader.bar(line, cells)
            if isinstance(said, Refused):
                self._proves = False
            else:
                found.extend(said)
        return found

    def import_into(self, conn: Connection, barred: list[Barred], batch_id: int) -> None:
        """Take the file: first what says no, then contacts."""
        into = self._into(conn)
        self.counts.suppressions_added, self.counts.withdrawn = bar(into, barred)
        for contacts in self._chunks():
            lookup.adopt(conn, into.keyring, [contact.address for contact in contacts])
            seen = self._sorted_out(into, contacts, frozenset())
            new, changed, consents = take(into, seen, batch_id) if seen else (0, 0, 0)
            self._count(seen, new, changed)
            self.counts.consents += consents
        register.begin_histories(conn, batch_id, cause=CAUSE)

    def look_only(self, conn: Connection, barred: list[Barred]) -> None:
        """Count what an import would do."""
        into = self._into(conn)
        indexes = frozenset(into.keyring.address_index(one.address.identity) for one in barred)
        self.counts.suppressions_added = len(indexes)
        for contacts in self._chunks():
            seen = self._sorted_out(into, contacts, indexes)
            new = sum(one.subject is None for one in seen)
            self._count(seen, new, 0)
            self.counts.consents += sum(
                proof.purpose not in one.consents
                for one in seen
                if one.not_mailable is None
                for proof in one.contact.proofs
            )
            for one in seen[: PREVIEWED - len(self.shown)]:
                self.shown.append(_shown(one))

    def _into(self, conn: Connection) -> Into:
        return Into(conn, self._workspace.keyring, self._workspace.settings.controller, self._plan, self._at)

    def _chunks(self) -> Iterator[list[Contact]]:
        contacts: list[Contact] = []
        for line, cells in self._source.rows():
            self.counts.rows += 1
            said = self._reader.read(line, cells)
            if isinstance(said, Refused):
                self._refuse(said)
            elif isinstance(said, Barred):
                self.counts.suppressed += 1
            else:
                contacts.append(said if self._proves else _unproven(said))
            if self.counts.rows % CHUNK == 0:
                yield contacts
                contacts = []
                self._progress(self.counts.rows)
        if self.counts.rows == 0:
            raise ImportFileError(
                FileProblem.HEADER_ONLY,
                "the file has column names but no rows",
                "Export it again with the contacts in it",
                line=self._source.header_line,
            )
        yield contacts
        self._progress(self.counts.rows)

    def _sorted_out(self, into: Into, contacts: list[Contact], barred: frozenset[bytes]) -> list[Seen]:
        """Leave out who came further up in the file and who must not be written to."""
        left = []
        for one in look(into, contacts):
            # Eight bytes of a keyed hash tell rows of one file apart at a quarter of the memory.
            short = one.index[:8]
            if short in self._met:
                self.counts.duplicates += 1
                self._list(Refused(one.contact.line, RowProblem.DUPLICATE))
                continue
            self._met.add(short)
            if one.suppressed or one.index in barred:
                self.counts.suppressed += 1
                continue
            left.append(one)
        return left

    def _refuse(self, row: Refused) -> None:
        self.counts.refused[str(row.code)] += 1
        self._list(row)

    def _list(self, row: Refused) -> None:
        if len(self.refused) < MOST_LISTED:
            self.refused.append(row)

    def _count(self, seen: list[Seen], new: int, changed: int) -> None:
        self.counts.new += new
        self.counts.changed += changed
        self.counts.unchanged += len(seen) - new - changed
        for one in seen:
            reason = one.not_mailable
            if reason is None:
                self.counts.mailable += 1
            else:
                self.counts.not_mailable[reason.value] += 1
            if one.contact.facts.named:
                self.counts.facts.update(one.contact.facts.named)


def _unproven(contact: Contact) -> Contact:
    return replace(contact, proofs=(), not_mailable=contact.not_mailable or NotMailable.UNREADABLE_NO)


def _batch(conn: Connection, mark: str, preset: str, at: datetime) -> int | None:
    """Begin a batch; None when this file was imported before, also by another process just now."""
    row = {"file_sha256": mark, "preset": preset, "imported_at": at, "counts": {}}
    if not insert_new(conn, import_batch, [row]):
        return None
    batch_id: int = conn.execute(select(import_batch.c.id).where(import_batch.c.file_sha256 == mark)).scalar_one()
    return batch_id


def _known(conn: Connection, mark: str, report: ImportReport) -> ImportReport:
    stored = conn.execute(select(import_batch.c.counts).where(import_batch.c.file_sha256 == mark)).scalar_one()
    return replace(report, counts=counts_of(stored), already_imported=True)


def _shown(one: Seen) -> dict[str, str]:
    contact, person = one.contact, one.contact.person
    reason = one.not_mailable
    return {
        "line": str(contact.line),
        "address": masked_address(contact.address.delivery),
        "name": " ".join(filter(None, (masked(person.get("first_name", "")), masked(person.get("last_name", ""))))),
        "company": masked(person.get("company", "")),
        "role": contact.role or "",
        "industry": contact.industry or "",
        "country": contact.country or "",
        "language": contact.language,
        "mailable": "yes" if reason is None else reason.value,
    }


def _outline(path: Path, source: Source, chosen: Plan) -> ImportReport:
    used = {*chosen.columns.values(), *chosen.consent_columns.values(), *(place for _, place in chosen.suppressing)}
    return ImportReport(
        file=path.name,
        preset=chosen.preset.name,
        kind=source.kind,
        encoding=source.encoding,
        separator=source.separator,
        columns={name.value: source.headers[place] for name, place in chosen.columns.items()},
        ignored=tuple(header for place, header in enumerate(source.headers) if place not in used and header.strip()),
        counts=Counts(),
    )
