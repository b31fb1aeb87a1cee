"""Is a skeleton right for templates that nobody has written yet? Generated from the whole template language."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from nurture.delivery.content.compiler import Compiled
from nurture.delivery.content.language import Link
from nurture.delivery.content.library import Mail, MessageClass
from nurture.delivery.content.skeleton import Obstacle, skeleton
from tests.nurture.delivery.content.people import frame, in_full, in_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

LINKS = (Link("guide", "https://musterwerk.example/guide?a=1&b=2"), Link("talk", "https://musterwerk.example/talk"))

FIELDS = ["lead.first_name", "lead.last_name", "lead.salutation", "lead.company", "existing_customer"]
SAME = ["sender.name", "sender.imprint", "privacy_url", '"x"', '"<i>"', '""', "1", "none", "true"]
ADDRESS = [
    "unsubscribe_url",
    "preferences_url",
    *(f'track("{link.key}", "{link.url}")' for link in LINKS),
]
LITERAL = st.one_of(
    st.sampled_from(
        ["\n", "\n\n", " \n\t\n", "\n\n\n\n", "  ", " & ", "<b>", "</b>", " - ", "word " * 20, "\u2028", "z"]
    ),
    st.text("ab <>&\"'\n\t", max_size=12),
    st.integers(60, 90).map(lambda length: "w" * length),
)


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(["==", "!=", "and", "or"]), inner).map("({0[0]} {0[1]} {0[2]})".format),
        inner.map("(not {})".format),
        st.tuples(inner, inner, inner).map("({0[0]} if {0[1]} else {0[2]})".format),
    )


TEXTS = st.sampled_from([*FIELDS[:4], "sender.name", '"K"', '""'])
ORDER = st.sampled_from(["<", "<=", ">", ">=", "in", "not in", "=="])
COMPARED = st.one_of(
    st.tuples(TEXTS, ORDER, TEXTS).map(" ".join), st.tuples(TEXTS, ORDER, TEXTS, ORDER, TEXTS).map(" ".join)
).map("({})".format)
TEST = st.deferred(lambda: st.recursive(st.one_of(st.sampled_from(FIELDS + SAME), COMPARED), _wider, max_leaves=5))
"""Deferred, as other strategies hold it many times over."""
SHOWN = st.one_of(
    TEST,
    st.sampled_from([*FIELDS, *ADDRESS, "open_pixel_url"]),
    st.sampled_from(ADDRESS).map(lambda address: f"{address}|url"),
    st.tuples(st.sampled_from(ADDRESS), TEST, st.sampled_from(ADDRESS)).map(
        lambda parts: "({} if {} else {})|url".format(*parts)
    ),
)
OUTPUT = SHOWN.map(lambda shown: "{{ " + shown + " }}")
ATTRIBUTE = SHOWN.map(lambda shown: '<a title="{{ ' + shown + ' }}" href="{{ unsubscribe_url|url }}">')
PIXEL = st.just('{% if open_pixel_url %}<img src="{{ open_pixel_url|url }}">{% endif %}')
LOOP = OUTPUT.map(lambda output: "{% for each in sender %}{{ each }}" + output + "{% endfor %}")


def _statement(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=4).map("".join)
    return st.tuples(TEST, body, st.lists(st.tuples(TEST, body), max_size=1), st.none() | body).map(_condition)


def _condition(parts: tuple[str, str, list[tuple[str, str]], str | None]) -> str:
    test, body, others, last = parts
    elifs = "".join("{% elif " + other + " %}" + text for other, text in others)
    return "{% if " + test + " %}" + body + elifs + ("" if last is None else "{% else %}" + last) + "{% endif %}"


PLAIN = st.one_of(LITERAL, OUTPUT, ATTRIBUTE, PIXEL)
FIELD = st.sampled_from(FIELDS).map("{{{{ {} }}}}".format)
PIECE = st.deferred(lambda: st.one_of(LITERAL, LITERAL, LOOP, st.recursive(PLAIN, _statement, max_leaves=8)))
BODY = st.lists(PIECE, max_size=10).map("".join)
PARAGRAPH = st.one_of(BODY, FIELD, st.sampled_from(["", "Steady", "word " * 30]))
TEXT = st.lists(st.tuples(PARAGRAPH, st.sampled_from(["\n\n", "\n \t\n", "\n"])).map("".join), max_size=5).map("".join)
SUBJECT = st.tuples(st.sampled_from(["S ", "S ", ""]), st.lists(st.text("a ", max_size=5) | FIELD, max_size=3)).map(
    lambda parts: parts[0] + "".join(parts[1])
)
ODD = ["", '"', "a b\n\nc", "<&\"'>", "x" * 78, "\x0b\r", "\u2029 é", "b" * 4001, "&" * 900]
NAME = st.one_of(
    st.sampled_from(["Kim", "Weber", "Anna Maria", "Groß & Söhne"]), st.sampled_from(ODD), st.text(max_size=30)
)
LEAD = st.dictionaries(st.sampled_from(["first_name", "last_name", "salutation", "company"]), NAME)


def written(subject: str, html: str, text: str) -> Mail:
    """Give a mail of these templates."""
    compiled = Compiled(subject, html, text, "", LINKS, frozenset())
    return Mail("course/first/cold/en", "0" * 64, MessageClass.EDUCATIONAL, "en", compiled, ZoneInfo("Europe/Berlin"))


@given(
    SUBJECT,
    BODY,
    TEXT,
    st.lists(LEAD, min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@example("a", "{{ lead.company|url }}", "b", [{"company": "javascript:alert(1)"}], True, True, True)
@example("{{ lead.company }}", "a", "b", [{"company": "a\nBcc: x@y.example"}], True, True, True)
@example("a", "b", "{% if lead.company %}\n\nA\n\n{% endif %}\n\n{{ lead.first_name }}", [{}], True, True, True)
@example("a", "{{ lead.company }}" * 20, "b", [{"company": "&" * 4000}, {}], True, True, True)
@example("a", "b", "{{ lead.company }}\n\nSteady\n\n{{ lead.company }}", [{"company": "A"}, {}], True, True, True)
def test_any_mail_is_the_same_both_ways(
    subject: str,
    html: str,
    text: str,
    leads: list[Mapping[str, str]],
    tracked: bool,  # noqa: FBT001  Hypothesis passes by position
    noticed: bool,  # noqa: FBT001
    customer: bool,  # noqa: FBT001
) -> None:
    """Byte for byte; what the one refuses, the other refuses with the same error, and for this person alone.

    Without a skeleton it cannot be rendered for anybody, or its values are too large for a request for many.
    """
    mail = written(subject, html, text)
    privacy = "https://nurture.example/privacy" if noticed else None
    shared = frame(tracked=tracked, privacy=privacy, customer=customer)
    made = skeleton(mail, shared)
    for lead in leads:
        full = in_full(mail, shared, lead)
        if isinstance(made, Obstacle):
            assert isinstance(full, type) or "bytes" in made.reason, made
        else:
            assert in_parts(mail, shared, lead) == full
