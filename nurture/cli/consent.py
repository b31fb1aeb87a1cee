"""What can be typed about consent? Show where one person stands, end it, list wordings and what grows old."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nurture.cli import consent_keys, consent_taking, naming
from nurture.cli.output import Exit, fail, happened, moment, note, print_json, table

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from consent.addresses import Address

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LeadId = Annotated[int | None, typer.Argument(metavar="[LEAD]", help="Number of the lead.")]
Subject = Annotated[str, typer.Option("--subject", help="Random id of the person, in place of the lead's number.")]
At = Annotated[str | None, typer.Option(help="Time it happened, ISO 8601; default is now.")]


def register(app: typer.Typer) -> None:
    """Add `nurture consent ...`."""
    verbs = typer.Typer(help="Who may be written to, for what, and since when.", no_args_is_help=True)
    verbs.command("show")(show)
    verbs.command("withdraw")(withdraw)
    verbs.command("search")(search)
    verbs.command("texts")(texts)
    verbs.command("aging")(aging)
    consent_taking.register(verbs)
    consent_keys.register(verbs)
    app.add_typer(verbs, name="consent")


def show(lead: LeadId = None, subject: Subject = "", json: Json = False) -> None:
    """Show where a person stands and every ledger entry about them. Example: nurture consent show 42."""
    from consent import ledger, states
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        person = _subject(connection, lead, subject)
        standings = states.standings(connection, person)
        entries = list(ledger.read(connection, subject=person))
    if json:
        print_json(
            {
                "subject": person,
                "consents": [{**vars(one), "state": str(one.state)} for one in standings],
                "entries": [vars(one) for one in entries],
            }
        )
        return
    table(
        f"subject {person}",
        ["purpose", "controller", "state", "since (UTC)", "last used", "entry"],
        [
            [one.purpose, one.controller, str(one.state), _short(one.since), _short(one.used_at), one.seq]
            for one in standings
        ],
    )
    table("", ["entry", "time (UTC)", "what"], [[one.seq, _short(one.at), one.type] for one in entries])
    if not entries:
        note("Nothing in the ledger about this person: never asked, never imported with proof.")


def withdraw(
    lead: LeadId = None,
    subject: Subject = "",
    by_address: Annotated[
        bool, typer.Option("--address", help="Name the person by an address, read from stdin.")
    ] = False,
    purpose: Annotated[list[str] | None, typer.Option(help="Only this one (repeatable); default: all.")] = None,
    route: Annotated[str, typer.Option(help="How it reached us: operator, mailto, api, crm, objection.")] = "operator",
    by: naming.By = "",
    at: At = None,
) -> None:
    """End a person's consent at once, tracking included. Example: nurture consent withdraw 42.

    It ends for every lead that was merged with this one, too. With --address, and nobody known by it, the
    address is suppressed: no later import brings it in. A
    --purpose that has no wording, and that the person never gave, is refused with the names of those there are.
    """
    from consent import identity, ledger, lookup
    from nurture.leads.rights import ending
    from nurture.store.workspace import open_workspace

    if route not in {"operator", "mailto", "api", "crm", "objection"}:
        fail("--route is one of operator, mailto, api, crm, objection", Exit.USAGE)
    if by_address and (lead is not None or subject):
        fail("name one person: the number of the lead, --subject, or --address", Exit.USAGE)
    told: dict[str, Any] = {
        "purposes": purpose,
        "route": route,
        "actor": naming.operator(by),
    }
    address, unknown = _typed_address() if by_address else None, False
    with open_workspace() as workspace, workspace.store.write() as connection:
        controller = workspace.settings.controller
        told |= {"controller": controller, "at": happened(at)}
        if address is not None:
            ledger.lock(connection)
            lookup.adopt(connection, workspace.keyring, [address])
            holder = identity.find(connection, workspace.keyring, address)
            _refuse_unknown(connection, purpose, holder, controller)
            done = ending.withdraw_address(connection, workspace.keyring, address, **told)
            unknown = identity.find(connection, workspace.keyring, address) is None
        else:
            person = _subject(connection, lead, subject)
            _refuse_unknown(connection, purpose, person, controller)
            done = ending.withdraw(connection, subject=person, **told)
    if done:
        print(f"withdrawn, ledger entry {done[0]}")
    elif unknown and not purpose:
        print("suppressed: nobody is known by this address, and no import brings it in")
    else:
        print("nothing to withdraw: it was withdrawn before, or never given")


def search(
    address: Annotated[
        str, typer.Argument(metavar="[ADDRESS]", help="Default: read from stdin, as no list of processes shows it.")
    ] = "-",
) -> None:
    """Find a lead by address; prints its number, never the address. Example: nurture consent search < address.txt.

    For somebody who is no lead yet, such as before the confirmation, it prints the random id that --subject takes.
    """
    from sqlalchemy import select

    from consent import identity
    from nurture.store.tables import lead
    from nurture.store.workspace import open_workspace

    wanted = _typed_address(address)
    with open_workspace() as workspace, workspace.store.read() as connection:
        subject = identity.find(connection, workspace.keyring, wanted)
        number = connection.execute(select(lead.c.id).where(lead.c.subject == subject)).scalar_one_or_none()
    if subject is None:
        fail("nobody is known by this address")
    if number is None:
        note("no lead yet; this is the random id that --subject takes")
    print(subject if number is None else number)


def aging(json: Json = False, at: At = None) -> None:
    """Name consents unused for 12 months; after 24 they are stale. Example: nurture consent aging --json."""
    from sqlalchemy import select

    from consent import aging as ages
    from consent.identity import chunks
    from nurture.store.tables import lead
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        found = list(ages.aging(connection, controller=workspace.settings.controller, at=moment(at)))
        numbers: dict[str, int] = {}
        for chunk in chunks(one.subject for one in found):
            rows = connection.execute(select(lead.c.subject, lead.c.id).where(lead.c.subject.in_(chunk)))
            numbers.update((row.subject, row.id) for row in rows)
    stale = sum(one.stale for one in found)
    if json:
        people = [{"lead": numbers.get(one.subject), **vars(one)} for one in found]
        print_json({"warned": len(found) - stale, "stale": stale, "consents": people})
        return
    table(
        f"{len(found) - stale} unused for 12 months, {stale} stale",
        ["lead", "purpose", "last send (UTC)", "stale from", "stale"],
        [
            [numbers.get(one.subject), one.purpose, _short(one.last_use), _short(one.stale_from), one.stale]
            for one in found
        ],
    )


def texts(json: Json = False) -> None:
    """List the wordings people agree to, with the hashes the ledger names. Example: nurture consent texts."""
    from consent import texts as wordings
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as connection:
        listed = wordings.overview(connection)
    if json:
        print_json(listed)
        return
    for one in listed:
        print(
            f"{one['controller']}/{one['purpose']}/{one['language']} version {one['version']}, "
            f"published {one['published_at']:%Y-%m-%d}\n  sha256 {one['sha256']}\n  {one['body']}\n"
        )
    if not listed:
        note("No wording is published yet.")


def _subject(connection: Connection, lead_id: int | None, subject: str) -> str:
    from sqlalchemy import select

    from consent.schema import identity
    from nurture.store.tables import lead

    if (lead_id is None) == (not subject):
        fail("name one person: the number of the lead, or --subject", Exit.USAGE)
    if subject:
        found = connection.execute(select(identity.c.subject).where(identity.c.subject == subject))
    else:
        found = connection.execute(select(lead.c.subject).where(lead.c.id == lead_id))
    person: str | None = found.scalar_one_or_none()
    if person is None:
        fail("there is no such lead; imports, handovers and explain name them by number")
    return person


def _refuse_unknown(connection: Connection, purposes: list[str] | None, person: str | None, controller: str) -> None:
    """Stop at a purpose that is neither published nor held: a slip of the pen must not pass for a withdrawal."""
    from consent import states, texts

    known = {str(row["purpose"]) for row in texts.overview(connection) if row["controller"] == controller}
    if person is not None:
        known |= {one.purpose for one in states.standings(connection, person, controller=controller)}
    if set(purposes or ()) - known:
        # What was typed is not repeated: it may be anything, an address too.
        there = ", ".join(sorted(known)) or "none"
        fail(f"nothing was withdrawn: there is no such --purpose; there are: {there}", Exit.USAGE)


def _short(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _typed_address(text: str = "-") -> Address:
    """Read an address, from stdin unless given."""
    from consent.addresses import Address
    from nurture.leads import hygiene

    try:
        return Address.of(hygiene.check(sys.stdin.readline() if text == "-" else text))
    except hygiene.BadAddress as error:
        fail(str(error), Exit.USAGE)
