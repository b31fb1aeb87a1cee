"""What can an author write who wants more than words? Two fences, each tested alone."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from jinja2 import TemplateError

from nurture.delivery.content import RenderError
from nurture.delivery.content.language import HTML, TEXT
from tests.nurture.delivery.content.desk import LINE, Desk

ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ lead.__class__.__init__.__globals__ }}",
    "{{ lead['__class__'] }}",
    "{{ lead|attr('__class__') }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ lipsum(n=100000) }}",
    "{{ joiner.__init__ }}",
    "{{ namespace(x=1) }}",
    "{{ ''.join(['a', 'b']) }}",
    "{{ '{0.__class__}'.format(lead) }}",
    "{{ '%s' % lead }}",
    "{{ 'a' * 2000000000 }}",
    "{{ 2 ** 100000000 }}",
    "{{ 'a'.ljust(2000000000) }}",
    "{{ 'a'|center(2000000000) }}",
    "{{ range(100000000)|list }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{% for a in [1,2,3] %}{% for b in [1,2,3] %}x{% endfor %}{% endfor %}",
    "{{ lead.items() }}",
    "{{ lead.clear() }}",
    "{{ lead.delete() }}",
    "{{ lead.password_hash }}",
    "{{ lead.nickname|default('friend') }}",
    "{{ lead.first_name|safe }}",
    "{{ [lead]|map(attribute='first_name')|list }}",
    "{{ lead|tojson }}",
    "{{ config }}",
    "{{ request.application }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% set x = 1 %}",
    "{% macro m() %}{% endmacro %}",
    "{% filter upper %}x{% endfilter %}",
    "{% raw %}{{ x }}{% endraw %}",
    "{{ track(lead.first_name, 'https://musterwerk.example/') }}",
    "{{ track('k', 'javascript:alert(1)') }}",
    "{{ (lead.first_name ~ lead.first_name)|upper }}",
]


@pytest.mark.parametrize("code", ESCAPES)
def test_the_build_refuses_it_with_its_line(desk: Desk, code: str) -> None:
    desk.write(code)
    assert f"course/first/cold/body.en.mjml:{LINE}: " in desk.complaint().splitlines()[0]


HARMLESS_ALONE = {"{% for a in [1,2,3] %}{% for b in [1,2,3] %}x{% endfor %}{% endfor %}", "{% set x = 1 %}",
                  "{% macro m() %}{% endmacro %}", "{% raw %}{{ x }}{% endraw %}"}  # fmt: skip
"""Bounded by themselves; only the first fence minds them."""


@pytest.mark.parametrize("code", [code for code in ESCAPES if code not in HARMLESS_ALONE])
@pytest.mark.parametrize("sandbox", [HTML, TEXT], ids=["html", "text"])
def test_the_sandbox_alone_stops_it_cheaply(sandbox: object, code: str) -> None:
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises((TemplateError, RenderError, KeyError, TypeError)):
            getattr(sandbox, "from_string")(code).render(lead={"first_name": "Kim"})  # noqa: B009  either environment
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 2


def test_fields_of_the_context_are_plain_dicts_only() -> None:
    class Person:
        first_name = "Kim"

    with pytest.raises(TemplateError):
        TEXT.from_string("{{ lead.first_name }}").render(lead=Person())


def test_if_and_for_are_enough_for_authors(desk: Desk) -> None:
    desk.write("{% if lead.company == 'A' and not lead.first_name %}x{% elif lead.last_name %}y{% else %}z{% endif %}")
    assert desk.rules() == []


def test_two_addresses_under_one_key_are_refused(desk: Desk) -> None:
    desk.write('<a href="{{ track("guide", "https://musterwerk.example/other") }}">x</a>')
    assert "already leads to another address" in desk.complaint()
