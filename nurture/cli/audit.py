"""What can an auditor type? Recompute the ledger, sign and deliver checkpoints, export everything, prove one thing."""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003  Typer reads it when it runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nurture.cli import naming
from nurture.cli.output import Exit, fail, happened, moment, note, print_json

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nurture.audit.export import Order
    from nurture.audit.proof import Page
    from nurture.audit.scope import Reveal

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Show = Annotated[bool, typer.Option("--reveal", help="Show addresses and evidence; needs --by, --second and --reason.")]
Second = Annotated[str, typer.Option("--second", help="Who else stands for showing addresses: a short name or role.")]
Reason = Annotated[str, typer.Option("--reason", help="Who wants to see addresses, and why; kept sealed.")]
Language = Annotated[str, typer.Option("--lang", help="de or en: what people read.")]
At = Annotated[str | None, typer.Option(help="As if at this time, ISO 8601; default is now.")]


def register(app: typer.Typer) -> None:
    """Add `nurture audit ...`."""
    verbs = typer.Typer(help="The consent ledger: is it whole, and does it carry every mail?", no_args_is_help=True)
    verbs.command("verify")(verify)
    verbs.command("checkpoint")(checkpoint)
    verbs.command("status")(status)
    verbs.command("export")(export)
    verbs.command("proof")(proof)
    app.add_typer(verbs, name="audit")


def verify(json: Json = False) -> None:
    """Recompute the whole ledger and check every authorised mail. Exit 0 when all holds, 1 when not.

    Example: nurture audit verify --json.
    """
    from consent import ledger, replay
    from nurture.audit.anchoring import known_key
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        tree = ledger.verify(connection, signed_by=known_key(workspace))
        # What a changed ledger says about authorisations means nothing.
        sends = replay.replay(connection) if tree.ok else None
    fine = tree.ok and sends is not None and sends.ok
    breaches = sends.listed if sends else ()
    if json:
        print_json(
            {
                "size": tree.size,
                "root": tree.root,
                "verified": fine,
                "problem": tree.problem,
                "authorisations": sends.authorisations if sends else None,
                "breaches": sends.breaches if sends else None,
                "listed": [
                    {"seq": one.seq, "message": one.message_id, "subject": one.subject, "fault": str(one.fault)}
                    for one in breaches
                ],
            }
        )
    else:
        print(f"entries         {tree.size}")
        print(f"root            {tree.root}")
        print(f"tree            {tree.problem or 'whole'}")
        print(f"authorisations  {_judgement(sends)}")
        for one in breaches:
            print(f"  entry {one.seq}, message {one.message_id}: {one.fault}")
    if not fine:
        note("nurture: the ledger does not hold; stop sending (nurture stop) and keep a copy of the database as it is")
        raise typer.Exit(int(Exit.ERROR))


def _judgement(sends: object) -> str:
    from consent.replay import Replay

    if not isinstance(sends, Replay):
        return "not checked: the tree is broken"
    return f"{sends.authorisations} checked, {sends.breaches} without a consent that carries them"


def checkpoint(json: Json = False) -> None:
    """Recompute the ledger, sign it and deliver the checkpoint to every target (checkpoint_targets).

    Exit 1 when the ledger does not hold (then nothing is signed) or a target failed.

    Example: nurture audit checkpoint.
    """
    from consent import ledger
    from nurture.audit import anchoring
    from nurture.audit.targets import open_targets
    from nurture.store.workspace import open_workspace

    at = moment(None)
    with open_workspace() as workspace:
        targets = open_targets(workspace)
        with workspace.store.read() as connection:
            tree = ledger.verify(connection)
        if not tree.ok:
            fail(f"nothing was signed: {tree.problem}; stop sending (nurture stop) and keep a copy of the database")
        anchor = anchoring.sign(workspace, at=at)
        done = anchoring.deliver_all(workspace, targets, anchor, at=at)
    failed = [one for one in done if not one.taken]
    if json:
        told = [{"target": one.target, "taken": one.taken, "detail": one.detail} for one in done]
        print_json({"size": anchor.size, "note": anchor.note, "public_key": anchor.public_key, "deliveries": told})
    else:
        print(anchor.note, end="")
        note(f"public key: {anchor.public_key}")
        for one in done:
            note(f"{'delivered' if one.taken else 'FAILED'}: {one.target} ({one.detail})")
    if not targets:
        note("No target is configured (checkpoint_targets): keep this note where the operator cannot change it.")
    if failed:
        fail(f"{len(failed)} of {len(targets)} targets do not have checkpoint {anchor.size}; it is tried again hourly")


