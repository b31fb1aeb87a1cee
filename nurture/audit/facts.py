"""What does the ledger say, put so that it can be listed and counted? One pass, into a work file beside the export.

Everything that an export lists comes from the entries themselves, in their order, and not from the tables that
the product works with: an auditor reading entries.jsonl must come to the same rows. The work file (SQLite)
keeps memory bounded however long the ledger is; it is removed in the end.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from consent import canonical
from consent.rules import stale_from
from consent.states import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from consent.ledger import Recorded
    from nurture.audit.scope import Scope

TABLES = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -65536;
create table request(
  seq integer primary key, at text, subject text, controller text, channel text, language text, source text,
  purposes text, expires text, outcome text, outcome_seq integer, outcome_at text);
create table consent(
  seq integer, purpose text, at text, subject text, controller text, channel text, basis text, text_sha256 text,
  text_version integer, request_seq integer, since text, renewal integer, state text, ended_seq integer,
  ended_at text, ended_by text, uses integer, last_use text, primary key (seq, purpose));
create index consent_key on consent(subject, controller, channel, purpose, seq);
create table send(
  seq integer, message text, at text, subject text, controller text, channel text, purpose text,
  consent_seq integer, tracking_seq integer);
create table refusal(
  seq integer, message text, at text, subject text, controller text, channel text, purpose text, reason text);
create table withdrawal(
  seq integer primary key, at text, subject text, controller text, channel text, route text, actor text,
  purposes text, ended integer, voided integer, next_send_seq integer, next_send_at text, refused_after integer);
create table erasure(seq integer primary key, at text, subject text, reason text);
create table suppressed(seq integer primary key, at text, controller text, reason text, count integer);
create table exported(
  seq integer primary key, at text, subject text, kind text, scope text, count integer, actor text, digest text);
create table other(seq integer primary key, at text, type text, subject text, detail text);
create table wanted(subject text primary key);
create table entry_type(type text primary key, count integer);
"""
INDEXES = """
create index send_subject on send(subject, controller, seq);
create index send_seq on send(seq);
create index send_consent on send(consent_seq);
create index send_message on send(message);
create index refusal_subject on refusal(subject, controller, seq);
create index request_subject on request(subject);
create index withdrawal_subject on withdrawal(subject);
create index erasure_subject on erasure(subject);
"""
USES = """
update consent set
  uses = (select count(*) from send where consent_seq = consent.seq and send.purpose = consent.purpose),
  last_use = (select max(at) from send where consent_seq = consent.seq and send.purpose = consent.purpose);
"""
STALE = (
    "update consent set state = 'stale' where state = 'given' and stale_from(max(since, ifnull(last_use, since))) <= ?"
)
AFTER_WITHDRAWAL = """
update withdrawal set
  next_send_seq = (
    select min(s.seq) from send s
    where s.subject = withdrawal.subject and s.controller = withdrawal.controller and s.channel = withdrawal.channel
      and s.seq > withdrawal.seq
      and exists (select 1 from json_each(withdrawal.purposes) p where p.value in (s.purpose, '*'))
      and not exists (
        select 1 from consent c
        where c.subject = s.subject and c.controller = s.controller and c.channel = s.channel
          and c.purpose = s.purpose and c.seq > withdrawal.seq and c.seq < s.seq)),
  refused_after = (
    select count(*) from refusal r
    where r.subject = withdrawal.subject and r.controller = withdrawal.controller and r.seq > withdrawal.seq
      and r.reason = 'withdrawn')
"""
"""The next send in spite of a withdrawal: to the same person for a purpose that ended, with no new consent between."""
IN_TIME = "(:since is null or {0} >= :since) and (:until is null or {0} < :until)"
OURS = "(:controller is null or controller = :controller)"
THEIRS = "(:everybody or subject in (select subject from wanted))"
SHOWN = f"{IN_TIME.format('at')} and {OURS} and {THEIRS}"
LIVED = f"(:until is null or at < :until) and (:since is null or ended_at is null or ended_at >= :since) and {OURS} and {THEIRS}"  # noqa: E501
"""A consent is shown when it stood at any time of the period."""


