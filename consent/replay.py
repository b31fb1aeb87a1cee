"""Did every authorised message rest on a living consent? Our own check, over the ledger in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consent import ledger, texts
from consent.rules import Breach, Fault, Replay, judged

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Breach", "Fault", "Replay", "replay"]


def replay(conn: Connection) -> Replay:
    """Check every authorisation in the ledger; no other table is asked but the register of wordings.

    Run `ledger.verify` first: this reads what the entries say, not whether they were changed.
    """
    return judged(ledger.read(conn), texts.register(conn))
