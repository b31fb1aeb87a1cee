"""Does every mail step have its texts, and do they say what the step says they are?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nurture.delivery.content.library import MailKey
from nurture.delivery.content.notes import Temperature
from nurture.sequences.definition import MailStep
from nurture.store.definitions import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nurture.delivery.content.library import Library
    from nurture.sequences.definition import Sequence


def missing_texts(definitions: Mapping[str, Sequence], library: Library) -> list[Finding]:
    """Find the mail steps for which a temperature or language has no usable mail, or another class than stated."""
    found = []
    for sequence in definitions.values():
        for place, step in enumerate(sequence.steps):
            if isinstance(step, MailStep):
                found += [
                    Finding(f"templates/{sequence.name}/sequence.yaml", 1, f"steps[{place}]", text)
                    for text in _shortcomings(sequence.name, step, library)
                ]
    return found


def _shortcomings(sequence: str, step: MailStep, library: Library) -> list[str]:
    keys = [
        MailKey(sequence, step.id, temperature, language)
        for temperature in Temperature
        for language in library.notes.languages
    ]
    texts = [f"there is no usable mail {key}" for key in keys if not library.has(key)]
    hot = [library.mail(key).message_class for key in keys if key.temperature == Temperature.HOT and library.has(key)]
    if step.message_class is not None and any(found != step.message_class for found in hot):
        texts.append(f"class is {step.message_class} here, but {hot[0]} in mail.yaml for hot leads")
    return texts
