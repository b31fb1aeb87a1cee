"""Who comes into a sequence, and who has to leave it between two steps? Only what is new is looked at."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, exists, func, insert, literal, or_, select, update

from consent.schema import UtcTime, consent_state
from nurture.leads.stages import AT_SALES, GONE, Bar
from nurture.sequences.definition import ConsentConfirmed, SequenceFinished, StageReached, register
from nurture.store.marks import hold, set_mark
from nurture.store.tables import enrolment, lead, lead_score, setting, stage_change, temperature_change

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Column, ColumnElement, Connection

    from nurture.sequences.definition import Enrol, Sequence

CHUNK = 5000
"""New facts looked at in one statement."""
SETTLED = timedelta(minutes=10)
"""Ids are given out before the commit: rows this young may still get older neighbours, so they are read again."""
NURTURED = ("confirmed", "engaged", "mql", "recycled")
"""Stages in which marketing may begin a sequence."""
RUNNING = ("active", "paused")
OWN = and_(lead.c.owner == "marketing", lead.c.stage.not_in([*GONE, *AT_SALES]))
WITH_SALES = and_(lead.c.stage.not_in(GONE), or_(lead.c.owner == "sales", lead.c.stage.in_(AT_SALES)))
READERS = ("follow:", "enrol:")
"""What the names of our marks begin with."""
Followed = tuple["Column[int]", "Column[datetime] | None"]
"""The key by which new rows of a table are found, and when they were written, where commits may overtake each other."""
STAGES: Followed = (stage_change.c.id, stage_change.c.at)
CONSENTS: Followed = (consent_state.c.seq, None)
"""The ledger has one writer."""
LEADS: Followed = (lead.c.id, lead.c.created_at)
TURNS: Followed = (temperature_change.c.id, temperature_change.c.at)
FOLLOWED = (STAGES, CONSENTS, LEADS, TURNS)
MARKS = select(setting.c.name, setting.c.value).where(or_(*(setting.c.name.startswith(reader) for reader in READERS)))
HEADS = select(*(select(func.max(key)).scalar_subquery() for key, _ in FOLLOWED))


def enrol(
    conn: Connection, definitions: Mapping[str, Sequence], *, at: datetime, limit: int, controller: str | None = None
) -> int:
    """Bring every enrolment up to what happened since the last call; give the number of new enrolments.

    First those who must not go on: customers and the disqualified leave, leads at sales pause, withdrawn
    consent ends it; leads who come back from sales go on where they stood. Then new ones, at most about
    `limit` for each sequence; a later call goes on from there. Cost grows with what is new, not with all leads.
    Without `controller` consent to any of this installation's controllers counts (the gate looks again).
    Of two calls at once the second waits for the first: both would find the same people new.
    Raises SequenceError when a version was changed after it was applied.
    """
    hold(conn, "enrol")
    ids = register(conn, definitions, at=at)
    news = News(conn, at=at)
    follow_stages(conn, news)
    follow_consent(conn, news, definitions)
    ways = [(name, form) for name, sequence in definitions.items() for form in sequence.ways_in]
    # Who comes to a stage is taken in only if no other sequence has them: the others go first.
    ways.sort(key=lambda way: isinstance(way[1], StageReached))
    return sum(
        _Entry(conn, news, definitions[name], ids[name], controller=controller).run(form, limit) for name, form in ways
    )


class News:
    """What was written since the last call? Known at once where nothing was, which is so at most ticks."""

    def __init__(self, conn: Connection, *, at: datetime) -> None:
        """Read every mark, and the highest key of every table that is followed, in a statement each."""
        self.conn, self.at = conn, at
        self.marks = {name: value for name, value in conn.execute(MARKS).all()}  # noqa: C416  rows are no pairs to mypy
        self.heads = dict(zip(FOLLOWED, conn.execute(HEADS).one(), strict=True))

    def pages(self, name: str, followed: Followed) -> Iterator[tuple[int, int]]:
        """Give what is new behind a mark as ranges (low, high] of the key, and move the mark.

        Where the table tells when a row was written, the mark stays behind rows younger than SETTLED: they are
        given again next time.
        """
        key, written = followed
        low = kept = int(self.marks.get(name) or 0)
        end = self.heads[followed] or 0
        while low < end:
            page = select(key.label("key")).where(key > low).order_by(key).limit(CHUNK).subquery()
            high: int = self.conn.execute(select(func.max(page.c.key))).scalar_one()
            settled = high
            if written is not None:
                old = select(func.max(key)).where(key > low, key <= high, written <= self.at - SETTLED)
                settled = self.conn.execute(old).scalar() or 0
            if settled > kept and kept == low:
                kept = settled
                set_mark(self.conn, name, kept)
            # The mark is moved before the page is dealt with: both are one transaction.
            yield low, high
            low = high


def follow_stages(conn: Connection, news: News) -> None:
    """End, pause or resume the enrolments of leads whose stage changed since the last call."""
    at = news.at
    for low, high in news.pages("follow:stage", STAGES):
        changed = select(stage_change.c.lead_id).where(stage_change.c.id > low, stage_change.c.id <= high)
        for stage in sorted(GONE):
            _leave(conn, _leads(changed, lead.c.stage == stage), stage, at=at)
        conn.execute(
            update(enrolment)
            .where(enrolment.c.state == "active", enrolment.c.lead_id.in_(_leads(changed, WITH_SALES)))
            .values(state="paused", exit_reason=Bar.WITH_SALES)
        )
        conn.execute(
            update(enrolment)
            .where(enrolment.c.state == "paused", enrolment.c.lead_id.in_(_leads(changed, OWN)))
            # The pause was nobody's delay: a mail that came due meanwhile is due now, and not late.
            .values(
                state="active", exit_reason=None, due_at=case((enrolment.c.due_at > at, enrolment.c.due_at), else_=at)
            )
        )


def follow_consent(conn: Connection, news: News, definitions: Mapping[str, Sequence]) -> None:
    """End the enrolments that rest on consent which was withdrawn, turned stale or was erased since the last call."""
    table = consent_state.c
    for low, high in news.pages("follow:consent", CONSENTS):
        ended = select(table.state, table.purpose).distinct().where(table.seq > low, table.seq <= high)
        for state, purpose in conn.execute(ended.where(table.state != "given")).all():
            subjects = select(table.subject).where(
                table.seq > low, table.seq <= high, table.state == state, table.purpose == purpose
            )
            names = [name for name, sequence in definitions.items() if sequence.purpose == purpose]
            leads = select(lead.c.id).where(lead.c.subject.in_(subjects))
            _leave(conn, leads, state, at=news.at, sequences=names)


def _leads(changed: Any, condition: ColumnElement[bool]) -> Any:  # noqa: ANN401  selects of one column
    return select(lead.c.id).where(lead.c.id.in_(changed), condition)


def _leave(conn: Connection, leads: Any, reason: str, *, at: datetime, sequences: list[str] | None = None) -> None:  # noqa: ANN401
    """End running enrolments. Carried by ix_enrolment_lead."""
    statement = update(enrolment).where(enrolment.c.lead_id.in_(leads), enrolment.c.state.in_(RUNNING))
    if sequences is not None:
        statement = statement.where(enrolment.c.sequence.in_(sequences))
    conn.execute(statement.values(state="exited", exit_reason=reason, left_at=at))


class _Entry:
    """The way into one sequence."""

    def __init__(
        self, conn: Connection, news: News, sequence: Sequence, version_id: int, *, controller: str | None
    ) -> None:
        self.conn, self.news, self.sequence, self.version_id, self.at = conn, news, sequence, version_id, news.at
        self.controller = controller

    def run(self, way: Enrol, limit: int) -> int:
        """Enrol who is new by one way in, and give their number."""
        match way:
            case ConsentConfirmed():
                return self._consented(limit)
            case SequenceFinished() as form:
                return self._finished(form, limit)
            case StageReached() as form:
                return self._staged(form, limit)

    def _consented(self, limit: int) -> int:
        """Everybody with new consent, and every new lead: the two may be written in either order."""
        count = 0
        for name, followed in (("consent", CONSENTS), ("lead", LEADS)):
            key = followed[0]
            for low, high in self.news.pages(f"enrol:{self.sequence.name}:{name}", followed):
                count += self._insert(key > low, key <= high)
                if count >= limit:
                    return count
        return count

    def _finished(self, form: SequenceFinished, limit: int) -> int:
        """Everybody who finished long enough ago, and those who turned to a wanted temperature after that."""
        e = enrolment.alias("finished")
        wanted = (e.c.sequence == form.sequence, e.c.state == literal("finished", literal_execute=True))
        # Strictly before: what finishes at this very moment is written later, perhaps with a lower id.
        ripe = e.c.left_at < self.at - form.after.span
        fits = func.coalesce(lead_score.c.temperature, "cold").in_([str(t) for t in form.temperature])
        name = f"enrol:{self.sequence.name}:finished"
        count = 0
        while count < limit:
            when, _, last = self.news.marks.get(name, "").partition(" ")
            beyond = []
            if when:
                since = datetime.fromisoformat(when)
                beyond = [e.c.left_at >= since, or_(e.c.left_at > since, e.c.id > int(last))]
            page = (
                select(e.c.id, e.c.left_at, e.c.lead_id)
                .where(*wanted, ripe, *beyond)
                .order_by(e.c.left_at, e.c.id)
                .limit(CHUNK)
            )
            rows = self.conn.execute(page).all()
            if not rows:
                break
            count += self._insert(lead.c.id.in_(page.with_only_columns(e.c.lead_id)), fits)
            self.news.marks[name] = f"{rows[-1].left_at.isoformat()} {rows[-1].id}"
            set_mark(self.conn, name, self.news.marks[name])
        turned = temperature_change.c
        name = f"enrol:{self.sequence.name}:turned"
        for low, high in self.news.pages(name, TURNS):
            leads = select(e.c.lead_id).where(
                *wanted,
                ripe,
                e.c.lead_id.in_(select(turned.lead_id).where(turned.id > low, turned.id <= high)),
            )
            count += self._insert(lead.c.id.in_(leads), fits)
        return count

    def _staged(self, form: StageReached, limit: int) -> int:
        """Everybody who came to a stage, is still there, and is in no sequence at all."""
        e = enrolment.alias("elsewhere")
        conditions = [lead.c.stage == form.stage, ~exists().where(e.c.lead_id == lead.c.id, e.c.state.in_(RUNNING))]
        since = lead.c.stage_since if form.again == "each_time" else None
        changed, count = stage_change.c, 0
        name = f"enrol:{self.sequence.name}:stage:{form.stage}"
        for low, high in self.news.pages(name, STAGES):
            new = select(changed.lead_id).where(changed.id > low, changed.id <= high, changed.stage == form.stage)
            first_due = self.at + form.after.span
            count += self._insert(lead.c.id.in_(new), *conditions, since=since, first_due=first_due)
            if count >= limit:
                break
        return count

    def _insert(
        self,
        *conditions: ColumnElement[bool],
        since: ColumnElement[datetime] | None = None,
        first_due: datetime | None = None,
    ) -> int:
        """Enrol leads of marketing's with consent to the purpose who never were in this sequence, or not `since`."""
        state, sequence = consent_state.c, self.sequence
        given = [state.purpose == sequence.purpose, state.state == "given", state.channel == "email"]
        if self.controller is not None:
            given.append(state.controller == self.controller)
        before = exists().where(enrolment.c.lead_id == lead.c.id, enrolment.c.sequence == sequence.name)
        if since is not None:
            before = before.where(enrolment.c.entered_at >= since)
        values = {
            "sequence": literal(sequence.name),
            "sequence_version_id": literal(self.version_id),
            "state": literal("active"),
            "step": literal(sequence.first),
            "occurrence": literal(1),
            "due_at": literal(first_due or self.at, UtcTime()),
            "entered_at": literal(self.at, UtcTime()),
        }
        found = (
            select(lead.c.id, *values.values())
            .distinct()
            .select_from(
                lead.join(consent_state, state.subject == lead.c.subject).outerjoin(
                    lead_score, lead_score.c.lead_id == lead.c.id
                )
            )
            .where(
                *given,
                lead.c.owner == "marketing",
                lead.c.stage.in_(NURTURED),
                lead.c.merged_into.is_(None),
                ~before,
                *conditions,
            )
            .order_by(lead.c.id)
        )
        statement = insert(enrolment).from_select(["lead_id", *values], found)
        # Without the option psycopg's count of an insert is lost with its cursor.
        return self.conn.execute(statement.execution_options(preserve_rowcount=True)).rowcount
