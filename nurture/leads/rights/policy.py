"""How long is what kept? Reads policies/retention.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from nurture.store import definitions
from nurture.store.definitions import Length, Part

if TYPE_CHECKING:
    from pathlib import Path

CAPS_LOOK_BACK = timedelta(days=30)
"""The longest span in which confirmation mails are counted (consent/opt_in.py)."""


class Years(Part):
    """Until the end of the n-th calendar year after the one in which it ended."""

    calendar_years: int = Field(ge=0, le=30)


class Months(Part):
    """So many calendar months."""

    months: int = Field(ge=1, le=120)


class RetentionPolicy(Part):
    """The whole file. Spans are half-open: what is exactly so old is dropped."""

    version: int = Field(ge=1)
    proof_after_withdrawal: Years
    leads_without_consent: Months
    rights_requests: Years
    quarantined_bodies: Length
    applied_bodies: Length
    abuse_indexes: Length
    import_reports: Length
    personal_exports: Length
    handover_payloads: Length
    outbox_mails: Length
    run_summaries: Length

    @field_validator("abuse_indexes")
    @classmethod
    def _caps_need_it(cls, value: timedelta) -> timedelta:
        if value < CAPS_LOOK_BACK:
            raise ValueError("must be at least 30d: the caps on confirmation mails look that far back")
        return value


def load(policies: Path) -> RetentionPolicy:
    """Read `retention.yaml` of the policies folder; raises DefinitionError naming file, line and reason."""
    return definitions.load(policies / "retention.yaml", RetentionPolicy)
