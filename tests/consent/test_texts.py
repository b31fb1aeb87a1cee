"""Wordings: complete, versioned, never edited (T46, R6)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DatabaseError

from consent import texts
from consent.schema import consent_text
from tests.consent import wording

if TYPE_CHECKING:
    from datetime import datetime

    from nurture.store.engine import Store

GOOD = wording.standard("default", "Musterwerk GmbH")
NEWS_DE, NEWS_EN, TRACK_DE, TRACK_EN = GOOD


def test_wordings_are_published_once(store: Store, at: datetime) -> None:
    """Complete wordings may be published; again changes nothing."""
    with store.write() as conn:
        assert [texts.publish(conn, GOOD, at=at) for _ in range(2)] == [4, 0]
        listed = texts.overview(conn)
        shown = texts.current(conn, controller="default", purpose=NEWS_DE.purpose, language="de")

    assert [one["version"] for one in listed] == [1, 1, 1, 1]
    assert shown.body == NEWS_DE.body
    assert shown.sha256 == hashlib.sha256(NEWS_DE.body.encode()).hexdigest()


@pytest.mark.requirement(116)
@pytest.mark.requirement(118)
@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        (replace(NEWS_DE, body=NEWS_DE.body.replace("Musterwerk GmbH", "wir")), "the name of the company"),
        (replace(NEWS_DE, controller_name=" "), "the name of the company"),
        (replace(NEWS_EN, subject_matter=""), "what it is about"),
        (replace(NEWS_EN, body=NEWS_EN.body.replace("expert knowledge", "things")), "what it is about"),
        (replace(NEWS_DE, body=NEWS_DE.body.replace("widerrufen", "x").replace("Abmelde", "x")), "withdrawn"),
        (replace(NEWS_EN, body=NEWS_EN.body.replace("withdraw", "x").replace("unsubscribe", "x")), "withdrawn"),
        (replace(TRACK_DE, body=TRACK_DE.body.replace("öffne", "lese"), subject_matter="Links"), "opens and clicks"),
        (
            replace(TRACK_EN, body=TRACK_EN.body.replace("click", "x").replace("links", "x"), subject_matter="open"),
            "clicks",
        ),
        (replace(NEWS_DE, language="fr"), "a language that can be checked"),
    ],
)
def test_incomplete_wordings_are_refused(store: Store, at: datetime, text: texts.TextVersion, lacks: str) -> None:
    """R6: no name, no subject, no withdrawal notice, no tracking statement: not published."""
    with store.write() as conn:
        with pytest.raises(texts.TextError, match=lacks):
            texts.publish(conn, [text], at=at)
        assert texts.overview(conn) == []


def test_t46_published_text_stays(store: Store, at: datetime) -> None:
    """T46: another body under a published version is refused; a new version is the way."""
    changed = replace(NEWS_DE, body=NEWS_DE.body + " Neu.")
    with store.write() as conn:
        texts.publish(conn, GOOD, at=at)
        with pytest.raises(texts.PublishedTextError, match="publish a new version"):
            texts.publish(conn, [changed], at=at)
        assert texts.publish(conn, [replace(changed, version=3)], at=at) == 1
        with pytest.raises(texts.TextError, match="comes too late"):
            texts.publish(conn, [replace(changed, version=2)], at=at)
        shown = texts.current(conn, controller="default", purpose=NEWS_DE.purpose, language="de")

    assert (shown.version, shown.body) == (3, changed.body)


def test_t46_an_edited_form_is_another_version(store: Store, at: datetime) -> None:
    """T46: the same bytes are one version, edited ones the next; the database refuses to change either."""
    edits = ("<form>", "<form>", "<form checked>", "<form>")
    with store.write() as conn:
        made = [
            texts.publish_form(conn, controller="default", form="subscribe", language="de", body=body, at=at)
            for body in edits
        ]
        assert [one.version for one in made] == [1, 1, 2, 3]
        assert texts.overview(conn) == []
        assert len(texts.overview(conn, channel=texts.FORM)) == 3
        assert texts.register(conn) == {}
    with pytest.raises(DatabaseError, match="append-only"), store.write() as conn:
        conn.execute(update(consent_text).values(body="<form other>"))
    with pytest.raises(DatabaseError, match="append-only"), store.write() as conn:
        conn.execute(delete(consent_text))


def test_missing_text_is_named(store: Store) -> None:
    """The message names controller, purpose and language."""
    with store.read() as conn, pytest.raises(texts.TextError, match=r"default/newsletter\.product/de"):
        texts.current(conn, controller="default", purpose="newsletter.product", language="de")
