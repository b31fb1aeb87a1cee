"""What does an export say, before it is JSON, CSV or paper? The same rows for all three, each read as a stream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from consent import canonical, identity
from consent.schema import checkpoint, consent_text, suppression
from consent.texts import FORM, IMPORT
from nurture.audit import figures, records
from nurture.leads.rights import processing
from nurture.store.tables import setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from nurture.audit.facts import Facts
    from nurture.audit.scope import Scope
    from nurture.store.workspace import Workspace

REASON = "record.exported/"
"""Begin of the name under which the sealed reason of an export lies in `setting`, before its entry's number."""
CHUNK = 500


@dataclass(frozen=True)
class Cover:
    """What stands on the first page."""

    title: str
    controller: str
    officer: str
    period: str
    filters: str
    made_at: datetime
    version: str
    checkpoint: str
    verification: str
    """What was recomputed while it was made, and what came of it."""
    repeat: str
    """How to do it again."""
    revealed_by: str
    reason: str


@dataclass(frozen=True)
class Book:
    """One snapshot, ready to be listed."""

    conn: Connection
    ws: Workspace
    facts: Facts
    scope: Scope
    size: int
    language: str = "de"

    def figures(self) -> dict[str, int]:
        """Count everything once."""
        live = {
            "texts": {"": len(self.texts())},
            "checkpoints": {"": self._count(select(func.count()).where(checkpoint.c.size <= self.size))},
            "suppressions_now": {row["reason"]: row["count"] for row in self.suppressions()},
        }
        return figures.count(self.facts, self.scope, live=live)

    def texts(self) -> list[dict[str, Any]]:
        """Give the register of consent texts; a version is valid until the next of its kind, unless it was imported."""
        wanted = select(consent_text).where(consent_text.c.channel != FORM)
        rows = self.conn.execute(wanted.order_by(consent_text.c.id)).mappings()
        ours = [dict(row) for row in rows if self.scope.controller in {None, row["controller"]}]
        kind = ("controller", "channel", "purpose", "language")
        later: dict[tuple[Any, ...], str] = {}
        for row in reversed(ours):
            key = tuple(row[name] for name in kind)
            row["valid_from"] = canonical.utc_text(row.pop("published_at"))
            row["valid_until"] = None if row["channel"] == IMPORT else later.get(key)
            later[key] = row["valid_from"]
        return ours

    def forms(self) -> Iterator[dict[str, Any]]:
        """Give the form register."""
        return self.facts.forms(self.scope)

    def requests(self) -> Iterator[dict[str, Any]]:
        """Give the sign-ups."""
        return self.facts.requests(self.scope)

    def consents(self) -> Iterator[dict[str, Any]]:
        """Give the consent list; with the address only when revealed."""
        rows = self.facts.consents(self.scope)
        return self._with_addresses(rows) if self.scope.reveal else rows

    def withdrawals(self) -> Iterator[dict[str, Any]]:
        """Give the withdrawals, each with the next send in spite of it."""
        return self.facts.withdrawals(self.scope)

    def listed(self, table: str) -> Iterator[dict[str, Any]]:
        """Give sends, refusals, additions to the suppression list, erasures, other entries."""
        return self.facts.listed(table, self.scope)

    def exports(self) -> Iterator[dict[str, Any]]:
        """Give the access log: every copy that was taken out; why, only when revealed."""
        for row in self.facts.listed("exported", self.scope):
            reason = read_reason(self.conn, self.ws, row["seq"]) if self.scope.reveal else None
            yield {**row, "reason": reason["reason"] if reason else None}

    def suppressions(self) -> list[dict[str, Any]]:
        """Count the suppression list as it stands now, by controller and reason."""
        query = select(suppression.c.controller, suppression.c.reason, func.count().label("count"))
        if self.scope.controller:
            query = query.where(suppression.c.controller.in_(["*", self.scope.controller]))
        grouped = query.group_by(suppression.c.controller, suppression.c.reason)
        rows = self.conn.execute(grouped.order_by(suppression.c.reason, suppression.c.controller)).mappings()
        return [dict(row) for row in rows]

    def parties(self) -> list[records.Party]:
        """Who receives data."""
        return records.parties(self.ws.settings)

    def record_of_processing(self) -> dict[str, Any]:
        """Give the Art. 30 entry, as the configuration says it."""
        return processing.record(self.ws.settings)

    def processors(self) -> list[dict[str, str]]:
        """Give the recipients that the Art. 30 entry names."""
        told = localised(self.record_of_processing(), self.language)
        return [{name: one[name] for name in ("recipient", "role", "data")} for one in told["recipients"]]

    def transfers(self) -> list[dict[str, str]]:
        """Give the transfers that the Art. 30 entry names."""
        told = localised(self.record_of_processing(), self.language)
        return [{"transfer": text} for text in told["transfers"]]

    def retention(self) -> list[dict[str, str]]:
        """Say how long what is kept."""
        told = localised(self.record_of_processing(), self.language)
        return [{name: one[name] for name in ("id", "data", "rule")} for one in told["retention"]]

    def _with_addresses(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        waiting: list[dict[str, Any]] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) == CHUNK:
                yield from self._named(waiting)
                waiting = []
        yield from self._named(waiting)

    def _named(self, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        known = identity.reveal_each(self.conn, self.ws.keyring, {row["subject"] for row in rows})
        for row in rows:
            person = known.get(row["subject"])
            yield {**row, "address": person.address if isinstance(person, identity.Person) else None}

    def _count(self, query: Any) -> int:  # noqa: ANN401  a select of a count
        return int(self.conn.execute(query).scalar_one())


def localised(value: Any, language: str) -> Any:  # noqa: ANN401  plain data of any shape
    """Give plain data with each {"de": ..., "en": ...} replaced by its text in a language."""
    if isinstance(value, dict):
        if value.keys() == {"de", "en"}:
            return value[language]
        # An item that is a text and more keeps the text under "name".
        shown = {name: localised(one, language) for name, one in value.items() if name not in {"de", "en"}}
        return {"name": value[language], **shown} if {"de", "en"} <= value.keys() else shown
    return [localised(one, language) for one in value] if isinstance(value, list) else value


def keep_reason(ws: Workspace, seq: int, evidence: Mapping[str, str], salt: bytes) -> dict[str, str]:
    """Give the row of `setting` that holds why an export was made, sealed: free text may name people."""
    plain = json.dumps({**evidence, "salt": salt.hex()}, ensure_ascii=False).encode()
    return {"name": f"{REASON}{seq}", "value": ws.keyring.seal(plain, aad=_place(seq)).hex()}


def read_reason(conn: Connection, ws: Workspace, seq: int) -> dict[str, str] | None:
    """Open why an export was made; None where no reason was asked for."""
    value = conn.execute(select(setting.c.value).where(setting.c.name == f"{REASON}{seq}")).scalar_one_or_none()
    if value is None:
        return None
    opened: dict[str, str] = json.loads(ws.keyring.open(bytes.fromhex(value), aad=_place(seq)))
    return opened


def kept_reasons(conn: Connection) -> Iterator[tuple[bytes, bytes]]:
    """Give every reason that lies here sealed, with its additional data."""
    query = select(setting.c.name, setting.c.value).where(setting.c.name.startswith(REASON))
    for row in conn.execute(query):
        yield bytes.fromhex(row.value), _place(row.name.removeprefix(REASON))


def _place(seq: int | str) -> bytes:
    return f"setting|{REASON}{seq}".encode()
