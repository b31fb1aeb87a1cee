"""What is the structure of an MJML file, and at which line does each element begin?"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nurture.delivery.content.tokens import Protected


def parse(protected: Protected) -> tuple[ET.Element, Mapping[ET.Element, int]]:
    """Parse well-formed MJML (with tokens) and give its root and the line of each element.

    Raises RefusedError with file and line for broken XML, declarations and processing instructions.
    """
    source = protected.source
    builder = ET.TreeBuilder(insert_comments=True)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    lines: dict[ET.Element, int] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        lines[builder.start(name, attributes)] = parser.CurrentLineNumber

    def comment(text: str) -> None:
        lines[builder.comment(text)] = parser.CurrentLineNumber

    def refuse(*_: object) -> None:
        raise source.refuse(parser.CurrentLineNumber, "xml", "no <!DOCTYPE>, <?...?> or <![CDATA[ ]]> in templates")

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.CommentHandler = comment
    parser.StartDoctypeDeclHandler = refuse
    parser.ProcessingInstructionHandler = refuse
    parser.StartCdataSectionHandler = refuse
    try:
        parser.Parse(protected.text, True)
    except expat.ExpatError as error:
        raise source.refuse(error.lineno, "xml", expat.ErrorString(error.code)) from error
    return builder.close(), lines
