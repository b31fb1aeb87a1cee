"""Can every policy be read? A mistake in one shows when a flow needs it, perhaps at night, or for one lead only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nurture.settings import Settings
    from nurture.store.definitions import Finding


def findings(settings: Settings) -> list[Finding]:
    """Read all files of policies/, each as its flow would; give every mistake once, with file and line.

    `profiling.yaml` belongs to the public pages and is read where a project has them.
    """
    from nurture.delivery import frequency, policy
    from nurture.handover import policy as handover
    from nurture.leads import profiling, wordings
    from nurture.leads.rights import policy as retention
    from nurture.scoring import policy as scoring
    from nurture.store.definitions import DefinitionError
    from nurture.tracking import bots, signals

    folder = settings.policies
    readers = [module.load for module in (wordings, frequency, policy, retention, scoring, handover, signals, bots)]
    if (settings.templates / "pages").is_dir():
        readers.append(profiling.load)
    found: set[Finding] = set()
    for read in readers:
        try:
            read(folder)
        except DefinitionError as error:
            found.update(error.findings)
    return sorted(found)
