"""What can be typed? `nurture` and its verbs; each noun registers its own."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer._click.exceptions import NoArgsIsHelpError
from typer.core import TyperGroup
from typer.exceptions import Abort, TyperException

from nurture.cli.output import Exit, note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer._click import Context, HelpFormatter

NOUNS = (
    "demo", "up", "serve", "leads", "sequence", "template", "score", "consent", "audit", "handover", "delivery",
    "arrived", "backup", "switch", "records",
)  # fmt: skip
"""The files of this package that hold verbs."""

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Begin": ("demo", "up", "import"),
    "Mails": ("run", "check", "template", "stop", "resume"),
    "Leads": ("explain", "lead", "score", "handover"),
    "Consent": ("consent", "audit", "records"),
    "Operation": ("delivery", "check-headers", "outbox", "serve", "backup", "restore"),
}
"""How the help groups verbs, in the order a newcomer needs them."""

EXAMPLES: Mapping[str, str] = {
    "up": "nurture up --check",
    "serve": "nurture serve --port 8080",
    "run": "nurture run welcome --dry-run",
    "explain": "nurture explain 42 --step welcome/hello",
    "check": "nurture check",
    "stop": "nurture stop --all --reason 'wrong price in the mail'",
    "resume": "nurture resume --all --reason 'price corrected'",
    "template build": "nurture template build --out build",
    "template check": "nurture template check --json",
    "template preview": "nurture template preview --out preview",
    "score show": "nurture score show 42 --at 2026-03-10",
    "score replay": "nurture score replay",
    "score check": "nurture score check",
    "score schema": "nurture score schema > scoring.schema.json",
    "handover show": "nurture handover show ID --json",
    "handover accept": "nurture handover accept ID --by vera",
    "handover resend": "nurture handover resend ID",
    "delivery status": "nurture delivery status",
    "delivery close-circuit": "nurture delivery close-circuit sendgrid",
    "delivery reconcile": "nurture delivery reconcile",
    "delivery unknown": "nurture delivery unknown --json",
    "delivery failed": "nurture delivery failed",
    "delivery resend": "nurture delivery resend MESSAGE --reason 'asked for by phone'",
    "delivery gap": "nurture delivery gap --since 2026-11-23T02:00Z",
    "delivery home": "nurture delivery home --original --reason 'moved to another folder'",
    "outbox list": "nurture outbox list --limit 5",
    "outbox show": "nurture outbox show ID --html > mail.html",
}
"""One example for every verb whose own help has none."""

HELP = """Warm up leads until sales should call.

Scheduled sequences, a proven consent before every mail, scores from what people did, a complete
handover. Everything lies in one folder, NURTURE_HOME (default: .nurture).

\b
  nurture demo                        the whole product on a bundled example, offline
  nurture import leads.csv --dry-run  what a list would bring, and what not, and why
  nurture run --dry-run               what would be sent now, and what not, and why
  nurture explain 42                  everything that happened to a lead, with its reasons
"""


TYPER_USAGE = 2
READING = {"explain", "audit", "consent", "delivery", "handover", "lead", "outbox", "resume", "score", "stop"}
"""Verbs that ask about a workspace, or hold its mail, and never begin one."""


class Ordered(TyperGroup):
    """A help in sections instead of one list of verbs."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write each section; a verb that no section names stands under the last title."""
        named = {verb for verbs in SECTIONS.values() for verb in verbs}
        rest = tuple(verb for verb in self.list_commands(ctx) if verb not in named)
        width = formatter.width - 6 - max(map(len, self.commands))
        for title, verbs in {**SECTIONS, "Further": rest}.items():
            found = [(verb, self.commands[verb].get_short_help_str(width)) for verb in verbs if verb in self.commands]
            if found:
                with formatter.section(title):
                    formatter.write_dl(found)


def build() -> typer.Typer:
    """Assemble the application; nothing heavy is imported here."""
    app = typer.Typer(
        name="nurture",
        cls=Ordered,
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for noun in NOUNS:
        import_module(f"nurture.cli.{noun}").register(app)
    _add_examples(app, "")
    return app


def _add_examples(app: typer.Typer, prefix: str) -> None:
    """Put an example below the help of each verb that brings none."""
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        own = command.help or (command.callback.__doc__ if command.callback else "") or ""
        if "Example: " not in own and (example := EXAMPLES.get(f"{prefix}{name}")):
            command.epilog = f"Example: {example}"
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _add_examples(group.typer_instance, f"{prefix}{group.name} ")


def _version(value: bool) -> None:
    if value:
        from nurture.cli.version import VERSION

        print(VERSION)
        raise typer.Exit


def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Hold the options that stand before a verb."""


def _need_workspace(words: list[str]) -> None:
    """Refuse a reading verb where there is no workspace: a mistyped home must not look like an empty one.

    Where one of its two parts is missing it is opened as by any other verb, which says so.
    """
    if len(words) <= 1 or words[0] not in READING or {"--help", "schema", "check"} & set(words):
        return
    home = Path(os.environ.get("NURTURE_HOME", ".nurture")).resolve()
    if not any((home / name).exists() for name in ("keys.json", "nurture.db")) and not _names_database():
        note(f"nurture: there is no workspace in {home}; set NURTURE_HOME to one, or begin with 'nurture import'")
        sys.exit(Exit.ERROR)


def _names_database() -> bool:
    """Does a setting say where the database is? Settings that cannot be read are told by the verb."""
    from nurture.place import locate

    try:
        return bool(locate()[0].database_url)
    except Exception:  # noqa: BLE001  whatever it is, it is told better further on
        return True


def run() -> None:
    """Run the command line; usage errors end with 64, ours with the exit codes of `Exit`."""
    from consent import ConsentError
    from nurture import NurtureError

    try:
        _need_workspace(sys.argv[1:])
        code = build()(prog_name="nurture", standalone_mode=False)
    except (NurtureError, ConsentError) as error:
        note(f"nurture: {error}")
        sys.exit(Exit.ERROR)
    except NoArgsIsHelpError as error:
        # Its message is the whole help, which stands for itself.
        note(error.format_message())
        sys.exit(Exit.USAGE)
    except TyperException as error:
        # Typer ends wrong usage with 2, which `plan` needs for "found changes".
        where = getattr(error, "ctx", None)
        verb = where.command_path if where else "nurture"
        note(f"nurture: {error.format_message().rstrip('.')}. Try '{verb} --help'.")
        sys.exit(Exit.USAGE if error.exit_code == TYPER_USAGE else Exit.ERROR)
    except OverflowError:
        note("nurture: a number is larger than any we keep; look at it again")
        sys.exit(Exit.USAGE)
    except (Abort, KeyboardInterrupt):
        note("nurture: stopped")
        sys.exit(130)
    except Exception as error:
        from nurture.cli.troubles import of_outside, of_settings

        trouble = of_settings(error) or of_outside(error)
        if trouble is None:
            raise
        note(f"nurture: {trouble}")
        sys.exit(Exit.ERROR)
    _flush()
    sys.exit(code if isinstance(code, int) else Exit.FINE)


def _flush() -> None:
    """Hand over what was printed; a reader who has seen enough, as `head` has, is no mistake of the verb."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends; that goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
