"""How does what the ledger says today get out of our own reach? Sign, deliver, remember what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import func, insert, select

from consent import checkpoints, ledger, rights, vault
from consent.checkpoints import Signer
from consent.schema import checkpoint, checkpoint_delivery
from nurture.audit.book import keep_reason
from nurture.audit.targets import Anchor
from nurture.failpoints import reach
from nurture.store.inserting import insert_or_update
from nurture.store.tables import setting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from consent.checkpoints import Checkpoint
    from consent.notes import Verifier
    from nurture.audit.scope import Scope
    from nurture.audit.targets import Target
    from nurture.settings import Settings
    from nurture.store.workspace import Workspace

KEY_FILE = "checkpoint_key.json"
DELIVERED, FAILED = "delivered", "failed"


@dataclass(frozen=True)
class Delivered:
    """What came of one delivery."""

    target: str
    taken: bool
    detail: str


def origin(settings: Settings) -> str:
    """Name this ledger as its checkpoints do: the host that people know us by, and the brand."""
    parts = urlsplit(settings.public_url)
    return f"{parts.netloc}{parts.path}/{settings.controller}"


def open_signer(ws: Workspace) -> Signer:
    """Open the key that signs checkpoints, made (0600) where there is none; it lies outside the database."""
    return Signer.load_or_create(ws.home / KEY_FILE, origin(ws.settings))


def known_key(ws: Workspace) -> Verifier | None:
    """Give the public half of the key that signs, or None before the first checkpoint: looking makes no key."""
    return open_signer(ws).verifier if (ws.home / KEY_FILE).exists() else None


def sign(ws: Workspace, *, at: datetime) -> Anchor:
    """Sign what the ledger is now.

    Raises CheckpointError when it does not extend the last checkpoint: something was changed.
    """
    signer = open_signer(ws)
    with ws.store.write() as conn:
        signed = checkpoints.sign(conn, signer, at=at)
    reach("checkpoint.mid")
    signer.remember(signed)
    return _anchor(signed, signer)


def newest(ws: Workspace) -> Anchor | None:
    """Give the last checkpoint that was signed; None before the first."""
    with ws.store.read() as conn:
        found = checkpoints.latest(conn)
    return _anchor(found, open_signer(ws)) if found else None


def _anchor(signed: Checkpoint, signer: Signer) -> Anchor:
    return Anchor(signed.size, signed.note, str(signer.verifier), signer.origin)


def deliver(ws: Workspace, target: Target, anchor: Anchor, *, at: datetime) -> Delivered | None:
    """Take a checkpoint to one target and remember what came of it; None where it has been before.

    No transaction is open while the network is asked. What failed is tried again by the next run, with the
    newest checkpoint, which stands for all before it.
    """
    with ws.store.read() as conn:
        if _has(conn, target.label, anchor.size):
            return None
    answer = target.deliver(anchor, at=at)
    row = {
        "size": anchor.size,
        "target": target.label[:200],
        "at": at,
        "outcome": DELIVERED if answer.taken else FAILED,
        "detail": answer.detail[:200],
    }
    with ws.store.write() as conn:
        conn.execute(insert(checkpoint_delivery).values(**row))
    return Delivered(target.label, answer.taken, answer.detail)


def deliver_all(ws: Workspace, targets: Sequence[Target], anchor: Anchor, *, at: datetime) -> list[Delivered]:
    """Take a checkpoint to every target that lacks it; one that fails holds up no other."""
    found = (deliver(ws, target, anchor, at=at) for target in targets)
    return [one for one in found if one is not None]


def _has(conn: Connection, target: str, size: int) -> bool:
    query = select(checkpoint_delivery.c.id).where(
        checkpoint_delivery.c.target == target[:200],
        checkpoint_delivery.c.size == size,
        checkpoint_delivery.c.outcome == DELIVERED,
    )
    return conn.execute(query.limit(1)).first() is not None


def status(conn: Connection, targets: Sequence[Target], *, at: datetime) -> dict[str, Any]:
    """Tell how much a loss of this machine, or a liar on it, could take back: what no target has yet."""
    head = ledger.head(conn)
    last = conn.execute(select(checkpoint).order_by(checkpoint.c.size.desc()).limit(1)).mappings().one_or_none()
    told = [_target_status(conn, target.label[:200], head.size) for target in targets]
    safe = max((one["delivered_size"] for one in told), default=0)
    return {
        "entries": head.size,
        "root": head.root_hex,
        "checkpoint": {
            "size": last["size"],
            "root": last["root"].hex(),
            "signed_at": last["signed_at"],
            "age_seconds": int((at - last["signed_at"]).total_seconds()),
            "entries_since": head.size - last["size"],
        }
        if last
        else None,
        "exposed_entries": head.size - safe,
        "targets": told,
    }


def _target_status(conn: Connection, target: str, size: int) -> dict[str, Any]:
    mine = checkpoint_delivery.c.target == target
    query = select(checkpoint_delivery).where(mine).order_by(checkpoint_delivery.c.id.desc()).limit(1)
    last = conn.execute(query).mappings().one_or_none()
    taken = select(func.max(checkpoint_delivery.c.size)).where(mine, checkpoint_delivery.c.outcome == DELIVERED)
    has = conn.execute(taken).scalar() or 0
    return {
        "target": target,
        "delivered_size": has,
        "entries_behind": size - has,
        "last": {name: last[name] for name in ("size", "at", "outcome", "detail")} if last else None,
    }


def enter(
    conn: Connection,
    ws: Workspace,
    *,
    kind: rights.Copy,
    scope: Scope,
    count: int,
    by: str,
    at: datetime,
    subject: str | None = None,
) -> int:
    """Record that a copy is taken out; give the entry's number.

    Where addresses are shown, who stood for it and why is committed to in the entry and kept sealed outside
    of it: a reason is free text and may name people, and no entry can ever be emptied.
    """
    if scope.reveal is None:
        return rights.exported(
            conn, kind, scope=scope.describe(), count=count, actor=f"operator:{by}", at=at, subject=subject
        )
    told = {"by": scope.reveal.by, "second": scope.reveal.second, "reason": scope.reveal.reason}
    kept = vault.commit(told)
    actor = f"operator:{scope.reveal.by} operator:{scope.reveal.second}"
    seq = rights.exported(
        conn, kind, scope=scope.describe(), count=count, actor=actor, at=at, subject=subject, commit=kept.digest
    )
    insert_or_update(conn, setting, [keep_reason(ws, seq, told, kept.salt)])
    return seq
