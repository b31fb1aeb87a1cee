"""How does what people said on paper, by mail or by phone come in? Verbs of `nurture consent`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path  # noqa: TC003  Typer reads it when it runs
from typing import Annotated, Any

import typer

from nurture.cli.output import Exit, fail, happened, note, print_json

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
At = Annotated[str | None, typer.Option(help="As if at this time (ISO 8601).")]


def register(verbs: typer.Typer) -> None:
    """Add the verbs."""
    verbs.command("capture")(capture)
    verbs.command("renew")(renew)
    verbs.command("basis")(basis)
    verbs.command("intake")(intake)


def capture(  # noqa: PLR0913, PLR0917  one argument per option
    file: Annotated[
        Path | None, typer.Argument(help="CSV with address, scan, captured_by, captured_at; else one address on stdin.")
    ] = None,
    event: Annotated[str, typer.Option(help="Where cards were signed, such as hannover-messe-2026.")] = "",
    wording: Annotated[
        list[str] | None, typer.Option(help="SHA-256 of a wording printed on the card (repeatable).")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who took the card.")] = "",
    signed: Annotated[str | None, typer.Option(help="When it was signed (ISO 8601); default is now.")] = None,
    scan: Annotated[Path | None, typer.Option(help="Scan of the one card.")] = None,
    scans: Annotated[Path | None, typer.Option(help="Folder of the scans that the table names.")] = None,
    at: At = None,
    json: Json = False,
) -> None:
    """Record signed cards; the confirmation mails follow. Example: nurture consent capture cards.csv --event hm26.

    A card alone gives no consent. Kept as evidence: event, who took it, when, the wordings, the scan's
    hash, and the scan itself, sealed, up to 256 KiB.
    """
    from nurture.leads import cards, hygiene
    from nurture.store.workspace import open_workspace

    # One reading of the clock: a card taken now must not lie after the moment it is recorded.
    now = happened(at)
    when = now if signed is None else happened(signed)
    with open_workspace() as workspace, workspace.store.write() as conn:
        try:
            wordings = cards.signed(conn, wording or [], controller=workspace.settings.controller)
            common: dict[str, Any] = {"event": event, "captured_by": by, "captured_at": when, "wordings": wordings}
            if file is None:
                read = [cards.one(sys.stdin.readline(), scan=scan, **common)]
            else:
                read = cards.table(file.read_bytes(), scans, zone=workspace.settings.tz, **common)
            done = cards.record(conn, workspace, read, at=now)
        except (cards.CardError, hygiene.BadAddress, OSError) as error:
            fail(error.strerror or "the table cannot be read" if isinstance(error, OSError) else str(error))
    queued = sum(one.queued for one in done)
    if json:
        print_json({"cards": len(done), "confirmation_mails": queued, "not_recorded": len(done) - queued})
        return
    print(f"{len(done)} cards, {queued} confirmation mails follow")
    if queued < len(done):
        note("The others agreed before, may not be written to, or were asked within 24 hours; nothing was recorded.")


def renew(
    lead: Annotated[int, typer.Argument(help="Number of the lead.")],
    asked: Annotated[str, typer.Option(help="How and when the person asked for it, such as: phone 2026-11-20.")],
    purpose: Annotated[list[str] | None, typer.Option(help="What for (repeatable).")] = None,
    at: At = None,
) -> None:
    """Send the confirmation mail of a renewal somebody asked for. Example: nurture consent renew 42 --asked fair.

    A consent that merely grew stale is no reason: nobody may be written to for that.
    """
    from sqlalchemy import select

    from consent import opt_in
    from consent.states import NEWSLETTER
    from nurture.store.tables import lead as leads
    from nurture.store.workspace import open_workspace

    if not asked.strip():
        fail("say how and when the person asked for it (--asked)", Exit.USAGE)
    with open_workspace() as workspace, workspace.store.write() as conn:
        row = conn.execute(select(leads.c.subject, leads.c.language).where(leads.c.id == lead)).one_or_none()
        if row is None:
            fail("there is no such lead; 'nurture consent search' finds the number")
        done = opt_in.renew(
            conn,
            workspace.keyring,
            row.subject,
            purposes=purpose or [NEWSLETTER],
            controller=workspace.settings.controller,
            language=row.language,
            source="operator.renewal",
            evidence={"asked": asked.strip()},
            at=happened(at),
        )
    print(
        "a confirmation mail follows" if done.queued else "nothing to do: given already, barred, or asked within a day"
    )


def basis(
    lead: Annotated[int, typer.Argument(help="Number of the lead.")],
    purpose: Annotated[str, typer.Option(help="What the mails are for.")],
    evidence: Annotated[Path, typer.Option(help="YAML file that proves the four conditions.")],
    at: At = None,
) -> None:
    """Record that a customer may be written to without consent.

    Example: nurture consent basis 42 --purpose newsletter.product --evidence sale.yaml.

    All four conditions of s. 7(3) UWG need evidence: the sale, similar goods, the notice at collection, no
    objection. Refused (exit 3) with the name of each that is missing, and where the policy is off.
    """
    from sqlalchemy import select

    from consent import basis as exception
    from nurture.leads import wordings
    from nurture.store.definitions import read
    from nurture.store.tables import lead as leads
    from nurture.store.workspace import open_workspace

    file = read(evidence, evidence.name)
    said = {
        str(name): {str(key): str(value) for key, value in part.items()}
        for name, part in file.items()
        if isinstance(part, dict)
    }
    with open_workspace() as workspace, workspace.store.write() as conn:
        subject = conn.execute(select(leads.c.subject).where(leads.c.id == lead)).scalar_one_or_none()
        if subject is None:
            fail("there is no such lead; 'nurture consent search' finds the number")
        try:
            seq = exception.record(
                conn,
                workspace.keyring,
                subject,
                purpose=purpose,
                controller=workspace.settings.controller,
                evidence=exception.Evidence(said),
                allowed=wordings.exception_allowed(workspace.settings.policies),
                at=happened(at),
            )
        except exception.BasisError as error:
            fail(str(error), Exit.BLOCKED)
    print(f"recorded, ledger entry {seq}")


def intake(
    folder: Annotated[Path, typer.Argument(help="Maildir, or folder of raw mails: unsubscribe mailbox, bounces.")],
    at: At = None,
    json: Json = False,
) -> None:
    """Read wishes to unsubscribe and bounces that came by mail. Example: nurture consent intake Maildir.

    A wish ends a consent at once, a server's report on a mail of ours becomes an event; nothing is answered. What
    names neither a message of ours nor one sender whom we know is set aside for a person.
    """
    from nurture.store.workspace import open_workspace
    from nurture.tracking import mailbox

    if not folder.is_dir():
        fail("there is no such folder; name the Maildir or the folder with the mails")
    counts = Counter(dict.fromkeys(mailbox.Read, 0))
    failed: Counter[str] = Counter()
    asked = happened(at)
    with open_workspace() as workspace:
        for path in list(mailbox.waiting(folder)):
            try:
                counts[mailbox.take(workspace, path, at=asked)] += 1
            except Exception as error:  # noqa: BLE001  one mail must not keep the withdrawals behind it waiting
                failed[type(error).__name__] += 1
    if json:
        print_json({str(what): count for what, count in counts.items()})
    else:
        print(", ".join(f"{count} {what}" for what, count in counts.items()))
        if counts[mailbox.Read.UNCLEAR]:
            note("Unclear mails were set aside: a person must read them; each may hold a withdrawal.")
    if failed:
        kinds = ", ".join(sorted(failed))
        fail(f"mails not taken in: {failed.total()} ({kinds}); they stay where they are: run again, or read them")