class Facts:
    """The work file. Feed it the entries in order, `close_book` once, then ask."""

    def __init__(self, path: Path, *, at: datetime) -> None:
        """Begin a new file; `at` is the moment of the export, by which stale consents are told."""
        self.at = at
        self.db = sqlite3.connect(path)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(TABLES)
        self._counts: dict[str, int] = {}

    # --- taking in ---------------------------------------------------------------------------

    def feed(self, entry: Recorded) -> None:
        """Take in the next entry."""
        self._counts[entry.type] = self._counts.get(entry.type, 0) + 1
        taker = TAKERS.get(entry.type)
        if taker is None:
            detail = canonical.encode(entry.body).decode()
            self._insert("other", entry, type=entry.type, subject=entry.subject, detail=detail)
        else:
            taker(self, entry)

    def close_book(self, scope: Scope) -> None:
        """Make it ready for questions: indexes, the people asked for, the counts."""
        self.db.executescript(INDEXES)
        self.db.executemany("insert or ignore into wanted values (?)", [(subject,) for subject in scope.subjects])
        self.db.executemany("insert into entry_type values (?, ?)", sorted(self._counts.items()))
        self.db.create_function("stale_from", 1, _stale_from, deterministic=True)
        self.db.executescript(USES)
        self.db.execute(STALE, (canonical.utc_text(self.at),))
        self.db.execute(AFTER_WITHDRAWAL)
        self.db.execute("update withdrawal set next_send_at = (select min(at) from send where seq = next_send_seq)")
        self.db.commit()

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def _insert(self, table: str, entry: Recorded, **values: object) -> None:
        row = {"seq": entry.seq, "at": canonical.utc_text(entry.at), **values}
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        self.db.execute(f"insert into {table} ({names}) values ({marks})", tuple(row.values()))

    def _request(self, entry: Recorded) -> None:
        body = entry.body
        self._insert(
            "request", entry, subject=entry.subject, **_about(body), language=body["language"],
            source=body["source"], purposes=json.dumps(body["purposes"]), expires=body["expires"], outcome="open",
        )  # fmt: skip

    def _give(self, entry: Recorded) -> None:
        """Take in a confirmation, an import or an existing customer: each purpose is a consent of its own."""
        body, basis = entry.body, BASES[entry.type]
        since = body.get("confirmed") or canonical.utc_text(entry.at)
        if "request" in body:
            self._settle(body["request"], "confirmed", entry)
        for item in body["purposes"]:
            key = (entry.subject, body["controller"], body["channel"], item["purpose"])
            before = self.db.execute(
                "select 1 from consent where subject = ? and controller = ? and channel = ? and purpose = ? limit 1",
                key,
            ).fetchone()
            self._end(entry, "renewed", key[:3], [item["purpose"]])
            self._insert(
                "consent", entry, purpose=item["purpose"], subject=entry.subject, **_about(body), basis=basis,
                text_sha256=item["text"], text_version=item["version"], request_seq=body.get("request"), since=since,
                renewal=int(before is not None), state="given",
            )  # fmt: skip

    def _withdraw(self, entry: Recorded) -> None:
        body = entry.body
        ended = self._end(entry, "withdrawn", (entry.subject, body["controller"], body["channel"]), body["purposes"])
        for seq in body["voids"]:
            self._settle(seq, "void", entry)
        self._insert(
            "withdrawal", entry, subject=entry.subject, **_about(body), route=body["route"], actor=body["actor"],
            purposes=json.dumps(body["purposes"]), ended=ended, voided=len(body["voids"]),
        )  # fmt: skip

    def _lapse(self, entry: Recorded) -> None:
        body = entry.body
        self._settle(body["request"], body.get("reason", "declined"), entry)
        self._end(entry, "withdrawn", (entry.subject, body["controller"], body["channel"]), body["purposes"])

    def _erase(self, entry: Recorded) -> None:
        self._end(entry, "erased", (entry.subject, None, None), [EVERYTHING])
        self.db.execute(
            "update request set outcome = 'void', outcome_seq = ?, outcome_at = ?"
            " where subject = ? and outcome = 'open'",
            (entry.seq, canonical.utc_text(entry.at), entry.subject),
        )
        self._insert("erasure", entry, subject=entry.subject, reason=entry.body["reason"])

    def _merge(self, entry: Recorded) -> None:
        """Nothing transfers: what the subject that goes had given ends here."""
        self._end(entry, "merged", (entry.subject, None, None), [EVERYTHING])
        detail = canonical.encode(entry.body).decode()
        self._insert("other", entry, type=entry.type, subject=entry.subject, detail=detail)

    def _send(self, entry: Recorded) -> None:
        body, at = entry.body, canonical.utc_text(entry.at)
        about = (body["controller"], body["channel"], body["purpose"])
        self.db.executemany(
            "insert into send values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(entry.seq, message, at, subject, *about, *seqs) for message, subject, *seqs in body["permits"]],
        )

    def _refuse(self, entry: Recorded) -> None:
        body, at = entry.body, canonical.utc_text(entry.at)
        about = (body["controller"], body["channel"], body["purpose"])
        self.db.executemany(
            "insert into refusal values (?, ?, ?, ?, ?, ?, ?, ?)",
            [(entry.seq, message, at, subject, *about, reason) for message, subject, reason in body["refusals"]],
        )

    def _suppress(self, entry: Recorded) -> None:
        self._insert("suppressed", entry, **entry.body)

    def _export(self, entry: Recorded) -> None:
        body = dict(entry.body)
        digest = body.pop("commit")
        self._insert("exported", entry, subject=entry.subject, digest=digest, **body)

    def _settle(self, seq: int, outcome: str, entry: Recorded) -> None:
        self.db.execute(
            "update request set outcome = ?, outcome_seq = ?, outcome_at = ? where seq = ?",
            (outcome, entry.seq, canonical.utc_text(entry.at), seq),
        )

    def _end(
        self, entry: Recorded, state: str, key: tuple[str | None, str | None, str | None], purposes: list[str]
    ) -> int:
        """End what stands of a subject (for one controller and channel, or all); give how many consents that were."""
        subject, controller, channel = key
        done = self.db.execute(
            "update consent set state = :state, ended_seq = :seq, ended_at = :at, ended_by = :by"
            " where subject = :subject and state = 'given' and (:controller is null or controller = :controller)"
            " and (:channel is null or channel = :channel)"
            " and (:all or purpose in (select value from json_each(:purposes)))",
            {
                "state": state,
                "seq": entry.seq,
                "at": canonical.utc_text(entry.at),
                "by": entry.body.get("route") or entry.type,
                "subject": subject,
                "controller": controller,
                "channel": channel,
                "all": int(EVERYTHING in purposes),
                "purposes": json.dumps(list(purposes)),
            },
        )
        return done.rowcount

    # --- giving out --------------------------------------------------------------------------

    def consents(self, scope: Scope) -> Iterator[dict[str, Any]]:
        """Give each consent that stood in the period, in the order of the ledger, with its end and its use."""
        yield from self._rows(f"select * from consent where {LIVED} order by seq, purpose", scope.parameters)

    def withdrawals(self, scope: Scope) -> Iterator[dict[str, Any]]:
        """Give each withdrawal with the next send that it should have stopped: there must be none."""
        for row in self._rows(f"select * from withdrawal where {SHOWN} order by seq", scope.parameters):
            after = row["next_send_at"]
            gap = (_time(after) - _time(row["at"])).total_seconds() if after else None
            yield {**row, "purposes": " ".join(json.loads(row["purposes"])), "seconds_to_next_send": gap}

    def requests(self, scope: Scope) -> Iterator[dict[str, Any]]:
        """Give each sign-up with what became of it."""
        for row in self._rows(f"select * from request where {SHOWN} order by seq", scope.parameters):
            yield {**row, "purposes": " ".join(item["purpose"] for item in json.loads(row["purposes"]))}

    def request(self, seq: int | None) -> dict[str, Any] | None:
        """Give the sign-up behind a confirmation."""
        found = self.db.execute("select * from request where seq = ?", (seq,)).fetchone()
        return dict(found) if found else None

    def listed(self, table: str, scope: Scope) -> Iterator[dict[str, Any]]:
        """Give the rows of one of LISTS that lie in the period."""
        yield from self._rows(LISTS[table], scope.parameters)

    def forms(self, scope: Scope) -> Iterator[dict[str, Any]]:
        """Give each form with the wording that it showed, and from when to when it was used."""
        query = f"""
            select source, controller, language, json_extract(item.value, '$.purpose') purpose,
              json_extract(item.value, '$.version') version, json_extract(item.value, '$.text') text_sha256,
              min(at) first_at, max(at) last_at, count(*) requests, sum(outcome = 'confirmed') confirmed
            from request, json_each(request.purposes) item where {SHOWN}
            group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5
        """
        yield from self._rows(query, scope.parameters)

    def people(self, scope: Scope) -> Iterator[str]:
        """Give every subject with something in the period, in the order of ids."""
        query = f"""
            select subject from consent where {LIVED} union select subject from request where {SHOWN}
            union select subject from withdrawal where {SHOWN} union select subject from send where {SHOWN}
            order by 1
        """
        for row in self._rows(query, scope.parameters):
            yield row["subject"]

    def mails_of(self, subject: str) -> list[dict[str, Any]]:
        """Give what was permitted and refused to one person, in order."""
        sent = self._rows("select *, null reason from send where subject = :subject", {"subject": subject})
        refused = self._rows("select * from refusal where subject = :subject", {"subject": subject})
        return sorted([*sent, *refused], key=lambda row: row["seq"])

    def types(self) -> dict[str, int]:
        """Count the entries of the whole ledger by type."""
        return {row["type"]: row["count"] for row in self._rows("select * from entry_type order by type", {})}

    def grouped(self, table: str, column: str, scope: Scope) -> dict[str, int]:
        """Count the rows of one of LISTS, or of withdrawals and requests, by a column."""
        where = WHERE[table]
        query = f"select {column} name, count(*) n from {table} where {where} group by 1 order by 1"
        return {str(row["name"]): row["n"] for row in self._rows(query, scope.parameters)}

    def added(self, table: str, column: str, number: str, scope: Scope) -> dict[str, int]:
        """Add up a number in the rows of one of LISTS, by a column."""
        query = f"select {column} name, sum({number}) n from {table} where {WHERE[table]} group by 1 order by 1"
        return {str(row["name"]): row["n"] for row in self._rows(query, scope.parameters)}

    def broken_withdrawals(self, scope: Scope) -> int:
        """Count the withdrawals after which a mail was still permitted."""
        return self._one(f"select count(*) from withdrawal where next_send_seq is not null and {SHOWN}", scope)

    def tracked_sends(self, scope: Scope) -> int:
        """Count the mails whose opens and clicks might be measured."""
        return self._one(f"select count(*) from send where tracking_seq is not null and {SHOWN}", scope)

    def _one(self, query: str, scope: Scope) -> int:
        return int(self.db.execute(query, scope.parameters).fetchone()[0])

    def _rows(self, query: str, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for row in self.db.execute(query, values):
            yield dict(row)


WHERE = {
    "consent": LIVED,
    "request": SHOWN,
    "withdrawal": SHOWN,
    "send": SHOWN,
    "refusal": SHOWN,
    "suppressed": f"{IN_TIME.format('at')} and {OURS}",
    "erasure": f"{IN_TIME.format('at')} and {THEIRS}",
    "exported": IN_TIME.format("at"),
    "other": f"{IN_TIME.format('at')} and {THEIRS}",
}
LISTS = {
    name: f"select * from {name} where {WHERE[name]} order by seq"
    for name in ("send", "refusal", "suppressed", "erasure", "exported", "other")
}
BASES = {
    "consent.confirmed": "double_opt_in",
    "consent.imported": "imported",
    "basis.recorded": "existing_customer",
}
TAKERS = {
    "consent.requested": Facts._request,  # noqa: SLF001  one table of one class
    "consent.confirmed": Facts._give,  # noqa: SLF001  as above
    "consent.imported": Facts._give,  # noqa: SLF001  as above
    "basis.recorded": Facts._give,  # noqa: SLF001  as above
    "consent.withdrawn": Facts._withdraw,  # noqa: SLF001  as above
    "consent.lapsed": Facts._lapse,  # noqa: SLF001  as above
    "consent.declined": Facts._lapse,  # noqa: SLF001  as above
    "send.authorised": Facts._send,  # noqa: SLF001  as above
    "send.blocked": Facts._refuse,  # noqa: SLF001  as above
    "subject.merged": Facts._merge,  # noqa: SLF001  as above
    "subject.erased": Facts._erase,  # noqa: SLF001  as above
    "suppression.added": Facts._suppress,  # noqa: SLF001  as above
    "record.exported": Facts._export,  # noqa: SLF001  as above
}


@contextmanager
def work_file(folder: Path, *, at: datetime) -> Iterator[Facts]:
    """Give an empty work file in a folder; it is gone afterwards."""
    path = folder / ".work.sqlite"
    path.unlink(missing_ok=True)
    made = Facts(path, at=at)
    try:
        yield made
    finally:
        made.close()
        path.unlink(missing_ok=True)


def _about(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"controller": body["controller"], "channel": body["channel"]}


def _stale_from(text: str) -> str:
    return canonical.utc_text(stale_from(canonical.utc_time(text)))


def _time(text: str) -> datetime:
    return canonical.utc_time(text)
