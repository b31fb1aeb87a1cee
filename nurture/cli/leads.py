"""How do lists come in, and what is known about a lead? Personal details only when asked for."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003  Typer reads it when it runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nurture.cli import rights
from nurture.cli.output import Exit, fail, happened, moment, note, print_json, table

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nurture.leads.importing.mapping import Map
    from nurture.leads.importing.report import ImportReport

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add `nurture import` and `nurture lead ...`."""
    app.command("import")(import_)
    verbs = typer.Typer(help="One lead: what is known, and what the person has a right to.", no_args_is_help=True)
    verbs.command("show")(show)
    rights.add_verbs(verbs)
    app.add_typer(verbs, name="lead")


def import_(  # noqa: PLR0913, PLR0917  one argument per option
    file: Annotated[Path, typer.Argument(help="CSV or Excel file, as it was exported.")],
    preset: Annotated[
        str,
        typer.Option(help="hubspot, mailchimp, brevo, cleverreach, rapidmail, salesforce; default: by the headers."),
    ] = "",
    map_file: Annotated[Path | None, typer.Option("--map", help="YAML file that says what columns mean.")] = None,
    consent_text: Annotated[
        Path | None,
        typer.Option(help="Text file with the wording people agreed to; without it no row is mailable."),
    ] = None,
    purpose: Annotated[str, typer.Option(help="What that wording allows.")] = "newsletter.product",
    encoding: Annotated[str, typer.Option(help="Encoding of a CSV file, where it cannot be told.")] = "",
    at: Annotated[str | None, typer.Option(help="As if at this time (ISO 8601).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")] = False,
    json: Json = False,
) -> None:
    """Take over a list of people. Example: nurture import leads.csv --dry-run.

    What says no (unsubscribed, bounced) goes on the suppression list first. Rows with a proven double
    opt-in and its wording become mailable; all others become leads that get no mail. All of the file
    comes in, or nothing; refused rows are named in a report.
    """
    from nurture.leads.importing.run import import_file, preview
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace:
        said = _said(workspace.settings.policies, map_file, consent_text, purpose, encoding)
        run = preview if dry_run else import_file
        report = run(
            workspace,
            file,
            at=moment(at) if dry_run else happened(at),
            settings=said,
            preset=preset,
            progress=_progress,
        )
    if sys.stderr.isatty():
        note("")
    if json:
        print_json(report.as_dict())
    else:
        _tell(report)


def _said(policies: Path, map_file: Path | None, consent_text: Path | None, purpose: str, encoding: str) -> Map:
    from nurture.leads import wordings
    from nurture.leads.importing.mapping import Consent, load_map, read_wording

    said = load_map(map_file, policies)
    changes: dict[str, Any] = {}
    if consent_text:
        known = wordings.load(policies).purposes
        if purpose not in known:
            fail(f"--purpose: {wordings.unknown(purpose, known)}", Exit.USAGE)
        changes["consent"] = (*said.consent, Consent(purpose=purpose, text=read_wording(consent_text)))
    if encoding:
        changes["encoding"] = encoding
    return said.model_copy(update=changes)


