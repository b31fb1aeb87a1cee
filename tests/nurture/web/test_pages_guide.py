"""Does the guide to the public pages name what is there?"""

from __future__ import annotations

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
