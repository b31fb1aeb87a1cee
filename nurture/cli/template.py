"""`nurture template`: are the mails sound, and how do they look?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nurture.cli.output import Exit, fail, note, print_json, table

if TYPE_CHECKING:
    from nurture.delivery.content import Finding
    from nurture.delivery.content.library import Library

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Folder = Annotated[Path | None, typer.Option("--templates", help="Folder of templates; default: the configured one.")]


def register(app: typer.Typer) -> None:
    """Add the noun."""
    group = typer.Typer(help="Mails: compile them, check them, look at them.", no_args_is_help=True)
    group.command("build")(build)
    group.command("check")(check)
    group.command("preview")(preview)
    app.add_typer(group, name="template")


def _library(templates: Path | None) -> Library:
    from nurture.delivery.content.library import Library
    from nurture.settings import Settings

    settings = Settings()
    return Library.load(templates or settings.templates, zone=settings.zone)


def build(
    out: Annotated[Path | None, typer.Option("--out", help="Write the compiled parts below this folder.")] = None,
    templates: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Compile all mails and list them with their hashes; ends with 4 when one cannot be used."""
    library = _library(templates)
    rows = [
        {"key": mail.key, "class": mail.message_class.value, "links": len(mail.links), "sha256": mail.sha256}
        for mail in library.mails.values()
    ]
    if out is not None:
        _write_parts(library, out)
    if as_json:
        print_json({"mails": rows, "findings": [str(finding) for finding in library.findings]})
    else:
        cells = [(row["key"], row["class"], row["links"], str(row["sha256"])[:16]) for row in rows]
        table("", ["mail", "class", "links", "sha256"], cells)
        note(f"{len(rows)} mails compiled" + (f", written below {out}" if out else ""))
    _end(list(library.findings))


def _write_parts(library: Library, out: Path) -> None:
    """Write each part as the Jinja template it became, one folder per mail, for review and comparison."""
    for mail in library.mails.values():
        folder = out / mail.key
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("subject.txt.j2", mail.compiled.subject),
            ("body.html.j2", mail.compiled.html),
            ("body.txt.j2", mail.compiled.text),
        ):
            (folder / name).write_text(text, "utf-8")


def check(templates: Folder = None, as_json: AsJson = False) -> None:
    """Check every mail and every sequence's steps; ends with 4 and a numbered list when something is wrong.

    Notes name mails that cannot share a request: they are sent all the same, but one by one.
    """
    from nurture.delivery.content.review import one_by_one, review

    library = _library(templates)
    findings = sorted({*review(library), *_steps(library)})
    notes = one_by_one(library)
    if as_json:
        listed = {"findings": [_plain(finding) for finding in findings], "notes": [_plain(one) for one in notes]}
        print_json({"mails": len(library.mails), **listed})
        raise typer.Exit(int(Exit.CHECK_FAILED if findings else Exit.FINE))
    for one in notes:
        note(f"note: templates/{one}")
    note(f"{len(library.mails)} mails checked" + ("" if findings else ", nothing found"))
    _end(findings)


def _steps(library: Library) -> list[Finding]:
    """Find mail steps of a sequence without a folder, and folders that no sequence sends."""
    from nurture.delivery.content import Finding
    from nurture.delivery.content.library import CONFIRM_STEP
    from nurture.sequences import definition

    definitions = definition.load(library.templates)
    wanted = {(name, step.id) for name, found in definitions.items() for step in found.steps if step.kind == "mail"}
    there = {(key.sequence, key.step) for key in library.mails} - {CONFIRM_STEP[:2]}
    return [
        *(Finding(f"{name}/sequence.yaml", 1, "missing", f"step {step} has no mails") for name, step in wanted - there),
        *(
            Finding(f"{name}/{step}", 1, "unused", "no step of the sequence sends this")
            for name, step in there - wanted
        ),
    ]


def _plain(finding: Finding) -> dict[str, Any]:
    return {"file": finding.file, "line": finding.line, "rule": finding.rule, "message": finding.message}


def _end(findings: list[Finding]) -> None:
    if not findings:
        return
    for number, finding in enumerate(findings, start=1):
        print(f"{number:>3}  templates/{finding}")
    fail(f"{len(findings)} findings; a mail with a finding is not sent", Exit.CHECK_FAILED)


def preview(
    out: Annotated[Path, typer.Option("--out", help="Folder for the page.")] = Path("preview"),
    templates: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Write a page that shows every mail, light and dark, wide and narrow, for a made-up person."""
    from nurture.delivery.content import gallery

    library = _library(templates)
    out.mkdir(parents=True, exist_ok=True)
    page = out / "index.html"
    page.write_text(gallery.write(library), "utf-8")
    if as_json:
        print_json({"page": page.resolve(), "mails": len(library.mails), "findings": list(map(str, library.findings))})
    else:
        print(page.resolve())
        note(f"{len(library.mails)} mails; open the page in a browser")