def status(json: Json = False) -> None:
    """Show the last checkpoint, how much it leaves exposed, and which target has what.

    Example: nurture audit status --json.
    """
    from nurture.audit import anchoring
    from nurture.audit.targets import open_targets
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        told = anchoring.status(connection, open_targets(workspace), at=moment(None))
    if json:
        print_json(told)
        return
    last = told["checkpoint"]
    print(f"entries     {told['entries']}")
    print(f"checkpoint  {_last(last)}")
    print(f"exposed     {told['exposed_entries']} entries that no target vouches for")
    for one in told["targets"]:
        print(f"target      {one['target']}: {_fate(one)}")
    if not told["targets"]:
        note("No target is configured (checkpoint_targets): whoever owns this machine can rewrite everything.")


def _last(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none yet; run: nurture audit checkpoint"
    return f"{last['size']} entries, {last['age_seconds'] // 60} minutes ago, {last['entries_since']} entries since"


def _fate(target: dict[str, Any]) -> str:
    last = target["last"]
    if last is None:
        return "nothing delivered yet"
    return (
        f"has {target['delivered_size']} entries; last {last['outcome']} ({last['detail']}) {last['at']:%Y-%m-%d %H:%M}"
    )


def export(  # noqa: PLR0913, PLR0917  one argument per option
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder for the export.")],
    period: Annotated[str, typer.Option(help="2026, 2026-11, 2026-01-01..2026-06-30; default: all of it.")] = "",
    controller: Annotated[str, typer.Option(help="Only this brand; default: all.")] = "",
    person: Annotated[
        list[str] | None, typer.Option(help="Only this person: number of the lead, or random id (repeatable).")
    ] = None,
    reveal: Show = False,
    by: naming.By = "",
    second: Second = "",
    reason: Reason = "",
    separator: Annotated[str, typer.Option("--separator", help="Between CSV cells; ';' for a German Excel.")] = ",",
    lang: Language = "de",
    at: At = None,
    json: Json = False,
) -> None:
    """Write everything an auditor needs into a folder: the ledger to verify, registers and lists to read.

    Pseudonymous unless --reveal. Check it, anywhere: cd DIR && python -B -m consent.verify .

    Example: nurture audit export audit-2026 --period 2026.
    """
    from nurture.audit import export as exporting
    from nurture.audit.scope import Scope
    from nurture.audit.scope import period as read_period
    from nurture.store.workspace import open_workspace

    if separator not in {",", ";"}:
        fail("--separator is , or ;", Exit.USAGE)
    with open_workspace() as workspace:
        since, until = read_period(period, workspace.settings.tz) if period else (None, None)
        with workspace.store.read() as connection:
            subjects = tuple(_subject(connection, one) for one in person or ())
        scope = Scope(since, until, controller or None, subjects, _revealed(reveal, by, second, reason))
        order = _order(by, at, lang, separator)
        made = exporting.make(workspace, folder, scope, order)
    if sys.stderr.isatty():
        note("")
    told = {
        "folder": str(made.folder),
        "size": made.size,
        "root": made.root,
        "entry": made.entry,
        "verified": made.verified,
        "figures": made.figures,
    }
    if json:
        print_json(told)
    else:
        print(f"{made.size} entries, root {made.root}, entered as {made.entry}: {made.folder}")
        note(f"Check it: cd {made.folder} && python -B -m consent.verify .")
    if not made.verified:
        fail("the ledger does not hold; the export says what. Stop sending (nurture stop) and keep a copy")


def proof(  # noqa: PLR0913, PLR0917  one argument per option
    consent: Annotated[int | None, typer.Argument(metavar="[CONSENT]", help="Ledger entry of the consent.")] = None,
    message: Annotated[str, typer.Option("--message", help="Number of a mail that was sent, in place of it.")] = "",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File ending in .pdf, .html, .txt or .json; default: text.")
    ] = None,
    lang: Language = "de",
    reveal: Show = False,
    by: naming.By = "",
    second: Second = "",
    reason: Reason = "",
    at: At = None,
) -> None:
    """Print the proof of one consent, or of one mail: wording, both steps, inclusion proof, checkpoint.

    Example: nurture audit proof 17 -o proof.pdf.
    """
    from nurture.audit import proof as proving
    from nurture.audit.scope import Scope
    from nurture.store.workspace import open_workspace

    if (consent is None) == (not message):
        fail("name one thing: the ledger entry of a consent, or --message with the number of a mail", Exit.USAGE)
    if out is not None and out.suffix not in {".pdf", ".html", ".txt", ".json"}:
        fail("-o names a file ending in .pdf, .html, .txt or .json", Exit.USAGE)
    if out is not None and not out.parent.is_dir():
        # Before the ledger says that a proof was taken out.
        fail(f"there is no folder {out.parent}")
    scope, order = Scope(reveal=_revealed(reveal, by, second, reason)), _order(by, at, lang, ",")
    with open_workspace() as workspace:
        if consent is not None:
            page = proving.of_consent(workspace, consent, scope, order)
        else:
            page = proving.of_mail(workspace, message, scope, order)
    if out is None:
        from nurture.audit import rendering

        print(rendering.plain(page.title, page.blocks), end="")
        return
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        if os.name == "posix":
            # A file that was there keeps its mode, and others may have been let in.
            os.fchmod(handle, 0o600)
        file.write(_rendered(page, out.suffix))
    note(f"written: {out}")


