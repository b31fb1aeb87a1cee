"""Does every mail still say and look what it did? The stored files can be opened in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from nurture.delivery.content import sample
from nurture.delivery.content.library import Library, MailKey
from nurture.settings import PROJECT

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion


class HtmlFile(SingleFileSnapshotExtension):
    """One .html file per mail."""

    _write_mode = WriteMode.TEXT
    file_extension = "html"


class TextFile(SingleFileSnapshotExtension):
    """One .txt file per mail."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


KEYS = [
    MailKey.parse(f"{path.parent.relative_to(PROJECT / 'templates').as_posix()}/{path.name.split('.')[1]}")
    for path in sorted((PROJECT / "templates").glob("[!_]*/*/*/body.*.mjml"))
]
IDS = [str(key).replace("/", "-") for key in KEYS]


@pytest.mark.parametrize("key", KEYS, ids=IDS)
def test_html_part_is_unchanged(key: MailKey, library: Library, snapshot: SnapshotAssertion) -> None:
    assert sample.render(library.mail(key)).html == snapshot(extension_class=HtmlFile)


@pytest.mark.parametrize("key", KEYS, ids=IDS)
def test_text_part_is_unchanged(key: MailKey, library: Library, snapshot: SnapshotAssertion) -> None:
    shown = sample.render(library.mail(key))
    assert f"{shown.subject}\n{'=' * len(shown.subject)}\n\n{shown.text}" == snapshot(extension_class=TextFile)


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.step == "hello"], ids=lambda key: str(key).replace("/", "-")
)
def test_somebody_unknown_is_greeted_properly(key: MailKey, library: Library, snapshot: SnapshotAssertion) -> None:
    assert sample.render(library.mail(key), sample.BARE).text == snapshot(extension_class=TextFile)
