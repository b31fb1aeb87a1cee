"""How long does an import of an Excel list take, against merely reading it?"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import openpyxl
import python_calamine

from nurture.leads.importing.mapping import Consent, Map
from nurture.leads.importing.run import import_file, preview
from nurture.settings import Settings
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS = (
    "Email Address", "First Name", "Last Name", "Company", "Job Title", "Industry", "Employees", "Country", "Phone",
    "MEMBER_RATING", "OPTIN_TIME", "OPTIN_IP", "CONFIRM_TIME", "CONFIRM_IP", "LEID",
)  # fmt: skip
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)


def run(*, quick: bool = False) -> dict[str, object]:
    """Import rows of a Mailchimp workbook, half of them with proven consent; seconds and ratios to bare reading."""
    rows = 5_000 if quick else 50_000
    with tempfile.TemporaryDirectory(prefix="nurture-bench-") as folder:
        path = Path(folder) / "list.xlsx"
        _write(path, rows)
        bare = _seconds(lambda: python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python())
        said = Map(consent=(Consent(text="Ja, ich möchte Informationen per E-Mail."),))
        with open_workspace(Settings(home=Path(folder) / "home")) as workspace:
            looked = _seconds(lambda: preview(workspace, path, at=AT, settings=said))
            taken = _seconds(lambda: import_file(workspace, path, at=AT, settings=said))
            again = _seconds(lambda: import_file(workspace, path, at=AT, settings=said))
    return {
        "rows": rows,
        "bare reading, seconds": bare,
        "import, seconds": taken,
        "import / bare reading": taken / bare,
        "dry run / bare reading": looked / bare,
        "same file again / bare reading": again / bare,
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _write(path: Path, rows: int) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(HEADERS)
    for n in range(rows):
        confirmed = "2025-03-04 11:11:12" if n % 2 else ""
        sheet.append([
            f"first.last{n}@company{n % 7000}.example", f"First{n}", f"Last{n}", f"Company {n % 7000} GmbH",
            "Leiter Instandhaltung", "Maschinenbau", "51-200", "Deutschland", f"0711 12345{n}", 3,
            "2025-03-04 10:11:12", "192.0.2.1", confirmed, "192.0.2.1", n,
        ])  # fmt: skip
    book.save(path)
