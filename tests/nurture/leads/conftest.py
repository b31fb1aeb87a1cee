"""Shared ground for the import tests: write a file, import it, look at what came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from consent.schema import consent_state, identity, ledger_entry, suppression
from nurture.leads.importing.mapping import Consent, Map
from nurture.leads.importing.run import import_file, preview
from nurture.store.tables import import_batch, lead, stage_change

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from nurture.leads.importing.report import ImportReport
    from nurture.store.workspace import Workspace

WORDED = Map(consent=(Consent(text="Ja, ich möchte E-Mails von Musterwerk."),))
TABLES = (identity, lead, stage_change, import_batch, consent_state, suppression, ledger_entry)


@dataclass
class Desk:
    """Somebody who imports lists."""

    workspace: Workspace
    folder: Path
    at: datetime

    @property
    def policies(self) -> Path:
        """Folder of consent.yaml, which knows the purposes."""
        return self.workspace.settings.policies

    def file(self, content: str | bytes, name: str = "leads.csv") -> Path:
        """Put a file on the desk."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def take(self, content: str | bytes | Path, settings: Map | None = None, **more: Any) -> ImportReport:
        """Import it."""
        path = self.file(content) if isinstance(content, str | bytes) else content
        return import_file(self.workspace, path, at=more.pop("at", self.at), settings=settings, **more)

    def look(self, content: str | bytes | Path, settings: Map | None = None) -> ImportReport:
        """Only look what would happen."""
        path = self.file(content) if isinstance(content, str | bytes) else content
        return preview(self.workspace, path, at=self.at, settings=settings)

    def sizes(self) -> dict[str, int]:
        """How many rows does each table hold that an import writes to?"""
        with self.workspace.store.read() as conn:
            return {t.name: conn.execute(select(func.count()).select_from(t)).scalar_one() for t in TABLES}

    def leads(self) -> list[Any]:
        """All leads, in the order they came."""
        with self.workspace.store.read() as conn:
            return list(conn.execute(select(lead).order_by(lead.c.id)).all())


@pytest.fixture
def desk(workspace: Workspace, tmp_path: Path, at: datetime) -> Desk:
    """Give a desk on an empty workspace."""
    return Desk(workspace, tmp_path, at)
