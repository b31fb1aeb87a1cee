"""Does Jinja come out of the compiler as it went in?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.delivery.content import RefusedError, engine, tokens
from nurture.delivery.content.source import Source

SHELL = (
    '<mjml><mj-head><mj-attributes><mj-all font-family="Arial"/></mj-attributes></mj-head>'
    "<mj-body>\n{}\n</mj-body></mjml>"
)


def source(text: str) -> Source:
    return Source("x.mjml", text, tuple(("x.mjml", number) for number in range(1, text.count("\n") + 2)))


def through(text: str) -> str:
    protected = tokens.protect(source(SHELL.format(text)))
    return protected.restore(engine.to_html(protected.text))


words = st.sampled_from(["name", "lead.first_name", 'x == "}}"', "a < b and c > d", "'%}'", "x|url"])
expressions = words.map("{{{{ {} }}}}".format)
inline = st.one_of(
    expressions,
    words.map("{{% if {} %}}yes{{% else %}}no{{% endif %}}".format),
    expressions.map("<a href='{}'>link</a>".format),
    st.just("plain &amp; simple"),
)
texts = st.lists(inline, min_size=1, max_size=4).map(lambda parts: f"<mj-text>{' '.join(parts)}</mj-text>")
tables = expressions.map(
    "<mj-table><tr><td>h</td></tr>{{% for x in y %}}<tr><td>{}</td></tr>{{% endfor %}}</mj-table>".format
)
buttons = expressions.map("<mj-button href='{}'>press</mj-button>".format)
parts = st.lists(st.one_of(texts, tables, buttons), min_size=1, max_size=4)
sections = parts.map(lambda inner: f"<mj-section><mj-column>{''.join(inner)}</mj-column></mj-section>")
wrapped = st.one_of(
    sections, sections.map("{{% if lead %}}{}{{% endif %}}".format), sections.map("<mj-wrapper>{}</mj-wrapper>".format)
)
bodies = st.lists(wrapped, min_size=1, max_size=3).map("\n".join)


@given(bodies)
@settings(max_examples=60, deadline=None)
def test_restoring_loses_and_reorders_nothing(body: str) -> None:
    restored = through(body)
    before, after = (list(tokens.TAG.finditer(text)) for text in (body, restored))
    assert [tag[0] for tag in after if tag["block"]] == [tag[0] for tag in before if tag["block"]]
    assert {tag[0] for tag in after} == {tag[0] for tag in before}
    assert "<!--nj" not in restored


def test_comparison_survives_unescaped() -> None:
    assert "{% if a < b %}" in through(
        "<mj-section><mj-column><mj-text>{% if a < b %}x{% endif %}</mj-text></mj-column></mj-section>"
    )


def test_loop_stays_between_table_rows() -> None:
    html = through(
        "<mj-section><mj-column><mj-table>{% for t in texts %}<tr><td>{{ t }}</td></tr>{% endfor %}</mj-table>"
        "</mj-column></mj-section>"
    )
    assert "{% for t in texts %}<tr><td>{{ t }}</td></tr>{% endfor %}" in html


def test_lost_token_names_its_line() -> None:
    protected = tokens.protect(source("<mjml>\n<mj-body>\n<p>{{ gone }}</p></mj-body></mjml>"))
    with pytest.raises(RefusedError, match=r"x\.mjml:3: lost: \{\{ gone \}\}"):
        protected.restore("<html></html>")


def test_moved_block_is_refused() -> None:
    protected = tokens.protect(source("<p>{% if a %}x{% endif %}</p>"))
    first, second = (f"<!--{tag.token}-->" for tag in protected.tags)
    with pytest.raises(RefusedError, match="moved or repeated"):
        protected.restore(f"{second}x{first}")


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("a\n{{ name", 2, "syntax"),
        ("a\n\n<p {{ name }}>x</p>", 3, "attribute"),
        ('<p\nstyle="color:{{ name }}">x</p>', 2, "attribute"),
        ('<p onclick="{{ name }}">x</p>', 1, "attribute"),
    ],
)
def test_tag_in_wrong_place_is_refused(text: str, line: int, rule: str) -> None:
    with pytest.raises(RefusedError) as refused:
        tokens.protect(source(text))
    assert [(finding.line, finding.rule) for finding in refused.value.findings] == [(line, rule)]
