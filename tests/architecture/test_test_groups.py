"""Do tests that share one server stay together? Two workers would each start their own on the same port."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("kept-together")
def test_a_group_reaches_the_scheduler(request: pytest.FixtureRequest) -> None:
    """pytest-xdist groups by what it appends to the test's id; a pytest that ignores this splits every group."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("one process runs all tests here (-n0)")
    assert request.node.nodeid.endswith("@kept-together")
