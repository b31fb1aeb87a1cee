"""Is a failing unit of work silent about people, and tried again only when that can help?"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from consent import ConsentError
from tests.flows import people
from tests.flows.house import Installation, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.timeout(900), pytest.mark.usefixtures("here")]

SECRET = f"{people.MARKER}.failing@example.org"


@pytest.fixture
def here(installation: Installation) -> Any:
    """Report to the real server."""
    from nurture.cli.launcher import in_process  # noqa: PLC0415  with Prefect

    with in_process(installation.running.env):
        yield


def failing(error: Exception, tries: list[int], retries: int = 1) -> Callable[[], None]:
    """Make a flow whose one task fails with an error."""
    from prefect import flow  # noqa: PLC0415  with Prefect

    from tasks.unit import unit  # noqa: PLC0415  with Prefect

    @unit(timeout=60, retries=retries, pauses=(0.0,))
    def fail() -> None:
        tries.append(1)
        raise error

    @flow(name="failing", log_prints=False, persist_result=False)
    def run() -> None:
        fail()

    return run


def run(error: Exception) -> tuple[str, int]:
    """Run it; give the text of the failure and how often it was tried."""
    from tasks.unit import UnitError  # noqa: PLC0415  with Prefect

    tries: list[int] = []
    with pytest.raises(UnitError) as caught:
        failing(error, tries)()
    assert caught.value.__context__ is None
    return str(caught.value), len(tries)


def test_a_database_error_shows_no_values() -> None:
    error = IntegrityError("insert", {"address": SECRET}, sqlite3.IntegrityError(SECRET))
    text, _ = run(error)
    assert text.startswith("IntegrityError at tests/flows/test_units.py:")
    assert people.MARKER not in text


def test_our_own_errors_keep_their_words() -> None:
    text, tries = run(ConsentError("text 7 is not published; run nurture consent texts"))
    assert text.endswith("text 7 is not published; run nurture consent texts")
    assert tries == 1


def test_faults_of_the_moment_are_tried_again() -> None:
    assert run(OperationalError("select", {}, sqlite3.OperationalError("database is locked")))[1] == 2


def test_mistakes_are_not_tried_again() -> None:
    assert run(ValueError(SECRET))[1] == 1


def test_prefect_never_sees_what_failed(installation: Installation) -> None:
    run(ValueError(SECRET))
    failed = {"flows": {"name": {"any_": ["failing"]}}, "flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}}
    api = installation.running.api
    runs = wait_for(lambda: api.post("/flow_runs/filter", failed))
    logs = api.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"] for run in runs]}}})
    shown = str(runs) + str(logs) + str(api.post("/task_runs/filter", {"limit": 200}))
    assert people.MARKER not in shown
    assert "ValueError" in shown
