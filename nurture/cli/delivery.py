"""See how mail fares, and read what the outbox holds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, get_args

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from nurture.delivery.states import State
    from nurture.delivery.status import Status

LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def register(app: typer.Typer) -> None:
    """Add `delivery` and `outbox`."""
    delivery = typer.Typer(no_args_is_help=True, help="How mail fares between us and the provider.")
    delivery.command("status")(status)
    delivery.command("close-circuit")(close_circuit)
    delivery.command("reconcile")(reconcile)
    delivery.command("unknown")(unknown)
    delivery.command("failed")(failed)
    delivery.command("resend")(resend)
    delivery.command("gap")(gap)
    delivery.command("home")(home)
    app.add_typer(delivery, name="delivery")
    outbox = typer.Typer(no_args_is_help=True, help="Mail in the local outbox (NURTURE_HOME/outbox).")
    outbox.command("list")(list_outbox)
    outbox.command("show")(show)
    app.add_typer(outbox, name="outbox")


def status(as_json: JsonOption = False) -> None:
    """Messages by state; in doubt and unknown; what is stopped; how the provider fares."""
    from nurture import clock
    from nurture.cli.output import print_json, table
    from nurture.delivery import brakes, policy
    from nurture.delivery import status as delivery
    from nurture.store.workspace import open_workspace

    with open_workspace() as ws, ws.store.read() as conn:
        zone = ws.settings.tz
        found, marked = delivery.status(conn), brakes.gap_marked(conn)
        limits = policy.load(ws.settings.policies)
        figures = delivery.figures(conn, limits, ws.settings.provider, clock.now(), ws.settings.tz)
    if as_json:
        print_json({**found.as_dict(), "figures": figures.as_dict()})
        return
    rows = [(kind, state, count) for kind, counts in found.messages.items() for state, count in sorted(counts.items())]
    if rows:
        table("Messages", ("kind", "state", "count"), rows)
    else:
        print("no messages yet")
    print(f"in doubt {found.in_doubt}, unknown {found.unknown}")
    if found.messages:
        print(f"of the last marketing mails in doubt or unknown: {figures.doubts}")
        print(f"complaints: {figures.complaints}")
    if figures.ramp is not None:
        print(f"ramp: {figures.ramp}")
    for refusal in found.refusals:
        print(refused(zone=zone, **refusal))
    for line in _standing(found, gap_marked=marked):
        print(line)
    if found.forged:
        print(f"webhook posts with a wrong signature, turned away: {found.forged}")


def refused(*, provider: str, kind: str, code: str, mails: int, next_try: datetime, zone: ZoneInfo) -> str:
    """Say what waits after a refusal, why, and until when."""
    noun = "mail" if mails == 1 else "mails"
    again = f"{next_try.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
    return f"refused by {provider} for now: {mails} {kind} {noun} ({code}); next try {again}"


def _standing(found: Status, *, gap_marked: bool) -> Iterator[str]:
    """Say what stands still, each with what a person can do; and how the providers fare."""
    from nurture.delivery import remedies

    if not found.stands:
        yield "nothing is stopped"
    for scope in found.stopped:
        yield f"stopped: {scope}\n  {remedies.of_stop(scope)}"
    for brake in found.brakes:
        stops = brake["level"] == "stop"
        said = f"{brake['name']} {brake['provider']}".rstrip()
        yield f"{'brake' if stops else 'warning'}: {said}: {brake['reason']}"
        if stops:
            yield f"  {remedies.of_brake(brake['name'], brake['provider'], gap_marked=gap_marked)}"
    for circuit in found.circuits:
        yield f"{circuit['provider']}: {circuit['state']} {circuit['reason']}".rstrip()
        if circuit["state"] != "closed":
            yield f"  {remedies.of_circuit(circuit['provider'], circuit['reason'])}"


def close_circuit(provider: Annotated[str, typer.Argument(help="outbox, sendgrid or smtp")]) -> None:
    """Send again after a wrong key, sandbox mode or the like has been mended."""
    from nurture import clock
    from nurture.cli.output import Exit, fail
    from nurture.delivery import circuit
    from nurture.settings import Settings
    from nurture.store.workspace import open_workspace

    known = get_args(Settings.model_fields["provider"].annotation)
    if provider not in known:
        fail(f"there is no provider {provider!r}; choose one of {', '.join(known)}", Exit.USAGE)
    with open_workspace() as ws, ws.store.write() as conn:
        closed = circuit.close(conn, provider, clock.now())
    print(f"{provider}: {'closed' if closed else 'was not open'}")


def reconcile(as_json: JsonOption = False) -> None:
    """Look into the doubts now: by the provider's events, and by what the provider can show."""
    from nurture import clock
    from nurture.cli.output import print_json
    from nurture.delivery import brakes
    from nurture.delivery import status as delivery
    from nurture.delivery.provider import open_provider
    from nurture.delivery.reconciling import look_into
    from nurture.store.workspace import open_workspace

    with open_workspace() as ws:
        counts = look_into(ws, open_provider(ws.settings, ws.keyring), at=clock.now())
        with ws.store.read() as conn:
            found, marked = delivery.status(conn), brakes.gap_marked(conn)
    if as_json:
        print_json({"accepted": counts.accepted, "unknown": counts.unknown})
        return
    print(f"proven to be accepted: {counts.accepted}; given up as unknown: {counts.unknown}")
    for line in _standing(found, gap_marked=marked):
        print(line)


