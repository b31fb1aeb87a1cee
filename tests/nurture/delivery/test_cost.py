"""What does a batch cost, in counts that no busy machine changes? Requests, statements, commits, bytes, renderings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jinja2
import pytest

from bench import _world
from bench._cost import counted
from bench.fake_sendgrid import running
from nurture.delivery.content.library import Library
from nurture.delivery.content.skeleton import skeleton
from nurture.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench._world import World
    from bench.fake_sendgrid import Fake
    from nurture.store.workspace import Workspace

BATCH = 100
LEADS = 430
"""Of whom 399 may be written to: four batches, and every first statement of a kind is prepared in the first."""
STATEMENTS = {"sqlite": 33, "postgresql": 35}
"""For each batch, whatever its size, BEGIN not counted; PostgreSQL is held to its indexes and locks the batch first."""
STATEMENTS_FOR_ALL = 8
"""At most, beside those of the batches: the empty claim at the end, and what is read once for each process."""
COMMITS = 3
"""For each batch: claim, intent, result."""
WIRE_BYTES = 800
"""For each message of the shipped mail, its share of the content included, in batches of 500."""
CONTENTS = 1
"""All readers of the benchmark agreed to tracking: one mail, one content."""


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    """A stand-in for SendGrid that checks every request."""
    with running("checking") as started:
        yield started


def world(workspace: Workspace, leads: int, **made_of: Any) -> World:
    """Install the benchmark's world in an empty workspace, in small batches."""
    settings = workspace.settings.model_copy(update={"batch_size": BATCH})
    return _world.install(type(workspace)(settings, workspace.store, workspace.keyring), leads, **made_of)


def due(made: World, leads: int) -> int:
    """Plan a week's mails; give their number."""
    made.next_week(leads)
    return made.plan()


def test_a_batch_is_one_request(workspace: Workspace, fake: Fake) -> None:
    """As many requests as batches, each message arrives once, and none is lost."""
    made = world(workspace, LEADS)
    planned = due(made, LEADS)
    before = fake.counts()
    assert made.send(fake.url, lanes=2) == planned
    after = fake.counts()
    assert planned == made.sendable() == 399
    assert after["requests"] - before["requests"] == made.batches() == 4
    assert after["different"] - before["different"] == planned
    assert (after["twice"], after["refused"]) == (before["twice"], before["refused"])


def test_statements_and_commits_count_by_batch(workspace: Workspace, fake: Fake) -> None:
    """A batch costs so many statements and three commits, whether it holds ten messages or a hundred."""
    made = world(workspace, LEADS)
    seen = {}
    for leads, batches in ((10, 1), (LEADS, 4), (215, 2), (10, 1)):
        due(made, leads)
        with counted(made.ws.store) as cost:
            made.send(fake.url, lanes=1)
        assert made.batches() == batches
        assert cost.count <= batches * STATEMENTS[made.ws.store.dialect] + STATEMENTS_FOR_ALL, "\n".join(
            sorted(cost.times)
        )
        # The empty claim at the end commits, too.
        assert cost.commits <= batches * COMMITS + 1
        seen[leads] = cost.count
    assert seen[LEADS] - seen[215] == 2 * (seen[215] - seen[10])


def test_planning_statements_count_by_chunk(workspace: Workspace) -> None:
    """A chunk whose mails make one batch costs the same statements, whether ten leads are due or four hundred."""
    made = _world.install(workspace, LEADS)
    seen = []
    for leads in (10, 90, LEADS):
        made.next_week(leads)
        with counted(made.ws.store) as cost:
            made.plan()
        seen.append(cost.count)
    # The first also remembers the mail.
    assert seen[0] >= seen[1] == seen[2]


def test_a_mail_is_rendered_once_for_all_its_readers(
    workspace: Workspace, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates run as often for four hundred readers as for ten."""
    made = world(workspace, LEADS)
    runs = []
    render = jinja2.Template.render

    def counting(template: jinja2.Template, *given: Any, **named: Any) -> str:
        runs.append(template)
        return render(template, *given, **named)

    monkeypatch.setattr(jinja2.Template, "render", counting)
    found = []
    for leads in (10, LEADS):
        due(made, leads)
        skeleton.cache_clear()
        runs.clear()
        made.send(fake.url, lanes=1)
        found.append(len(runs))
    assert found[0] == found[1]
    assert skeleton.cache_info().misses == CONTENTS


def test_bytes_on_the_wire_of_the_shipped_mail(workspace: Workspace, fake: Fake) -> None:
    """What goes out for each reader of the shipped welcome mail is a small part of the mail itself."""
    library = Library.load(PROJECT / "templates")
    made = _world.install(workspace, 540, library=library, sequence="welcome")
    planned = due(made, 540)
    before = fake.counts()
    assert made.send(fake.url, lanes=1) == planned > 500
    after = fake.counts()
    assert (after["bytes"] - before["bytes"]) / planned <= WIRE_BYTES
