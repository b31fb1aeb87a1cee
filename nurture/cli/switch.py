"""Stop and resume sending; works while Prefect is down, and takes effect with the next batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nurture.settings import Settings

SequenceOption = Annotated[str, typer.Option("--sequence", metavar="S", help="Only this sequence.")]
AllOption = Annotated[bool, typer.Option("--all", help="All mail, confirmations too.")]
BrakeOption = Annotated[
    str, typer.Option("--brake", metavar="B", help="What nurture itself stopped, as 'delivery status' names it.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for those who ask later.")]


def register(app: typer.Typer) -> None:
    """Add `stop` and `resume`."""
    app.command()(stop)
    app.command()(resume)


def said(reason: str) -> str:
    """Give the reason; a blank one helps nobody who asks later."""
    from nurture.cli.output import Exit, fail

    if not reason.strip():
        fail("--reason is empty; say in a few words why", Exit.USAGE)
    return reason.strip()


def stop(reason: ReasonOption, everything: AllOption = False, sequence: SequenceOption = "") -> None:
    """Stop sending now. What was handed to the provider before cannot be called back; it is counted.

    It needs the database alone: no keys, no provider, and of nurture.toml only where the database lies.
    """
    from nurture import clock
    from nurture.cli.output import note
    from nurture.delivery import status, switch
    from nurture.place import locate
    from nurture.store.workspace import open_database

    sequence = sequence.strip()
    scope = _scope(everything, sequence)
    settings, trouble = locate()
    if trouble is not None:
        note(f"nurture: {_told(trouble)}. Stopping all the same, in the database that is named there")
    with open_database(settings) as store, store.write() as conn:
        if sequence and trouble is None:
            _refuse_unknown(sequence, {*_sequences(conn), *_defined(settings)})
        new = switch.stop(conn, scope, actor(), said(reason), clock.now())
        under_way = status.under_way(conn, sequence or None)
    print(f"{'stopped' if new else 'already stopped'}: {scope}")
    if under_way:
        note(f"{under_way} messages were on their way to the provider and may still arrive")


def _told(trouble: Exception) -> str:
    """Say what is wrong with the settings, without any value."""
    from nurture.cli.troubles import of_settings

    return (of_settings(trouble) or str(trouble)).rstrip(".")


def resume(
    reason: ReasonOption, everything: AllOption = False, sequence: SequenceOption = "", brake: BrakeOption = ""
) -> None:
    """Send again. What is too late by now expires unsent."""
    from nurture import clock
    from nurture.cli.output import Exit, fail, note
    from nurture.delivery import switch
    from nurture.store.workspace import open_workspace

    if brake:
        if everything or sequence:
            fail("say one thing: --all, --sequence NAME or --brake NAME", Exit.USAGE)
        _release(brake, said(reason))
        return
    scope = _scope(everything, sequence, "--brake NAME")
    with open_workspace() as ws, ws.store.write() as conn:
        lifted = switch.resume(conn, scope, actor(), said(reason), clock.now())
        left = _still_stopped(conn)
    print(f"{'resumed' if lifted else 'was not stopped'}: {scope}")
    if left:
        note(f"still stopped: {', '.join(left)}")


def _release(name: str, reason: str) -> None:
    """Release a brake, for every account that it is pulled for."""
    from nurture import clock
    from nurture.cli.output import Exit, fail, note
    from nurture.delivery import brakes, homes
    from nurture.store.workspace import open_workspace

    if name == brakes.Brake.COPIED:
        fail("say which of the two sends: nurture delivery home --original or --copy, with --reason", Exit.USAGE)
    if name not in set(brakes.Brake):
        fail(f"there is no brake {name!r}; known are {', '.join(brakes.Brake)}", Exit.USAGE)
    at = clock.now()
    with open_workspace() as ws, ws.store.write() as conn:
        mine = [one.provider for one in brakes.pulled(conn) if one.name == name]
        for provider in mine:
            brakes.release(conn, brakes.Brake(name), provider, actor(), reason, at)
        if mine and name == brakes.Brake.SERVER:
            homes.adopt(conn)
        left = _still_stopped(conn)
    print(f"{'released' if mine else 'was not pulled'}: {name}")
    if left:
        note(f"still stopped: {', '.join(left)}")


def _still_stopped(conn: Connection) -> list[str]:
    """Give what a person stopped, then what a brake did."""
    from nurture.delivery import brakes, switch

    pulled = [one.scope for one in brakes.pulled(conn) if one.level == brakes.Level.STOP]
    return [*sorted(switch.stopped(conn)), *pulled]


def _scope(everything: bool, sequence: str, *others: str) -> str:
    from nurture.cli.output import Exit, fail
    from nurture.delivery import switch

    if everything == bool(sequence.strip()):
        fail(f"say what: {' or '.join(['--all', '--sequence NAME', *others])}", Exit.USAGE)
    return switch.ALL if everything else switch.sequence_scope(sequence.strip())


def _refuse_unknown(sequence: str, known: set[str]) -> None:
    """End with usage for a sequence that is neither here nor was: whoever slips must not believe that it is stopped."""
    from difflib import get_close_matches

    from nurture.cli.output import Exit, fail

    if sequence in known:
        return
    near = get_close_matches(sequence, sorted(known), n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    fail(f"nothing is stopped: there is no sequence {sequence!r}; {meant}Known: {', '.join(sorted(known)) or 'none'}",
         Exit.USAGE)  # fmt: skip


def _sequences(conn: Connection) -> set[str]:
    """Which sequences has this installation ever applied, or sent for?"""
    from sqlalchemy import select

    from nurture.store.tables import enrolment, sequence_version

    names = select(sequence_version.c.name).union(select(enrolment.c.sequence))
    return set(conn.execute(names).scalars())


def _defined(settings: Settings) -> set[str]:
    """Which sequences have a file, also one that cannot be read? Each is named as its folder."""
    return {path.parent.name for path in settings.templates.glob("*/sequence.yaml")}


def actor() -> str:
    """Give the account that types; the audit wants a who."""
    import getpass

    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError, ImportError):
        return "cli"
