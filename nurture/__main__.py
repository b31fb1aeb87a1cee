"""Make `python -m nurture` the same as `nurture`."""

from nurture.cli.main import run

run()
