"""Does the guide to the public pages name what is there?"""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from nurture.cli import serve
from nurture.settings import PROJECT
from nurture.web.enquiries import FORMS
from nurture.web.sign_up import SOURCES

GUIDE = (PROJECT / "docs" / "how-to" / "pages.md").read_text("utf-8")


def test_the_guide_names_every_form_by_its_path() -> None:
    """Whoever links one needs more than its kind."""
    assert [form for form in FORMS if f"`/request/{form}`" not in GUIDE] == []


def test_the_guide_names_every_source() -> None:
    """The newsletter is what stands for all others."""
    assert [source for source in sorted(SOURCES - {"newsletter"}) if source not in GUIDE] == []


def test_guide_and_help_say_what_sends_the_mail() -> None:
    """The pages alone do not, and somebody who signs up there would wait for ever."""
    app = typer.Typer()
    serve.register(app)
    told = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    assert "'nurture up' or a Prefect worker does" in told
    assert "Mail leaves only while `nurture up` or a Prefect worker runs" in " ".join(GUIDE.split())
