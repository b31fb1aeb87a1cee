"""How do the bundled lists get in? Through the import that everybody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.leads.importing.mapping import load_map
from nurture.leads.importing.run import import_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from nurture.leads.importing.report import ImportReport
    from nurture.store.workspace import Workspace


def take_over(workspace: Workspace, files: Sequence[Path], *, at: datetime) -> list[ImportReport]:
    """Import files in this order; a map beside a file (same name, .map.yaml) says what its columns cannot."""
    reports = []
    for path in files:
        beside = path.with_suffix(".map.yaml")
        chosen = load_map(beside, workspace.settings.policies) if beside.exists() else None
        reports.append(import_file(workspace, path, at=at, settings=chosen))
    return reports