def _rendered(page: Page, suffix: str) -> bytes:
    """Give a proof in the form that a file's ending asks for."""
    from json import dumps

    from nurture.audit import proof as proving
    from nurture.audit import rendering

    if suffix == ".pdf":
        return proving.paper(page)
    if suffix == ".html":
        return rendering.page(page.title, page.blocks, language=page.language).encode()
    if suffix == ".json":
        return (dumps(page.data, ensure_ascii=False, indent=2) + "\n").encode()
    return rendering.plain(page.title, page.blocks).encode()


def _revealed(reveal: bool, by: str, second: str, reason: str) -> Reveal | None:
    """Give why addresses are shown, or None; half of it is refused."""
    from nurture.audit.scope import Reveal

    if reveal:
        asked = {"--by": by, "--second": second, "--reason": reason}
        missing = [name for name, said in asked.items() if not said.strip()]
        if missing:
            fail(f"--reveal needs {', '.join(missing)} as well: two people stand for it, and a reason", Exit.USAGE)
        return Reveal(by, second, reason)
    if second or reason:
        fail("--second and --reason belong to --reveal", Exit.USAGE)
    return None


def _order(by: str, at: str | None, language: str, separator: str) -> Order:
    from nurture.audit.export import Order
    from nurture.cli.version import VERSION

    if language not in {"de", "en"}:
        fail("--lang is de or en", Exit.USAGE)
    return Order(naming.short(by), happened(at), VERSION, language, separator, _progress)


def _progress(what: str, done: int, of: int) -> None:
    """Overwrite one line on a terminal, say nothing elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r  {what}: {done:,} of {of:,}   ")
        sys.stderr.flush()


def _subject(connection: Connection, person: str) -> str:
    """Give the random id of a person named by lead number or id."""
    from sqlalchemy import select

    from consent.schema import identity
    from nurture.store.tables import lead

    if person.isdecimal():
        found = connection.execute(select(lead.c.subject).where(lead.c.id == int(person)))
    else:
        found = connection.execute(select(identity.c.subject).where(identity.c.subject == person))
    subject: str | None = found.scalar_one_or_none()
    if subject is None:
        fail("there is no such person; name the number of a lead, or the random id from 'nurture consent show'")
    return subject
