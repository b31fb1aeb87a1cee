"""What does a raw body say? One bad event never costs the others of its body."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from nurture.tracking import dsn
from nurture.tracking.intake import Source
from nurture.tracking.sendgrid_events import LAST_SECOND, OUR_ID, Normalised, PoisonError, normalise
from nurture.tracking.vocabulary import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OUTSIDE = re.compile(rb'["\[\]{},]')
INSIDE = re.compile(rb'["\\]')
TOLD = frozenset({EventKind.PAGE_VISITED, EventKind.PRICING_VISITED, EventKind.PAGE_DWELLED, EventKind.DOWNLOADED,
                  EventKind.SOCIAL_ENGAGED, EventKind.WEBINAR_ATTENDED, EventKind.TRIAL_STARTED,
                  EventKind.REPLIED})  # fmt: skip
"""What a beacon may tell. Requests come through forms, delivery through the provider."""
NAME = re.compile(r"[a-z0-9_-]{1,48}")
LONGEST_ADDRESS = 320
LONGEST_DWELL = 86_400


@dataclass(slots=True)
class Contents:
    """What could be read of a body, and what could not."""

    events: list[Normalised] = field(default_factory=list)
    poison: list[bytes] = field(default_factory=list)
    """The parts that could not be read, as they came."""
    problems: list[str] = field(default_factory=list)
    """Why, by field names; never values."""

    def refuse(self, part: bytes, problem: str) -> None:
        """Put a part aside."""
        self.poison.append(part)
        self.problems.append(problem)


def read(source: str, body: bytes, forms: Mapping[str, str]) -> Contents:
    """Read a body; never raises for what stands in it. `forms` names the event that each form is."""
    found = Contents()
    if source == Source.SENDGRID:
        _read_batch(body, found)
        return found
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        found.refuse(body, "body: is no JSON")
        return found
    # Visits that were committed together came in one body.
    for one in told if isinstance(told, list) else [told]:
        try:
            found.events.append(_READERS[Source(source)](_object(one), forms))
        except PoisonError as error:
            found.refuse(body if one is told else orjson.dumps(one), str(error))
    return found


def pick(body: bytes, names: frozenset[str]) -> list[Normalised]:
    """Read only the events of these names in a provider's batch.

    Skips what cannot be read: `read` will put it aside. Never raises for what stands in a body.
    """
    # Nearly no body holds one. A look costs a tenth of reading, and is sure where nothing is escaped.
    if b"\\" not in body and _named(names).search(body) is None:
        return []
    found = []
    for event in _elements(body):
        name = event.get("event") if isinstance(event, dict) else None
        if isinstance(name, str) and name in names:
            with suppress(PoisonError):
                found.append(normalise(event))
    return found


@lru_cache(maxsize=4)
def _named(names: frozenset[str]) -> re.Pattern[bytes]:
    """Find an event of one of these names, written without escapes."""
    return re.compile(rb'"event"\s*:\s*"(?:' + b"|".join(re.escape(name.encode()) for name in sorted(names)) + rb')"')


def _elements(body: bytes) -> Iterator[object]:
    """Give the elements of a list that are JSON, even where the list as a whole is none."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        for part in split(body):
            with suppress(orjson.JSONDecodeError):
                yield orjson.loads(part)
        return
    if isinstance(told, list):
        yield from told


def _object(told: object) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise PoisonError("body: is no object")
    return told


def _read_batch(body: bytes, found: Contents) -> None:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        _read_parts(body, found)
        return
    if not isinstance(told, list):
        found.refuse(body, "body: is no list of events")
        return
    for event in told:
        try:
            found.events.append(normalise(event))
        except PoisonError as error:
            found.refuse(orjson.dumps(event), str(error))


def _read_parts(body: bytes, found: Contents) -> None:
    """Read a list that is not JSON as a whole, element by element."""
    for part in split(body):
        try:
            found.events.append(normalise(orjson.loads(part)))
        except orjson.JSONDecodeError:
            found.refuse(part, "event: is no JSON")
        except PoisonError as error:
            found.refuse(part, str(error))


def split(body: bytes) -> Iterator[bytes]:
    """Cut a JSON list into its elements without reading them; what is no list comes back whole.

    Linear in the length and without recursion, whatever the body holds.
    """
    start = body.find(b"[") + 1
    if not start or body[: start - 1].strip():
        yield body
        return
    depth, place = 0, start
    while (mark := OUTSIDE.search(body, place)) is not None:
        place, sign = mark.end(), mark.group()
        if sign == b'"':
            place = _after_string(body, place)
        elif sign in b"[{":
            depth += 1
        elif sign in b"]}" and depth:
            depth -= 1
        elif depth == 0:
            if part := body[start : mark.start()].strip():
                yield part
            start = place
            if sign != b",":
                break
    if rest := body[start:].strip():
        yield rest


def _after_string(body: bytes, place: int) -> int:
    while (mark := INSIDE.search(body, place)) is not None:
        if mark.group() == b'"':
            return mark.end()
        place = mark.end() + 1
    return len(body)


