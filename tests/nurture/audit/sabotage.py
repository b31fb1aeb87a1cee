"""What the owner of a database can do to it, and our triggers cannot stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text, update

from consent.schema import ledger_head

if TYPE_CHECKING:
    from nurture.store.workspace import Workspace


def guards_off(conn: Any, table: str = "ledger_entry") -> None:
    """Remove the triggers of a table."""
    if conn.dialect.name == "postgresql":
        for name in _names(
            conn, "select tgname from pg_trigger where tgrelid = cast(:table as regclass) and not tgisinternal", table
        ):
            conn.exec_driver_sql(f'drop trigger "{name}" on {table}')
        return
    for name in _names(conn, "select name from sqlite_master where type = 'trigger' and tbl_name = :table", table):
        conn.exec_driver_sql(f'drop trigger "{name}"')


def _names(conn: Any, query: str, table: str) -> list[str]:
    return list(conn.execute(text(query), {"table": table}).scalars())


def forge_head(ws: Workspace) -> None:
    """Give the ledger a root that its entries do not lead to."""
    with ws.store.write() as conn:
        guards_off(conn, "ledger_head")
        conn.execute(update(ledger_head).values(root=b"x" * 32))
