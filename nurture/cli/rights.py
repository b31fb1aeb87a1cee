"""What can be typed when a person asks? Find them, take their record out, restrict, erase, merge; who waits?"""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003  Typer reads it when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from nurture.cli import naming
from nurture.cli.output import Exit, fail, happened, moment, note, print_json, table

if TYPE_CHECKING:
    from collections.abc import Callable

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LeadNumber = Annotated[int, typer.Argument(metavar="LEAD", help="Its number.")]
At = Annotated[str | None, typer.Option(help="Time it happened, ISO 8601; default is now.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def add_verbs(verbs: typer.Typer) -> None:
    """Add the verbs of `nurture lead` that serve a person's rights."""
    for verb in (find, list_, export, erase, restrict, unrestrict, object_, merge, request, requests, retention):
        verbs.command(verb.__name__.rstrip("_"))(verb)


def export(
    lead: LeadNumber,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder; default: exports in the home folder.")
    ] = None,
    by: naming.By = "",
    at: At = None,
    json: Json = False,
) -> None:
    """Write everything stored about a person: one JSON file and one PDF that agree (GDPR Art. 15, 20).

    The export itself is entered in the ledger. Example: nurture lead export 42 -o /media/stick.
    """
    from nurture.leads.rights import exporting, group
    from nurture.store.workspace import open_workspace

    when = happened(at)
    with open_workspace() as workspace:
        with workspace.store.write() as connection:
            subject = group.subject_of(connection, lead)
            record = exporting.access(connection, workspace, subject, route="cli", actor=naming.operator(by), at=when)
        files = exporting.write(record, out or workspace.home / exporting.FOLDER, f"lead-{lead}-{when:%Y%m%d-%H%M%S}")
    if json:
        print_json({"lead": lead, "json": files.json, "pdf": files.pdf})
        return
    print(f"{files.json}\n{files.pdf}")


def find(json: Json = False) -> None:
    """Give the number of the lead with an address; the address is typed or piped in, never an argument.

    An argument would stand in the shell's history. Example: nurture lead find < address.txt.
    """
    from nurture.leads import register
    from nurture.store.workspace import open_workspace

    asked = sys.stdin.isatty()
    address = typer.prompt("Address", hide_input=True, err=True) if asked else sys.stdin.readline()
    with open_workspace() as workspace, workspace.store.read() as connection:
        found = register.by_address(connection, workspace.keyring, address.strip())
        number = None if found is None else register.standing(connection, [found]).get(found, found)
    if number is None:
        fail("no lead has this address")
    if json:
        print_json({"lead": number})
    else:
        print(number)


def list_(
    stage: Annotated[str | None, typer.Option(help="Only this stage, such as mql.")] = None,
    temperature: Annotated[str | None, typer.Option(help="Only cold, warm or hot.")] = None,
    mailable: Annotated[
        bool | None, typer.Option("--mailable/--not-mailable", help="Only who may be written to, or only who may not.")
    ] = None,
    merged: Annotated[bool, typer.Option("--merged", help="Those that were merged into another, too.")] = False,
    after: Annotated[int, typer.Option(help="Go on behind this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """List leads by number, without names. Example: nurture lead list --temperature hot --mailable."""
    from nurture.leads import listing
    from nurture.leads.stages import Stage
    from nurture.store.workspace import open_workspace

    if stage is not None and stage not in set(Stage):
        fail(f"there is no stage {stage!r}; choose one of {', '.join(Stage)}", Exit.USAGE)
    if temperature not in {None, "cold", "warm", "hot"}:
        fail("--temperature is cold, warm or hot", Exit.USAGE)
    with open_workspace() as workspace, workspace.store.read() as connection:
        found = listing.listed(
            connection,
            controller=workspace.settings.controller,
            stage=stage,
            temperature=temperature,
            mailable=mailable,
            merged=merged,
            after=after,
            limit=limit,
        )
    if json:
        print_json([vars(one) for one in found])
        return
    rows = [(one.lead, one.stage, one.temperature, one.score, "yes" if one.mailable else "no") for one in found]
    table("", ["lead", "stage", "temperature", "score", "mailable"], rows)
    if len(found) == limit:
        note(f"There may be more: nurture lead list --after {found[-1].lead}")


def erase(
    lead: LeadNumber,
    keep_suppression: Annotated[
        bool,
        typer.Option(
            "--keep-suppression/--forget-suppression",
            help="Keep the address barred by its keyed hash, so that no import brings it back.",
        ),
    ] = True,
    hold: Annotated[
        bool, typer.Option("--hold", help="Keep the proof of consent, restricted, until claims have lapsed.")
    ] = False,
    reason: Annotated[str, typer.Option(help="One word for the ledger, such as request.")] = "request",
    yes: Yes = False,
    by: naming.By = "",
    at: At = None,
    json: Json = False,
) -> None:
    """Destroy everything about a person for good: rows, keys, evidence, mails, records, logs, free pages (Art. 17).

    A run that was killed is finished by the next one, or at night. Example: nurture lead erase 42 --hold.
    """
    from nurture.leads import rights
    from nurture.leads.rights import erasing, group
    from nurture.store.workspace import open_workspace

    _sure(f"Erase lead {lead}? Nothing brings it back.", yes)
    when = happened(at)
    with open_workspace() as workspace:
        with workspace.store.write() as connection:
            pending = rights.request_erasure(
                connection,
                workspace,
                group.subject_of(connection, lead),
                route="cli",
                actor=naming.operator(by),
                at=when,
                reason=naming.reason(reason),
                keep_suppression=keep_suppression,
                hold=hold,
            )
        done = erasing.carry_out(workspace, [pending.request_id], at=when)
    if json:
        print_json({"lead": lead, **vars(done)})
    else:
        print(f"erased: {done.rows} rows, {done.files} files")
        if done.held:
            print("the proof of consent is held, restricted, until claims have lapsed")
    for path in done.left:
        note(f"still names the person, and is not ours to change: {path}")
    note("Outside of this folder: backups, exports you carried away, lists you imported, what sales received.")
    if done.left:
        raise typer.Exit(int(Exit.CHECK_FAILED))


def restrict(lead: LeadNumber, by: naming.By = "", at: At = None) -> None:
    """Keep a person's data but use it for nothing: no mail, no score, no handover (Art. 18).

    Example: nurture lead restrict 42.
    """
    from nurture.leads.rights import restricting

    _change(lead, restricting.restrict, by, at, ("restricted", "was restricted before"))


def unrestrict(lead: LeadNumber, by: naming.By = "", at: At = None) -> None:
    """End a restriction; tell the person first. Example: nurture lead unrestrict 42."""
    from nurture.leads.rights import restricting

    _change(lead, restricting.unrestrict, by, at, ("no longer restricted", "was not restricted"))


def _change(lead: int, what: Callable[..., bool], by: str, at: str | None, words: tuple[str, str]) -> None:
    from nurture.leads.rights import group
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.write() as connection:
        subject = group.subject_of(connection, lead)
        zone = workspace.settings.tz
        new = what(connection, subject, route="cli", actor=naming.operator(by), zone=zone, at=happened(at))
    print(f"lead {lead} {words[not new]}")


def object_(lead: LeadNumber, by: naming.By = "", at: At = None) -> None:
    """Note an objection to direct marketing: no mail and no score any more (Art. 21).

    Example: nurture lead object 42.
    """
    from nurture.leads.rights import group, restricting
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.write() as connection:
        new = restricting.object_(
            connection,
            group.subject_of(connection, lead),
            controller=workspace.settings.controller,
            actor=naming.operator(by),
            at=happened(at),
        )
    print(f"lead {lead}: {'every consent ended, address barred, no score' if new else 'had objected before'}")


def merge(
    goes: Annotated[int, typer.Argument(metavar="GOES", help="Number of the lead that goes.")],
    stays: Annotated[int, typer.Argument(metavar="STAYS", help="Number of the lead that stays.")],
    reason: Annotated[str, typer.Option(help="One word for the ledger.")] = "same_person",
    yes: Yes = False,
    by: naming.By = "",
    at: At = None,
    json: Json = False,
) -> None:
    """Join two leads that are one person; of two words on one purpose the more restrictive wins, on both.

    A consent given for one address never permits mail to the other. It cannot be undone, so it asks first.
    Example: nurture lead merge 42 17.
    """
    from nurture.leads.rights import merging
    from nurture.store.workspace import open_workspace

    _sure(f"Merge lead {goes} into lead {stays}? Nothing parts them again.", yes)
    with open_workspace() as workspace, workspace.store.write() as connection:
        told = {"reason": naming.reason(reason), "actor": naming.operator(by)}
        done = merging.merge(connection, workspace, goes, stays, **told, at=happened(at))
    if json:
        print_json({"goes": goes, "stays": stays, **vars(done)})
        return
    ended = f", {len(done.withdrawn)} withdrawals carried over" if done.withdrawn else ""
    print(f"lead {goes} is merged into lead {stays} (ledger entry {done.entry}), {done.events} events moved{ended}")


def request(
    lead: LeadNumber,
    kind: Annotated[str, typer.Argument(help="access, erase or restrict.")],
    received: Annotated[str | None, typer.Option(help="When it came, ISO 8601; default is now.")] = None,
    route: Annotated[str, typer.Option(help="mail, letter, phone, ...")] = "mail",
    by: naming.By = "",
) -> None:
    """Take down a person's request that cannot be answered at once; its month runs from the day it came.

    Example: nurture lead request 42 access --received 2026-11-02 --route letter.
    """
    from nurture.leads.rights import group
    from nurture.leads.rights.requests import Kind, take_down
    from nurture.store.workspace import open_workspace

    if kind not in {"access", "erase", "restrict"}:
        fail("a request is access, erase or restrict", Exit.USAGE)
    with open_workspace() as workspace, workspace.store.write() as connection:
        zone = workspace.settings.tz
        pending = take_down(
            connection,
            group.subject_of(connection, lead),
            Kind(kind),
            route=route[:16],
            actor=naming.operator(by),
            zone=zone,
            at=happened(received),
        )
    print(f"request {pending.request_id}: answer before {pending.due_at.astimezone(zone):%d.%m.%Y %H:%M}")


def requests(json: Json = False) -> None:
    """List requests that wait for their answer, the most urgent first. Example: nurture lead requests --json."""
    from nurture.leads.rights.requests import waiting
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        found = waiting(connection)
        zone = workspace.settings.tz
    if json:
        print_json([vars(one) for one in found])
        return
    rows = [(one.request_id, one.lead, one.kind, f"{one.due_at.astimezone(zone):%d.%m.%Y %H:%M}") for one in found]
    table("", ["request", "lead", "kind", "answer before"], rows)


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    at: At = None,
    json: Json = False,
) -> None:
    """Drop what is older than policies/retention.yaml says, as the nightly run does; counts by class.

    Example: nurture lead retention --dry-run --json.
    """
    from nurture.leads.rights import retention as spans
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace:
        counts = (spans.overview if dry_run else spans.run)(workspace, at=moment(at) if dry_run else happened(at))
    if json:
        print_json(counts)
        return
    table("Would go" if dry_run else "Gone", ["class", "count"], sorted(counts.items()))


def _sure(question: str, yes: bool) -> None:
    """Ask before what cannot be undone; stop at anything but yes, and say how a script answers."""
    try:
        answer = yes or typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        note("")
        fail("nobody is there to answer; add --yes where that is meant", Exit.USAGE)
    if not answer:
        raise typer.Abort