def _moment(told: Mapping[str, Any]) -> datetime:
    value = told.get("at")
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None or moment.tzinfo is None:
            raise PoisonError("at: must be a time with a zone")
        moment = moment.astimezone(UTC)
        seconds = moment.timestamp()
    except (ValueError, OverflowError):
        raise PoisonError("at: must be a time with a zone") from None
    if not 0 <= seconds <= LAST_SECOND:
        raise PoisonError("at: must lie between 1970 and 2100")
    return moment


def _message(told: Mapping[str, Any]) -> str:
    value = told.get("message")
    if not isinstance(value, str) or OUR_ID.fullmatch(value) is None:
        raise PoisonError("message: must be the id of a message")
    return value


def _agent(told: Mapping[str, Any]) -> str | None:
    value = told.get("user_agent")
    return value if isinstance(value, str) else None


def _method(told: Mapping[str, Any]) -> str:
    value = told.get("method", "GET")
    if value not in {"GET", "HEAD", "POST", "OPTIONS"}:
        raise PoisonError("method: is unknown")
    return str(value)


def _click(told: Mapping[str, Any], _forms: Mapping[str, str]) -> Normalised:
    at, message, method, link = _moment(told), _message(told), _method(told), told.get("link")
    if not isinstance(link, int) or isinstance(link, bool) or not 0 <= link <= 9999:  # noqa: PLR2004  links of a mail
        raise PoisonError("link: must be the number of a link")
    key = f"{int(at.timestamp()):010d}:{message}:clicked:{link}"
    attributes = {"link": link} if method == "GET" else {"link": link, "method": method}
    # A scanner's HEAD and the GET after it may share their second and must not hide one another.
    key += "" if method == "GET" else f":{method.lower()}"
    return Normalised(EventKind.CLICKED, at, key, message, attributes=attributes, agent=_agent(told))


def _open(told: Mapping[str, Any], _forms: Mapping[str, str]) -> Normalised:
    at, message, method = _moment(told), _message(told), _method(told)
    key = f"{int(at.timestamp()):010d}:{message}:opened" + ("" if method == "GET" else f":{method.lower()}")
    attributes = {} if method == "GET" else {"method": method}
    return Normalised(EventKind.OPENED, at, key, message, attributes=attributes, agent=_agent(told))


def _form(told: Mapping[str, Any], forms: Mapping[str, str]) -> Normalised:
    at, name, address, fields = _moment(told), told.get("form"), told.get("address"), told.get("fields", {})
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise PoisonError("form: must be the name of a form")
    if not isinstance(address, str) or not 0 < len(address) <= LONGEST_ADDRESS:
        raise PoisonError("address: is missing")
    if not isinstance(fields, dict):
        raise PoisonError("fields: must be an object")
    fields = {"language": told.get("language"), **fields}
    kind = EventKind(forms.get(name, EventKind.FORM_SUBMITTED))
    # The key is completed with the subject's id, once the address has led to one.
    key = f"{int(at.timestamp()):010d}:?:{kind}"
    return Normalised(kind, at, key, address=address, attributes={"form": name}, fields=fields)


def _beacon(told: Mapping[str, Any], _forms: Mapping[str, str]) -> Normalised:
    at, name, address = _moment(told), told.get("event"), told.get("address")
    if not isinstance(name, str) or name not in TOLD:
        raise PoisonError("event: is none that a beacon may tell")
    kind = EventKind(name)
    attributes: dict[str, Any] = {}
    seconds, page = told.get("seconds"), told.get("page")
    if isinstance(seconds, int) and not isinstance(seconds, bool):
        attributes["seconds"] = max(0, min(seconds, LONGEST_DWELL))
    if isinstance(page, str) and NAME.fullmatch(page):
        attributes["page"] = page
    tail = f":{page}" if "page" in attributes else ""
    stamp = f"{int(at.timestamp()):010d}"
    if isinstance(address, str) and 0 < len(address) <= LONGEST_ADDRESS:
        return Normalised(kind, at, f"{stamp}:?:{kind}{tail}", address=address, attributes=attributes)
    message = _message(told)
    return Normalised(kind, at, f"{stamp}:{message}:{kind}{tail}", message, attributes=attributes, agent=_agent(told))


def _report(told: Mapping[str, Any], _forms: Mapping[str, str]) -> Normalised:
    at, message, action, status = _moment(told), _message(told), told.get("action"), told.get("status")
    if not (isinstance(status, str) and dsn.STATUS.fullmatch(status)):
        raise PoisonError("status: must be three numbers")
    kind = dsn.kind_of(action, status) if isinstance(action, str) else None
    if kind is None:
        raise PoisonError("action: is none of a report")
    return Normalised(kind, at, f"{int(at.timestamp()):010d}:{message}:{kind}", message, attributes={"status": status})


_READERS = {
    Source.CLICK: _click,
    Source.OPEN: _open,
    Source.FORM: _form,
    Source.BEACON: _beacon,
    Source.DSN: _report,
}
