"""The shipped library, and a desk on which a test writes templates of its own."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from nurture.delivery.content.library import Library
from nurture.settings import PROJECT
from tests.nurture.delivery.content.desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATES = PROJECT / "templates"


@pytest.fixture(scope="session")
def library() -> Library:
    """The mails that we ship."""
    return Library.load(TEMPLATES)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A templates folder with our base and confirmation mail, and one sound mail to spoil."""
    templates = tmp_path / "templates"
    for part in ("_base", "opt_in"):
        shutil.copytree(TEMPLATES / part, templates / part)
    made = Desk(templates)
    made.write()
    return made
