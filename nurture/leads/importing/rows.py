"""What does one row say? A contact with its evidence, a no, or a reason why it cannot be taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consent.addresses import Address, InvalidAddress
from nurture.leads import hygiene
from nurture.leads.importing import salvage, values
from nurture.leads.importing.columns import PERSON, Field
from nurture.leads.importing.dates import AmbiguousTime, UnreadableTime, read_moment
from nurture.leads.importing.problems import NotMailable, RowProblem
from nurture.leads.roles import role_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from nurture.leads.importing.mapping import Consent, Plan
    from nurture.leads.stages import Stage


@dataclass(frozen=True)
class Refused:
    """A row that is not taken."""

    line: int
    code: str
    """A RowProblem, for addresses with the reason behind a colon. Never a cell."""


@dataclass(frozen=True)
class Barred:
    """A row that says no: its address goes on the suppression list."""

    line: int
    address: Address
    reason: str
    """unsubscribed, bounced or complained."""


@dataclass(frozen=True)
class Proof:
    """A consent with all that proves it."""

    purpose: str
    text: str
    confirmed_at: datetime
    evidence: dict[str, str]


@dataclass(frozen=True)
class Contact:
    """A row that is taken."""

    line: int
    address: Address
    facts: hygiene.AddressFacts
    language: str
    person: dict[str, str] = field(default_factory=dict)
    country: str | None = None
    industry: str | None = None
    company_size: int | None = None
    role: str | None = None
    stage: Stage | None = None
    """Where the other system has it, if that matters here."""
    proofs: tuple[Proof, ...] = ()
    not_mailable: NotMailable | None = None


@dataclass(frozen=True)
class Defaults:
    """What holds where the file says nothing."""

    language: str
    zone: ZoneInfo
    at: datetime
    """Nobody confirmed later than this."""
    file_sha256: str = ""


class Reader:
    """Reads the rows of one file by its plan."""

    def __init__(self, plan: Plan, defaults: Defaults) -> None:
        """Keep what is the same for every row."""
        self._plan = plan
        self._defaults = defaults
        # One place behind the last column stands for all columns that the file does not have.
        self._place = {name: plan.columns.get(name, plan.width) for name in Field}
        self._kept = [(name, plan.columns[name]) for name in _KEPT if name in plan.columns]
        self._evident = [(f"export_{name.value}", plan.columns[name]) for name in _EVIDENCE if name in plan.columns]
        self._states = [place for name, place in plan.suppressing if name is Field.STATUS]
        self._whole = {"unsubscribed": "unsubscribed", "bounced": "bounced"}.get(plan.whole_file, "")

    @property
    def may_bar(self) -> bool:
        """Can a row of this file say no?"""
        return bool(self._plan.suppressing or self._whole)

    def bar(self, line: int, cells: Sequence[str]) -> tuple[Barred, ...] | Refused:
        """Give the no of a row, if it says one, for each address it names; everything else is not looked at.

        Refused is a no of somebody whose address cannot be read, not even for barring.
        """
        row = self._filled(cells)
        reason = self._reason(row)
        if not reason:
            return ()
        cell = row[self._place[Field.EMAIL]]
        address = _address(cell)
        found = salvage.addresses(cell) if isinstance(address, str) else (address,)
        if found is None:
            return Refused(line, RowProblem.UNREADABLE_NO)
        return tuple(Barred(line, one, reason) for one in found)

    def read(self, line: int, cells: Sequence[str]) -> Contact | Refused | Barred:
        """Give what a row says."""
        if len(cells) > self._plan.width and any(cell.strip() for cell in cells[self._plan.width :]):
            # Which cell is one too many cannot be told: every value behind it may stand in the wrong column.
            return self._bad(line, cells, RowProblem.TOO_MANY_CELLS)
        row = self._filled(cells)
        address = _address(row[self._place[Field.EMAIL]])
        if isinstance(address, str):
            return self._bad(line, cells, address)
        reason = self._reason(row)
        if reason:
            return Barred(line, address, reason)
        kept = {}
        for name, place in self._kept:
            text = row[place]
            if not values.is_ready(text):
                text = values.clean(text)
                problem = problem_of(text)
                if problem:
                    return Refused(line, problem)
            kept[name] = text
        return self._contact(line, row, address, hygiene.facts(address.delivery), kept)

    def _bad(self, line: int, cells: Sequence[str], code: str) -> Refused | Barred:
        """Give the no of a row that is otherwise refused, or why it is refused."""
        no = self.bar(line, cells)
        if isinstance(no, Refused):
            return no
        return no[0] if no and code.startswith(RowProblem.BAD_ADDRESS) else Refused(line, code)

    def _contact(
        self,
        line: int,
        row: Sequence[str],
        address: Address,
        facts: hygiene.AddressFacts,
        kept: dict[Field, str],
    ) -> Contact:
        language = values.language(kept.get(Field.LANGUAGE, "")) or self._defaults.language
        country = values.country(kept.get(Field.COUNTRY, ""))
        proofs, reason = self._proofs(row, language)
        title = kept.get(Field.JOB_TITLE, "")
        return Contact(
            line=line,
            address=address,
            facts=facts,
            language=language,
            person=_person(kept, country or "DE"),
            country=country,
            industry=values.industry(kept.get(Field.INDUSTRY, "")),
            company_size=values.company_size(kept.get(Field.COMPANY_SIZE, "")),
            role=role_of(title).value if title else None,
            stage=values.stage(kept.get(Field.LIFECYCLE, ""), self._plan.map.stages),
            proofs=proofs,
            not_mailable=reason,
        )

    def _filled(self, cells: Sequence[str]) -> Sequence[str]:
        """Give a cell for each column, and an empty one; programs leave out the empty cells at the end of a row."""
        width = self._plan.width
        return [*cells[:width], *[""] * max(width - len(cells) + 1, 1)]

    def _reason(self, row: Sequence[str]) -> str:
        """Why must this address not be written to? The careful reading of every column that can say so."""
        if self._whole:
            return self._whole
        for name, place in self._plan.suppressing:
            if name is Field.STATUS:
                status = values.status(row[place])
                if status in {"unsubscribed", "bounced", "complained"}:
                    return status
            elif values.says_something(row[place]):
                return {Field.OPTED_OUT: "unsubscribed", Field.BOUNCED: "bounced"}.get(name, "complained")
        return ""

    def _proofs(self, row: Sequence[str], language: str) -> tuple[tuple[Proof, ...], NotMailable | None]:
        """Give what this row proves, or why it proves nothing. Nothing is inferred."""
        times = self._times(row)
        if isinstance(times, NotMailable):
            return (), times
        opted_in, confirmed = times
        states = {values.status(row[place]) for place in self._states}
        if "unconfirmed" in states:
            return (), NotMailable.NOT_AGREED
        if states - {"subscribed", ""}:
            return (), NotMailable.UNKNOWN_STATUS
        evidence = self._evidence(row, opted_in, confirmed)
        agreed = [consent for consent in self._plan.map.consent if self._agreed(row, consent)]
        proofs = tuple(
            Proof(consent.purpose, consent.wording(language), confirmed, evidence)
            for consent in agreed
            if consent.wording(language)
        )
        if proofs:
            return proofs, None
        declined = len(agreed) < len(self._plan.map.consent)
        return (), NotMailable.NOT_AGREED if declined and not agreed else NotMailable.NO_WORDING

    def _times(self, row: Sequence[str]) -> tuple[datetime, datetime] | NotMailable:
        """Give sign-up and confirmation, both in UTC, or what is wrong with them."""
        zone, order = self._defaults.zone, self._plan.map.dates
        try:
            opted_in = read_moment(row[self._place[Field.OPT_IN_TIME]], zone, order)
            confirmed = read_moment(row[self._place[Field.CONFIRM_TIME]], zone, order)
        except UnreadableTime:
            return NotMailable.UNREADABLE_TIME
        except AmbiguousTime:
            return NotMailable.AMBIGUOUS_TIME
        if opted_in is None or confirmed is None:
            return _MISSING[opted_in is None, confirmed is None]
        if confirmed <= opted_in:
            return NotMailable.SINGLE_OPT_IN
        return NotMailable.FUTURE_TIME if confirmed > self._defaults.at else (opted_in, confirmed)

    def _agreed(self, row: Sequence[str], consent: Consent) -> bool:
        place = self._plan.consent_columns.get(consent.purpose)
        return place is None or values.says_yes(row[place])

    def _evidence(self, row: Sequence[str], opted_in: datetime, confirmed: datetime) -> dict[str, str]:
        """Collect what the export proves; consent seals it."""
        given = {name: row[place].strip()[: values.LONGEST] for name, place in self._evident}
        return {
            "from": self._plan.preset.name,
            "file_sha256": self._defaults.file_sha256,
            "opted_in_at": opted_in.isoformat(),
            "confirmed_at": confirmed.isoformat(),
            **{name: text for name, text in given.items() if text},
        }


_MISSING = {
    (True, True): NotMailable.NO_EVIDENCE,
    (False, True): NotMailable.NO_CONFIRMATION_TIME,
    (True, False): NotMailable.NO_SIGN_UP_TIME,
}
"""By what is missing: (sign-up, confirmation)."""
_EVIDENCE = (
    Field.OPT_IN_TIME, Field.OPT_IN_IP, Field.OPT_IN_SOURCE, Field.CONFIRM_TIME, Field.CONFIRM_IP,
)  # fmt: skip
_KEPT = (
    *PERSON, Field.FULL_NAME, Field.INDUSTRY, Field.COMPANY_SIZE, Field.COUNTRY, Field.LANGUAGE, Field.LIFECYCLE,
)  # fmt: skip


def _address(given: str) -> Address | str:
    """Give the address, or the code of what is wrong with it."""
    if not given.strip():
        return RowProblem.NO_ADDRESS
    try:
        return Address.of(hygiene.check(given))
    except hygiene.BadAddress as error:
        return f"{RowProblem.BAD_ADDRESS}:{error.reason}"
    except InvalidAddress:
        return f"{RowProblem.BAD_ADDRESS}:{hygiene.BadAddressReason.SYNTAX}"


def problem_of(text: str) -> RowProblem | None:
    """What speaks against keeping this cell?"""
    if len(text) > values.LONGEST:
        return RowProblem.TOO_LONG
    if not text:
        return None
    if values.is_hidden(text):
        return RowProblem.CONTROL_CHARACTER
    if values.is_formula(text):
        return RowProblem.FORMULA
    return RowProblem.MOJIBAKE if values.is_mojibake(text) else None


def _person(kept: dict[Field, str], home: str) -> dict[str, str]:
    first, last = kept.get(Field.FIRST_NAME, ""), kept.get(Field.LAST_NAME, "")
    if not first and not last and kept.get(Field.FULL_NAME):
        first, last = values.split_name(kept[Field.FULL_NAME])
    person = {
        "first_name": first,
        "last_name": last,
        "salutation": values.salutation(kept.get(Field.SALUTATION, "")),
        "phone": values.phone(kept.get(Field.PHONE, ""), home),
        "company": kept.get(Field.COMPANY, ""),
        "job_title": kept.get(Field.JOB_TITLE, ""),
    }
    return {name: text for name, text in person.items() if text.strip("-")}
