"""What does a mail cost? Compiling all, rendering one, and how much of it our guards add to plain Jinja."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from jinja2 import Environment

from nurture.delivery.content import engine, library, sample
from nurture.delivery.content.library import Library, MailKey, Urls
from nurture.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable


def timed(work: Callable[[], object], times: int) -> float:
    """Give the median of many runs, in milliseconds."""
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        spent.append((time.perf_counter() - started) * 1000)
    return statistics.median(spent)


def run(*, quick: bool = False) -> dict[str, object]:
    """Measure; a ratio of 1 would mean that escaping, sandbox, checks and text part cost nothing."""
    times = 200 if quick else 2000
    started = time.process_time()
    library._loaded.clear()  # noqa: SLF001  the cache is what must not help here
    loaded = Library.load(PROJECT / "templates")
    load = time.process_time() - started
    mail = loaded.mail(MailKey("welcome", "proof", "warm", "de"))
    context, urls = sample.context(mail), Urls(lambda index, _: f"https://track.example/c/token/{index}")
    values = context | {"track": lambda _key, url: url}
    bare = Environment(autoescape=False)  # noqa: S701  as above
    bare.filters["url"] = str
    yardstick = [bare.from_string(part) for part in (mail.compiled.subject, mail.compiled.html, mail.compiled.text)]
    ours = timed(lambda: mail.render(context, urls), times)
    theirs = timed(lambda: [part.render(values) for part in yardstick], times)
    simple = "<mjml><mj-body><mj-section><mj-column><mj-text>x</mj-text></mj-column></mj-section></mj-body></mjml>"
    return {
        "mails": len(loaded.mails),
        "load_all_seconds": load,
        "render_ms_p50": ours,
        "plain_jinja_ms_p50": theirs,
        "render_to_plain_jinja": ours / theirs,
        "smallest_mjml_ms_p50": timed(lambda: engine.to_html(simple), times),
    }
