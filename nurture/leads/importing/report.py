"""What came of an import? Counts, and a file that names each refused row by line, reason and remedy."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from nurture.leads.importing.problems import remedies

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from nurture.leads.importing.rows import Refused

MOST_LISTED = 100_000
"""Refused rows in one report; a file with more has one fault, not many."""


@dataclass
class Counts:
    """What happened to the rows. rows = refused + duplicates + suppressed + new + changed + unchanged."""

    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Reason -> rows; the report names each."""
    duplicates: int = 0
    """Rows whose address stands further up in the file."""
    suppressed: int = 0
    """Rows whose address must not be written to; they are not taken."""
    new: int = 0
    changed: int = 0
    """Known leads that were completed."""
    unchanged: int = 0
    mailable: int = 0
    """Of new, changed and unchanged: consent is proven."""
    not_mailable: Counter[str] = field(default_factory=Counter)
    """The others, by reason."""
    consents: int = 0
    """Entered in the consent ledger."""
    suppressions_added: int = 0
    withdrawn: int = 0
    """People known here whose consent the file ended."""
    facts: Counter[str] = field(default_factory=Counter)
    """freemail, disposable, role_account, typo: facts about the addresses taken, no verdicts."""

    def as_dict(self) -> dict[str, Any]:
        """Give plain numbers, for JSON and for the database."""
        plain = asdict(self)
        plain["refused"] = dict(sorted(self.refused.items()))
        plain["not_mailable"] = dict(sorted(self.not_mailable.items()))
        plain["facts"] = dict(sorted(self.facts.items()))
        return plain


def counts_of(stored: dict[str, Any]) -> Counts:
    """Give what `as_dict` wrote."""
    counters = {name: Counter(stored[name]) for name in ("refused", "not_mailable", "facts")}
    return Counts(**{**stored, **counters})


@dataclass(frozen=True)
class ImportReport:
    """The outcome of an import or of a dry run."""

    file: str
    """Its name, without the folder."""
    preset: str
    kind: str
    encoding: str
    separator: str
    columns: dict[str, str]
    """Field -> header of the file."""
    ignored: tuple[str, ...]
    """Headers that are not kept."""
    counts: Counts
    dry_run: bool = False
    already_imported: bool = False
    """The same file under the same map was imported before; nothing was done."""
    report: Path | None = None
    """File that names the refused rows; None when there are none."""
    preview: tuple[dict[str, str], ...] = ()
    """First rows as they would be taken, people masked; dry run only."""

    @property
    def imported(self) -> int:
        """How many leads the file holds that were taken."""
        return self.counts.new + self.counts.changed + self.counts.unchanged

    @property
    def not_mailable(self) -> int:
        """How many of them may not be written to."""
        return sum(self.counts.not_mailable.values())

    def as_dict(self) -> dict[str, Any]:
        """Give everything for --json."""
        return {
            "file": self.file,
            "preset": self.preset,
            "kind": self.kind,
            "encoding": self.encoding,
            "separator": self.separator,
            "columns": self.columns,
            "ignored": list(self.ignored),
            "imported": self.imported,
            "counts": self.counts.as_dict(),
            "dry_run": self.dry_run,
            "already_imported": self.already_imported,
            "report": str(self.report) if self.report else None,
            "preview": list(self.preview),
        }


def write_refused(path: Path, refused: Iterable[Refused]) -> None:
    """Write the report: UTF-8 with a mark and semicolons, as German Excel reads it. No cell of the list is in it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(["Zeile", "Grund", "Abhilfe", "Remedy"])
    for one in refused:
        writer.writerow([one.line, str(one.code), *remedies(one.code)])
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".part")
    partial.write_text(text.getvalue(), "utf-8-sig", newline="")
    partial.replace(path)


def masked(text: str) -> str:
    """Show that there is something, not what: first letter and dots."""
    return f"{text[0]}…" if text else ""


def masked_address(address: str) -> str:
    """Show first letters of both parts and the ending: v…@m….example."""
    local, _, domain = address.rpartition("@")
    name, _, ending = domain.rpartition(".")
    return f"{masked(local)}@{masked(name)}.{ending}"
