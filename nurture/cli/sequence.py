"""Run a tick, explain a lead, check the definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nurture.settings import Settings

SequenceArgument = Annotated[str, typer.Argument(metavar="[SEQUENCE]", help="Only this sequence.")]
AtOption = Annotated[str | None, typer.Option("--at", metavar="T", help="As of this time (ISO 8601); default now.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Tell what would happen; write nothing, send nothing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
StepOption = Annotated[str | None, typer.Option("--step", metavar="SEQUENCE/STEP", help="Only this step.")]
LanguageOption = Annotated[str, typer.Option("--language", metavar="en|de", help="Language of the text.")]


def register(app: typer.Typer) -> None:
    """Add `run`, `explain` and `check`."""
    app.command()(run)
    app.command()(explain)
    app.command()(check)


def run(
    sequence: SequenceArgument = "", at: AtOption = None, dry_run: DryOption = False, as_json: JsonOption = False
) -> None:
    """Do one tick: enrol, plan, send. Doing it again at once changes nothing."""
    from nurture.cli.delivery import refused
    from nurture.cli.output import Exit, fail, moment, note, print_json, table
    from nurture.delivery import brakes, circuit, remedies, switch
    from nurture.delivery.content.library import Library
    from nurture.delivery.provider import open_provider
    from nurture.delivery.refusals import refusals
    from nurture.sequences.definition import load
    from nurture.sequences.tick import Tick
    from nurture.store.workspace import open_workspace

    with open_workspace() as ws:
        if at is not None and not dry_run and ws.settings.provider != "outbox":
            fail("--at sends mails at another time than planned; with a real provider add --dry-run", Exit.USAGE)
        definitions = load(ws.settings.templates, ws.settings.policies)
        if sequence and sequence not in definitions:
            fail(f"there is no sequence {sequence!r}; known are {', '.join(sorted(definitions))}", Exit.USAGE)
        library = Library.load(ws.settings.templates, zone=ws.settings.zone)
        tick = Tick(
            ws, definitions, library, open_provider(ws.settings, ws.keyring), sequence=sequence or None, at=moment(at)
        )  # fmt: skip
        done = tick.foresee() if dry_run else tick.run()
        with ws.store.read() as conn:
            stopped = switch.stopped(conn)
            pulled = [one.scope for one in brakes.pulled(conn) if one.level == brakes.Level.STOP]
            waiting = [one.as_dict() for one in refusals(conn)]
            line = circuit.look(conn, tick.provider.name, tick.at)
        zone = ws.settings.tz
    counts = {"dry_run": dry_run, "at": tick.at, **done.as_dict(), "refusals": waiting, "circuit": line.state}
    if as_json:
        print_json(counts)
        return
    for halted in _standing(stopped, pulled, sequence):
        note(halted)
    for refusal in waiting:
        note(refused(zone=zone, **refusal))
    if line.state is not circuit.CircuitState.CLOSED:
        note(f"The circuit to {line.provider} is {line.state}: {line.reason}")
        note(f"  {remedies.of_circuit(line.provider, line.reason)}")
    plans, sent = done.plans, done.sent
    rows: list[tuple[str, int]] = [("enrolled", done.enrolled), ("due", plans.due), ("mails planned", plans.planned)]
    rows += [(f"withheld: {reason}", number) for reason, number in sorted(plans.withheld.items())]
    rows += [(f"put off: {reason}", number) for reason, number in sorted(plans.deferred.items())]
    rows += [("waits begun", plans.waited), ("branches taken", plans.branched)]
    rows += [(f"left: {reason}", number) for reason, number in sorted(plans.left.items())]
    if not dry_run:
        rows += [("accepted by the provider", sent.accepted), ("in doubt", sent.in_doubt)]
        rows += [("refused for now", sent.refused)] * bool(sent.refused)
        rows += [("rejected for good", sent.rejected)] * bool(sent.rejected)
        rows += [(f"stopped before sending: {reason}", number) for reason, number in sorted(sent.withheld.items())]
    table("Would happen (nothing was written)" if dry_run else "Done", ("what", "count"), rows)


def _standing(stopped: Collection[str], pulled: list[str], sequence: str) -> Iterator[str]:
    """Say what of a tick does not leave for now: all of it, or the mails of single sequences."""
    from nurture.delivery import switch

    own = switch.sequence_scope(sequence)
    whole = [scope for scope in sorted(stopped) if scope == switch.ALL or (sequence and scope == own)] + pulled
    if whole:
        yield f"Sending is stopped ({', '.join(whole)}): none of that leaves before 'nurture resume'."
    elif not sequence and stopped:
        names = ", ".join(sorted(scope.removeprefix("sequence:") for scope in stopped))
        yield f"Stopped: {names}. Mails of that leave only after 'nurture resume --sequence NAME'; all others leave."


def explain(
    lead: Annotated[int, typer.Argument(metavar="LEAD", help="Number of the lead.")],
    step: StepOption = None,
    at: AtOption = None,
    language: LanguageOption = "en",
    as_json: JsonOption = False,
) -> None:
    """Tell everything that happened to a lead, with its reasons, and what would have changed it."""
    from nurture.cli.output import Exit, fail, moment, print_json
    from nurture.sequences.explain import explain as tell
    from nurture.sequences.wording import LANGUAGES, text
    from nurture.store.workspace import open_workspace

    if language not in LANGUAGES:
        fail(f"there is no language {language!r}; choose {' or '.join(LANGUAGES)}", Exit.USAGE)
    with open_workspace() as ws, ws.store.read() as conn:
        told = tell(conn, lead, step=step, at=None if at is None else moment(at))
        zone = ws.settings.tz
    if as_json:
        print_json(told.as_dict())
    else:
        print(text(told, language=language, zone=zone))


def check(as_json: JsonOption = False) -> None:
    """Check sequences with their mails, all policies, the public pages and the provider's settings; exit 4 on findings.

    It opens no connection and needs no workspace.
    """
    from consent.keys import Keyring
    from nurture.cli import policies
    from nurture.cli.output import Exit, note, print_json
    from nurture.delivery.content.library import Library
    from nurture.sequences.definition import DefinitionError, load
    from nurture.sequences.texts import missing_texts
    from nurture.settings import Settings
    from nurture.web import ready

    settings = Settings()
    definitions = {}
    findings: list[object] = []
    try:
        definitions = load(settings.templates, settings.policies)
        findings += missing_texts(definitions, Library.load(settings.templates, zone=settings.zone))
    except DefinitionError as error:
        findings += error.findings
    findings += [one for one in policies.findings(settings) if one not in findings]
    findings += [one for one in _page_findings(settings) if one not in findings]
    # No mail is written here, so any keys do: none are asked for, and none are made in the home folder.
    findings += [f"settings: {trouble}" for trouble in ready.troubles(settings, Keyring())]
    if settings.provider != "outbox" and not settings.privacy_url:
        note("privacy_url is empty: no page and no mail leads to your privacy notice (Art. 13 GDPR)")
    if as_json:
        print_json({"sequences": sorted(definitions), "findings": [str(finding) for finding in findings]})
    elif findings:
        print("\n".join(map(str, findings)))
    else:
        print(f"{len(definitions)} sequences, no findings")
    if findings:
        note(f"nurture: {len(findings)} finding{'s' if len(findings) > 1 else ''}")
        raise typer.Exit(int(Exit.CHECK_FAILED))


def _page_findings(settings: Settings) -> list[object]:
    """Give what is wrong with the public pages; nothing where a project has none."""
    from nurture import NurtureError
    from nurture.store.definitions import DefinitionError
    from nurture.web.pages import Pages

    if not (settings.templates / "pages").is_dir():
        return []
    try:
        Pages(settings)
    except DefinitionError as error:
        return list(error.findings)
    except NurtureError as error:
        return [str(error)]
    return []
