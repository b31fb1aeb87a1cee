"""What does a mail cost? Compiling all, rendering one in full or from a skeleton, and what our guards add to Jinja."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from jinja2 import Environment

from consent import tokens
from consent.keys import Keyring
from nurture.delivery.content import engine, library, sample
from nurture.delivery.content.addresses import Addresses
from nurture.delivery.content.library import Library, Mail, MailKey, Urls
from nurture.delivery.content.skeleton import Skeleton, skeleton
from nurture.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable


KEYRING = Keyring()


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
        **skeletons(mail, people=1_000 if quick else 5_000),
    }


def skeletons(mail: Mail, *, people: int) -> dict[str, object]:
    """Write a batch from its skeletons and in full, by turns: half of it tracked, no two people alike.

    Tokens and addresses are there already, for both. CPU time, medians of five.
    """
    batch = [_person(number) for number in range(people)]
    frames = {tracked: sample.frame(tracked=tracked) for tracked in (True, False)}
    skeleton.cache_clear()
    contents = {tracked: skeleton(mail, frame) for tracked, frame in frames.items()}

    def fill() -> None:
        for lead, tracked, addresses, _ in batch:
            made = contents[tracked]
            if isinstance(made, Skeleton):
                made.values(lead, addresses.parts)

    def render() -> None:
        for _, _, addresses, context in batch:
            mail.render(context, Urls(addresses.link))

    fills, renders = [], []
    for _ in range(5):
        fills.append(cpu(fill))
        renders.append(cpu(render))
    one, full = statistics.median(fills) / people, statistics.median(renders) / people
    return {
        "skeleton_fill_us": one * 1e6,
        "full_render_us": full * 1e6,
        "skeleton_fill_to_full_render": one / full,
        "contents_per_batch": len(contents),
        "template_executions_per_batch": skeleton.cache_info().misses,
        "people_per_batch": people,
    }


def _person(number: int) -> tuple[dict[str, str], bool, Addresses, dict[str, object]]:
    lead = {**sample.FULL, "last_name": f"Weber{number}", "company": f"Pumpen {number} GmbH"}
    tracked = number % 2 == 0
    addresses = Addresses(sample.SITE, tracked, tokens.parts_for_mail(KEYRING, tokens.random_id()))
    context: dict[str, object] = {
        "lead": lead,
        "sender": sample.SENDER,
        "unsubscribe_url": addresses.unsubscribe,
        "preferences_url": addresses.preferences,
        "open_pixel_url": addresses.pixel,
        "existing_customer": None,
        "privacy_url": f"{sample.SITE}/privacy",
    }
    return lead, tracked, addresses, context


def cpu(work: Callable[[], object]) -> float:
    """Give the CPU seconds of one run."""
    started = time.process_time()
    work()
    return time.process_time() - started