def unknown(limit: LimitOption = 200, as_json: JsonOption = False) -> None:
    """List the mails in doubt and unknown, by their ids."""
    from nurture.delivery.deciding import DOUBTFUL

    _list("In doubt and unknown", DOUBTFUL, limit, as_json)


def failed(limit: LimitOption = 200, as_json: JsonOption = False) -> None:
    """List the mails that were set aside: refused for good, not to be written, or fatal to their workers."""
    from nurture.delivery.deciding import SET_ASIDE

    _list("Set aside", SET_ASIDE, limit, as_json)


def _list(title: str, states: Sequence[State], limit: int, as_json: bool) -> None:
    from nurture.cli.output import note, print_json, table
    from nurture.delivery.deciding import messages
    from nurture.store.workspace import open_workspace

    with open_workspace() as ws, ws.store.read() as conn:
        found = messages(conn, states, limit=limit)
    if as_json:
        print_json([one.as_dict() for one in found])
        return
    if not found:
        note("none")
        return
    heads = ("message", "lead", "kind", "sequence/step", "state", "reason", "since (UTC)")
    table(title, heads, [
        (one.message, one.lead, one.kind, f"{one.sequence or '-'}/{one.step}", one.state, one.reason,
         "" if one.since is None else f"{one.since:%Y-%m-%d %H:%M}")
        for one in found
    ])  # fmt: skip


def resend(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE", help="as 'delivery unknown' gives it")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who ask later.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell whether it can be done; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Send a doubtful marketing mail once more, although its reader may have it. It goes through every gate."""
    from nurture import clock
    from nurture.cli.output import fail, note
    from nurture.cli.switch import actor, said
    from nurture.delivery import deciding
    from nurture.store.workspace import open_workspace

    why = said(reason)
    with open_workspace() as ws:
        again = partial(
            deciding.resend,
            public_id=message_id,
            provider=ws.settings.provider,
            actor=actor(),
            reason=why,
            at=clock.now(),
        )
        with ws.store.engine.connect().execution_options(nurture_writes=True) as conn, conn.begin() as transaction:
            again(conn)
            transaction.rollback()
        if dry_run:
            note(f"{message_id} can be sent again; nothing was written")
            return
        if not yes and not typer.confirm("Its reader may get it twice. Send it again?", err=True):
            fail("nothing was done")
        with ws.store.write() as conn:
            fresh = again(conn)
    print(f"queued: {fresh}")


def gap(
    since: Annotated[str, typer.Option("--since", metavar="T", help="Of when the restored state is (ISO 8601).")],
) -> None:
    """Say that the database was restored: put all that may have been sent since into doubt. For PostgreSQL."""
    from nurture import clock
    from nurture.cli.backup import tell_gap
    from nurture.cli.output import moment
    from nurture.sequences.restoring import mark_gap
    from nurture.store.workspace import open_workspace

    with open_workspace() as ws:
        count = mark_gap(ws, since=moment(since), at=clock.now())
    print(f"in doubt: {count} messages that may have been sent since")
    tell_gap()


def home(
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who ask later.")],
    original: Annotated[bool, typer.Option("--original", help="This one sends; no other does.")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Another one sends; forget what it planned.")] = False,
) -> None:
    """Say of two databases that may be the same which one sends, after the brake `copied`."""
    from nurture import clock
    from nurture.cli.output import Exit, fail
    from nurture.cli.switch import actor, said
    from nurture.delivery import brakes, homes, switch
    from nurture.store.workspace import open_workspace

    if original == copy:
        fail("say which: --original or --copy", Exit.USAGE)
    why, at = said(reason), clock.now()
    with open_workspace() as ws:
        with ws.store.write() as conn:
            if copy:
                homes.rename(conn)
                switch.stop(conn, switch.ALL, actor(), f"a copy: {why}", at)
            marker = homes.adopt(conn)
            brakes.release(conn, brakes.Brake.COPIED, brakes.EVERY_PROVIDER, actor(), why, at)
        homes.write(ws.home, marker)
    print("this database is the original: it sends" if original else "this database is a copy: all mail is stopped")


def list_outbox(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List mails with their subjects; `show` opens one."""
    from nurture.cli.output import note, print_json, table
    from nurture.delivery.outbox import newest
    from nurture.settings import Settings

    found = newest(Settings().home / "outbox", limit=limit)
    if as_json:
        print_json([{"id": mail.public_id, "date": mail.date, "subject": mail.subject} for mail in found])
        return
    if not found:
        note("the outbox is empty; mail lands here while the provider is `outbox`")
        return
    table("Outbox", ("id", "date", "subject"), [(mail.public_id, mail.date, mail.subject) for mail in found])


def show(
    public_id: Annotated[str, typer.Argument(help="as `outbox list` gives it")],
    html: Annotated[bool, typer.Option("--html", help="The HTML part instead of the text.")] = False,
) -> None:
    """Print one mail: its headers and its text."""
    from nurture.cli.output import fail
    from nurture.delivery.outbox import read
    from nurture.settings import Settings

    mail = read(Settings().home / "outbox", public_id)
    if mail is None:
        fail(f"the outbox holds no message {public_id!r}; `nurture outbox list` gives the ids")
    if not html:
        for name, value in mail.items():
            print(f"{name}: {value}")
        print()
    part = mail.get_body(("html",) if html else ("plain",))
    print(part.get_content() if part else "")
