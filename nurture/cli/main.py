"""What can be typed? `nurture` and its verbs; each noun registers its own."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from nurture.cli.output import Exit, note

NOUNS = (
    "demo", "up", "serve", "leads", "sequence", "template", "score", "consent", "audit", "handover", "delivery",
    "switch", "database",
)  # fmt: skip
"""The files of this package that hold verbs, in the order of the help."""

HELP = """Warm up leads until sales should call.

Scheduled sequences, a proven consent before every mail, scores from what people did, a complete
handover. Everything lies in one folder, NURTURE_HOME (default: .nurture).

\b
  nurture demo                     the whole product on a bundled example, offline
  nurture import leads.csv         take over a lead list
  nurture run --dry-run            what would be sent now, and what not, and why
  nurture explain 42               everything that happened to a lead, with its reasons
"""


TYPER_USAGE = 2


def build() -> typer.Typer:
    """Assemble the application; nothing heavy is imported here."""
    app = typer.Typer(
        name="nurture", help=HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    app.callback()(_root)
    for noun in NOUNS:
        if find_spec(f"nurture.cli.{noun}") is None:
            continue
        import_module(f"nurture.cli.{noun}").register(app)
    return app


def _version(value: bool) -> None:
    if value:
        from nurture.cli.version import VERSION

        print(VERSION)
        raise typer.Exit


def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Hold the options that stand before a verb."""


def run() -> None:
    """Run the command line; usage errors end with 64, ours with the exit codes of `Exit`."""
    from consent import ConsentError
    from nurture import NurtureError

    try:
        code = build()(standalone_mode=False)
    except (NurtureError, ConsentError) as error:
        note(f"nurture: {error}")
        sys.exit(Exit.ERROR)
    except TyperException as error:
        # Typer ends wrong usage with 2, which `plan` needs for "found changes".
        note(f"nurture: {error.format_message()} Try 'nurture --help'.")
        sys.exit(Exit.USAGE if error.exit_code == TYPER_USAGE else Exit.ERROR)
    except (Abort, KeyboardInterrupt):
        note("nurture: stopped")
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else Exit.FINE)
