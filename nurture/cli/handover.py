"""What can sales type? List, show, accept, give back, send again."""

from __future__ import annotations

from typing import Annotated

import typer

from nurture.cli import naming
from nurture.cli.output import Exit, fail, moment, note, print_json, table

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HandoverId = Annotated[str, typer.Argument(metavar="HANDOVER", help="Its id, as 'nurture handover list' shows it.")]
By = Annotated[str, typer.Option("--by", help="Who says so: a short name or role; default is your login name.")]
SHOWN = (
    "public_id",
    "lead_id",
    "epoch",
    "state",
    "reason",
    "created_at",
    "deadline_at",
    "delivered_at",
    "attempts",
    "answer",
)


def register(app: typer.Typer) -> None:
    """Add `nurture handover ...`."""
    verbs = typer.Typer(help="Leads that are ready for sales, and what sales answers.", no_args_is_help=True)
    verbs.command("list")(list_)
    verbs.command("show")(show)
    verbs.command("accept")(accept)
    verbs.command("return")(give_back)
    verbs.command("resend")(resend)
    app.add_typer(verbs, name="handover")


def _who(by: str) -> str:
    """Name who answers, as the history of the lead may hold it: that is no place for an address or a full name."""
    from nurture.audit.scope import NAME

    name = by or naming.short("")[:24]
    if not NAME.fullmatch(name):
        fail("--by is a short name or role, such as vera; no e-mail address", Exit.USAGE)
    return name


def list_(state: Annotated[str, typer.Option(help="Only this state.")] = "", json: Json = False) -> None:
    """List handovers, newest first. Example: nurture handover list --state delivered."""
    from sqlalchemy import select

    from nurture.handover.answers import UNDELIVERED
    from nurture.store.tables import HANDOVER_STATES, handover
    from nurture.store.workspace import open_workspace

    if state and state not in HANDOVER_STATES:
        fail(f"there is no state {state!r}; choose one of {', '.join(HANDOVER_STATES)}", Exit.USAGE)
    wanted = select(*(handover.c[name] for name in SHOWN)).order_by(handover.c.id.desc())
    with open_workspace() as workspace, workspace.store.read() as connection:
        rows = connection.execute(wanted.where(handover.c.state == state) if state else wanted).mappings().all()
    now = moment(None)
    overdue = {row["public_id"] for row in rows if row["state"] in UNDELIVERED and row["deadline_at"] <= now}
    if json:
        print_json([{**row, "overdue": row["public_id"] in overdue} for row in rows])
    elif not rows:
        note("No handovers yet. They appear when a lead asks for a demo or turns hot (policies/handover.yaml).")
    else:
        zone = workspace.settings.tz
        table("", ["handover", "lead", "state", "reason", "created", "answer until"], [
            (r["public_id"], r["lead_id"], r["state"] + (", overdue" if r["public_id"] in overdue else ""), r["reason"],
             f"{r['created_at'].astimezone(zone):%d.%m.%Y %H:%M}",
             f"{r['deadline_at'].astimezone(zone):%d.%m.%Y %H:%M}") for r in rows
        ])  # fmt: skip


def show(public_id: HandoverId, json: Json = False) -> None:
    """Show what sales was told about a lead, and every try to deliver it. This shows personal data."""
    import json as codec

    from sqlalchemy import select

    from consent import identity
    from nurture.handover.deliver import AAD
    from nurture.store.tables import handover, handover_attempt, lead
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        row = connection.execute(
            select(handover, lead.c.subject)
            .join(lead, lead.c.id == handover.c.lead_id)
            .where(handover.c.public_id == public_id)
        ).one_or_none()
        if row is None:
            fail(f"there is no handover {public_id}; see 'nurture handover list'")
        tries = connection.execute(
            select(handover_attempt).where(handover_attempt.c.handover_id == row.id).order_by(handover_attempt.c.at)
        ).mappings()
        body = None
        if row.sealed_payload is not None:
            opened = identity.open_for(
                connection, workspace.keyring, row.subject, row.sealed_payload, aad=AAD + public_id.encode()
            )
            body = codec.loads(opened)
        shown = {**{name: getattr(row, name) for name in SHOWN}, "tries": [dict(one) for one in tries], "body": body}
    if json:
        print_json(shown)
        return
    table(f"Handover {public_id}", ["what", "value"], [(name, shown[name]) for name in SHOWN])
    table("Tries", ["at", "event", "channel", "outcome", "detail"], [
        (t["at"], t["event"], t["channel"], t["outcome"], t["detail"]) for t in shown["tries"]
    ])  # fmt: skip
    if body:
        print_json(body["data"])


def accept(public_id: HandoverId, by: By = "") -> None:
    """Accept a lead: sales works on it from now on."""
    from nurture.handover import answers
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.write() as connection:
        lead_id = answers.accept(connection, public_id, actor=_who(by), at=moment(None))
    note(f"Lead {lead_id} is accepted: stage SAL.")


def give_back(
    public_id: HandoverId,
    reason: Annotated[
        str,
        typer.Option(help="Such as not_decider, budget_open or too_early; a wrong one lists them all."),
    ],
    by: By = "",
) -> None:
    """Give a lead back to marketing, with a reason. Example: nurture handover return ID --reason too_early."""
    from nurture.handover.answers import ReturnReason
    from nurture.handover.answers import give_back as answer
    from nurture.store.workspace import open_workspace

    if reason not in set(ReturnReason):
        fail(f"reason {reason!r} is unknown; choose one of {', '.join(ReturnReason)}", 64)
    with open_workspace() as workspace, workspace.store.write() as connection:
        lead_id = answer(connection, public_id, reason=ReturnReason(reason), actor=_who(by), at=moment(None))
    note(f"Lead {lead_id} is back with marketing ({reason}).")


def resend(public_id: HandoverId) -> None:
    """Deliver a handover again; the receiver sees the same id and recognises the repetition."""
    from nurture.handover.deliver import send_again
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.write() as connection:
        send_again(connection, public_id, at=moment(None))
    note("It will be delivered with the next run of hand_over.")