def _progress(rows: int) -> None:
    """Overwrite one line on a terminal, say nothing elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r  {rows:,} rows")
        sys.stderr.flush()


def _tell(report: ImportReport) -> None:
    counts = report.counts
    separator = {"\t": "tab", "": ""}.get(report.separator, report.separator)
    note(f"{report.file}: {report.preset}, {' '.join(filter(None, (report.kind, report.encoding, separator)))}")
    if report.already_imported and not report.dry_run:
        note("This file was imported before; nothing changed. What it brought then:")
    known = [("known leads completed", counts.changed), ("known leads, nothing new", counts.unchanged)]
    if report.dry_run:
        known = [("known leads", counts.unchanged)]
    rows = [
        ("rows", counts.rows),
        ("refused", sum(counts.refused.values())),
        *((f"  {code}", number) for code, number in sorted(counts.refused.items())),
        ("twice in the file", counts.duplicates),
        ("must not be written to", counts.suppressed),
        ("new leads", counts.new),
        *known,
        ("mailable: proven double opt-in", counts.mailable),
        ("not mailable", report.not_mailable),
        *((f"  {reason}", number) for reason, number in sorted(counts.not_mailable.items())),
        *((f"address: {fact}", number) for fact, number in sorted(counts.facts.items())),
    ]
    table("Would happen" if report.dry_run else "", ["what", "rows"], rows)
    if report.preview:
        heads = list(report.preview[0])
        table("First rows", heads, [[row[head] for head in heads] for row in report.preview])
        table("Columns", ["meaning", "header"], report.columns.items())
    if report.ignored and report.dry_run:
        note(f"Not kept: {', '.join(report.ignored)}. Name them in a map (--map) to keep them.")
    if report.report:
        note(f"Refused rows with line, reason and remedy: {report.report}")
    if "no_wording" in counts.not_mailable:
        note("Name the wording people agreed to (--consent-text FILE) to make proven rows mailable.")


def show(
    lead: Annotated[int, typer.Argument(help="Its number.")],
    reveal: Annotated[bool, typer.Option("--reveal", help="Show address and name, too.")] = False,
    json: Json = False,
) -> None:
    """Show one lead: facts, stages, consents. Example: nurture lead show 42 --json."""
    from nurture.store.workspace import open_workspace

    with open_workspace() as workspace, workspace.store.read() as conn:
        shown = _facts(conn, lead)
        if reveal:
            from consent import identity

            person = identity.reveal(conn, workspace.keyring, [shown["subject"]]).get(shown["subject"])
            shown["person"] = {"address": person.address, **person.details} if person else "erased"
        zone = workspace.settings.tz
    if json:
        print_json(shown)
        return
    # What tells against using the data comes first, and only where it holds.
    unset = {name for name in ("erased_at", "restricted_since") if shown[name] is None}
    facts = [(name, shown[name]) for name in shown if name not in unset and not isinstance(shown[name], list | dict)]
    table("", ["fact", "value"], facts + list(shown["person"].items() if reveal and person else []))
    moments = [
        (one["at"].astimezone(zone).strftime("%d.%m.%Y %H:%M"), one["stage"], one["cause"]) for one in shown["stages"]
    ]
    table("Stages", ["at", "stage", "cause"], moments)
    consents = [
        (one["purpose"], one["state"], one["since"].astimezone(zone).strftime("%d.%m.%Y %H:%M"), one["seq"])
        for one in shown["consents"]
    ]
    table("Consents", ["purpose", "state", "since", "ledger entry"], consents)


def _facts(conn: Connection, lead_id: int) -> dict[str, Any]:
    """Give what is known without naming anybody."""
    from sqlalchemy import select

    from consent.schema import consent_state, identity
    from nurture.store.tables import lead, stage_change

    query = select(identity.c.erased_at, identity.c.restricted_at.label("restricted_since"), lead)
    found = conn.execute(query.join(lead).where(lead.c.id == lead_id)).mappings()
    row = found.one_or_none()
    if row is None:
        fail(f"there is no lead {lead_id}; 'nurture lead list' shows the numbers")
    history = select(stage_change.c.at, stage_change.c.stage, stage_change.c.cause).where(
        stage_change.c.lead_id == lead_id
    )
    states = select(
        consent_state.c.controller,
        consent_state.c.purpose,
        consent_state.c.state,
        consent_state.c.since,
        consent_state.c.seq,
    ).where(consent_state.c.subject == row["subject"])
    gone = dict.fromkeys(("stage", "stage_since", "owner")) if row["erased_at"] else {}
    return {
        **row,
        **gone,
        "stages": [dict(one) for one in conn.execute(history.order_by(stage_change.c.id)).mappings()],
        "consents": [dict(one) for one in conn.execute(states.order_by(consent_state.c.purpose)).mappings()],
    }
