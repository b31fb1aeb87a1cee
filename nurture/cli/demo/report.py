"""What does the demo's report look like? One HTML file with pictures, drawn from the tables."""

from __future__ import annotations

import email
import email.policy
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import Connection, select

from nurture.cli.demo import figures
from nurture.cli.demo.story import story
from nurture.cli.demo.words import WORDS
from nurture.settings import Settings
from nurture.store.tables import message, send_batch
from nurture.store.workspace import open_workspace

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

DAYS = 30
LEFT, RIGHT, TOP, BOTTOM = 50, 945, 12, 264


def write(home: Path, language: str) -> Path:
    """Write report.html into the workspace and give its path."""
    with open_workspace(Settings(home=home)) as workspace, workspace.store.read() as connection:
        found = figures.read(connection)
        zone, words = workspace.settings.tz, WORDS[language]
        first = connection.execute(select(send_batch.c.planned_at).order_by(send_batch.c.id).limit(1)).scalar()
        ends = figures.days(_midnight(first, zone), DAYS) if first else []
        by_day = figures.temperatures_by_day(connection, ends)
        chosen = figures.liveliest_lead(connection)
        shown = {
            "language": language, "t": words, "figures": found, "tiles": _tiles(found, words),
            "area": _area(by_day, ends, zone), "mails": _mails(found), "three": _three(connection, home),
            "by_day": list(zip((_day(end, zone) for end in ends), by_day, strict=True)),
            "story": story(connection, chosen, zone, language) if chosen else None,
            "command": f"NURTURE_HOME={home} .venv/bin/nurture",
        }  # fmt: skip
    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
    target = home / "report.html"
    target.write_text(pages.get_template("report.html").render(shown), "utf-8")
    return target


def _midnight(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def _day(end: datetime, zone: ZoneInfo) -> str:
    """Name the day that ends at a midnight."""
    return f"{(end - timedelta(hours=1)).astimezone(zone):%d.%m.}"


def _tiles(found: figures.Figures, words: dict[str, Any]) -> list[tuple[int, str]]:
    return [(getattr(found, name), label) for name, label in words["tiles"].items()]


def _mails(found: figures.Figures) -> list[tuple[str, dict[str, int]]]:
    rows: dict[str, dict[str, int]] = {}
    for step, temperature, number in found.mails:
        rows.setdefault(step, {})[temperature] = number
    return list(rows.items())


def _area(by_day: list[dict[str, int]], ends: list[datetime], zone: ZoneInfo) -> dict[str, Any]:
    """Give the stacked bands of the temperature picture as points, with grid and days."""
    most = max([sum(counts.values()) for counts in by_day], default=0) or 1
    step = (RIGHT - LEFT) / max(len(by_day) - 1, 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * value / most, 1)

    bands, below = [], [0] * len(by_day)
    for name in reversed(figures.TEMPERATURES):
        above = [low + counts[name] for low, counts in zip(below, by_day, strict=True)]
        upper = [f"{LEFT + step * day:.1f},{y(value)}" for day, value in enumerate(above)]
        lower = [f"{LEFT + step * day:.1f},{y(value)}" for day, value in reversed(list(enumerate(below)))]
        bands.append((name, " ".join(upper + lower)))
        below = above
    grid = [(y(most * part / 4), round(most * part / 4)) for part in range(5)]
    days = [(round(LEFT + step * day, 1), _day(end, zone)) for day, end in enumerate(ends) if day % 5 == 0]
    return {"bands": bands, "grid": grid, "days": days}


def _three(connection: Connection, home: Path) -> list[dict[str, str]]:
    """Give one step as it went out cold, warm and hot; of the step that reached the most temperatures."""
    rows = connection.execute(
        select(message.c.sequence, message.c.step, message.c.temperature, message.c.public_id)
        .where(message.c.kind == "marketing", message.c.language == "de")
        .order_by(message.c.id)
    ).all()
    steps: dict[tuple[str, str], dict[str, str]] = {}
    for sequence, step, temperature, public_id in rows:
        if (home / "outbox" / f"{public_id}.eml").exists():
            steps.setdefault((sequence, step), {}).setdefault(temperature, public_id)
    if not steps:
        return []
    best = max(steps.values(), key=len)
    return [_mail(home / "outbox" / f"{best[t]}.eml", t) for t in figures.TEMPERATURES if t in best]


def _mail(path: Path, temperature: str) -> dict[str, str]:
    parsed: Any = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    html = parsed.get_body(("html",))
    return {"temperature": temperature, "subject": str(parsed["Subject"]), "html": html.get_content() if html else ""}
