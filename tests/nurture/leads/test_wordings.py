"""Is what a new installation begins with (policies/consent.yaml) fit to be shown?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consent import texts
from consent.states import NEWSLETTER, TRACKING
from nurture.leads import wordings

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.store.workspace import Workspace


@pytest.mark.requirement(116, 118)
def test_the_products_wordings_can_be_published(workspace: Workspace, at: datetime) -> None:
    """Each names the company, its subject and the withdrawal, or publishing would refuse it."""
    with workspace.store.write() as conn:
        assert [wordings.publish(conn, workspace.settings, at=at) for _ in range(2)] == [4, 0]


@pytest.mark.parametrize("purpose", [NEWSLETTER, TRACKING])
@pytest.mark.parametrize("language", ["de", "en"])
def test_each_purpose_has_both_languages(workspace: Workspace, at: datetime, purpose: str, language: str) -> None:
    """The pages show one of them to everybody."""
    with workspace.store.write() as conn:
        wordings.publish(conn, workspace.settings, at=at)
        controller = workspace.settings.controller
        shown = texts.current(conn, controller=controller, purpose=purpose, language=language)
    assert workspace.settings.company in shown.body
