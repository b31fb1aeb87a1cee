"""Which acts are buying signals, and which event is a filled-in form? Reads vocabulary/signals.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from nurture.store.definitions import Part
from nurture.store.definitions import load as load_file
from nurture.tracking.vocabulary import EventKind  # noqa: TC001  pydantic reads it at run time

if TYPE_CHECKING:
    from pathlib import Path


class Words(Part):
    """One text in the languages of our readers."""

    de: str
    en: str


class Signal(Part):
    """What an act means for sales."""

    group: str
    strength: Literal["strong", "weak"]


class Signals(Part):
    """The whole file. A strong signal works at any score; scoring never reads this."""

    vocabulary: Literal["signals"]
    version: int = Field(ge=1)
    answers: dict[str, Words]
    signals: dict[EventKind, Signal]
    forms: dict[str, EventKind]

    @model_validator(mode="after")
    def _every_group_has_an_answer(self) -> Signals:
        for kind, signal in self.signals.items():
            if signal.group not in self.answers:
                raise ValueError(f"signals.{kind}: the group {signal.group} has no answer")
        return self


def load(policies: Path) -> Signals:
    """Read vocabulary/signals.yaml; raises DefinitionError."""
    return load_file(policies / "vocabulary" / "signals.yaml", Signals)
