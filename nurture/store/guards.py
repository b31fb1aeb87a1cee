"""Which changes does the database itself refuse? Those with which a bug could send a mail twice, or rewrite a reason.

The state machine of a batch, as data: `nurture.delivery` follows it, the triggers enforce it.
"""

from __future__ import annotations

from typing import Literal

FREE: dict[str, tuple[str, ...]] = {
    "planned": ("claimed", "expired"),
    "claimed": ("planned", "suppressed", "expired", "failed_render"),
    "submitting": ("accepted", "in_doubt"),
    "in_doubt": ("accepted", "unknown"),
    # Proof that comes late still counts; it can never lead to a second send.
    "unknown": ("accepted",),
}
"""Changes of `send_batch.state` that need no evidence."""

EVIDENT: dict[tuple[str, str], str] = {
    ("claimed", "submitting"): "",
    ("submitting", "planned"): "refused",
    ("in_doubt", "planned"): "refused",
    ("submitting", "rejected"): "rejected",
    ("in_doubt", "rejected"): "rejected",
}
"""Changes that need this outcome in the batch's current `delivery_attempt` (empty: the attempt is still open)."""

SETTLED = ("accepted", "refused", "rejected")
"""Outcomes of an attempt that are certain, so they never change; `unknown` may still become one of them."""


def statements(dialect: Literal["sqlite", "postgresql"] | str) -> list[str]:  # noqa: PYI051  names the two that work
    """Give the statements that create the guards, in order."""
    rules = [
        ("send_batch", "state", _illegal_change(), "this change of a batch's state is not allowed"),
        ("delivery_attempt", "outcome", _changes_certainty(), "a certain outcome of an attempt never changes"),
        ("message", "id", _is_rewritten(), "a message is immutable"),
        ("message_exception", "state", _changes_exception(), "a message's own fate never changes"),
        # Thousands of decisions share one: a change, or a loss, would rewrite what all of them were decided by.
        ("verdict", "shared", "1 = 1", "what the gates said is never rewritten"),
    ]
    make = _postgresql if dialect == "postgresql" else _sqlite
    kept = make("verdict", "kept", "1 = 1", "what the gates said is never deleted", "delete")
    return [statement for rule in rules for statement in make(*rule)] + kept


def _illegal_change() -> str:
    free = [
        f"(old.state = '{state}' and new.state in ({', '.join(repr(target) for target in targets)}))"
        for state, targets in FREE.items()
    ]
    evident = [
        f"(old.state = '{state}' and new.state = '{target}' and exists (select 1 from delivery_attempt a "
        f"where a.batch_id = new.id and a.n = new.attempt and coalesce(a.outcome, '') = '{outcome}'))"
        for (state, target), outcome in EVIDENT.items()
    ]
    legal = " or ".join([*free, *evident])
    # A claim is a new attempt: a worker that wakes up late no longer matches it.
    fenced = "new.attempt = old.attempt + case when old.state = 'planned' and new.state = 'claimed' then 1 else 0 end"
    return f"(old.state <> new.state and not ({legal})) or not ({fenced})"


def _changes_certainty() -> str:
    listed = ", ".join(f"'{outcome}'" for outcome in SETTLED)
    return f"old.outcome in ({listed}) and (new.outcome is null or new.outcome <> old.outcome)"


def _is_rewritten() -> str:
    columns = ("id", "public_id", "kind", "enrolment_id", "request_id", "step", "occurrence")
    rewritten = [f"old.{name} is distinct from new.{name}" for name in columns]
    # A batch may be cut while nobody has ever claimed it: nothing that was done or proven names it.
    untouched = (
        "select count(*) from send_batch b where b.id in (old.batch_id, new.batch_id) "
        "and b.state = 'planned' and b.attempt = 0"
    )
    return " or ".join([*rewritten, f"(old.batch_id is distinct from new.batch_id and ({untouched}) <> 2)"])


def _changes_exception() -> str:
    doubts = {"in_doubt": ("accepted", "rejected", "unknown"), "unknown": ("accepted",)}
    free = [
        f"(old.state = '{state}' and new.state in ({', '.join(repr(target) for target in targets)}))"
        for state, targets in doubts.items()
    ]
    return f"old.state <> new.state and not ({' or '.join(free)})"


def _sqlite(table: str, aspect: str, condition: str, complaint: str, change: str = "update") -> list[str]:
    # `is distinct from` came with SQLite 3.39; `is not` says the same in every version.
    condition = condition.replace("is distinct from", "is not")
    text = complaint.replace("'", "''")
    head = f"create trigger guard_{table}_{aspect} before {change} on {table} when {condition}"
    return [f"{head} begin select raise(abort, '{text}'); end"]


def _postgresql(table: str, aspect: str, condition: str, complaint: str, change: str = "update") -> list[str]:
    name = f"guard_{table}_{aspect}"
    text = complaint.replace("'", "''")
    # A trigger's own WHEN may hold no subquery, so the condition stands in the function.
    refuse = f"if {condition} then raise exception '{text}' using errcode = 'check_violation'; end if;"
    return [
        f"create function {name}() returns trigger language plpgsql as $$ begin {refuse} return new; end $$",
        f"create trigger {name} before {change} on {table} for each row execute function {name}()",
    ]
