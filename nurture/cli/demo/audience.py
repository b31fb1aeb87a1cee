"""What do the recipients do? They know the mails they got and nothing else; seeded, so every demo is the same.

Providers' facts come as events in SendGrid's format, signed like SendGrid's; a part of the clicks,
the requests and the withdrawals come over HTTP, as from browsers and mail programs.
"""

from __future__ import annotations

import binascii
import email
import re
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
APPLE_PROXY = "Mozilla/5.0"
TRACKED = re.compile(r"https?://[^\s\"'<>]+/c/[^\s\"'<>]+/\d+")
PIXEL = re.compile(r"https?://[^\s\"'<>]+/o/[^\s\"'<>]+\.gif")
BOUNCING, BEHIND_SCANNER, PREFETCHING = 0.015, 0.12, 0.18
"""Shares of mailboxes that do not exist, sit behind a link scanner, or prefetch pictures."""
OVER_REDIRECT = 0.25
"""Share of clicks that come over our own redirect rather than as a provider's event."""
ENQUIRIES = ("demo_request", "demo_request", "price_request", "offer_request")


@dataclass(frozen=True)
class Habit:
    """How likely somebody opens, clicks each link, fetches the guide, asks sales, leaves; per mail."""

    opens: float
    clicks: float
    downloads: float
    asks: float
    leaves: float


HABITS = {
    "silent": Habit(opens=0.08, clicks=0.0, downloads=0.0, asks=0.0, leaves=0.01),
    "reader": Habit(opens=0.75, clicks=0.3, downloads=0.03, asks=0.0, leaves=0.012),
    "engaged": Habit(opens=0.95, clicks=0.8, downloads=0.6, asks=0.015, leaves=0.005),
    "buyer": Habit(opens=0.97, clicks=0.9, downloads=0.8, asks=0.12, leaves=0.0),
}
SHARES = (("silent", 0.26), ("reader", 0.28), ("engaged", 0.28), ("buyer", 0.18))


@dataclass(frozen=True)
class Mail:
    """One mail as it lies in the outbox."""

    public_id: str
    address: str
    marketing: bool
    unsubscribe: str
    links: tuple[str, ...]
    pixel: str | None
    text: str


@dataclass(frozen=True)
class Deed:
    """Something done over HTTP: click, ask (which form), one_click, or page (leave by the page)."""

    at: datetime
    what: str
    mail: Mail
    detail: str = ""


def read_mail(path: Path) -> Mail:
    """Read one file of the outbox as the recipient's mail program would."""
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    headers = email.message_from_bytes(head + b"\r\n\r\n")
    # Both parts are quoted-printable: decoded at once, a thousand mails take no time.
    shown = binascii.a2b_qp(body).decode("utf-8", "replace")
    header = str(headers.get("List-Unsubscribe", ""))
    pixel = PIXEL.search(shown)
    return Mail(
        public_id=path.stem,
        address=parseaddr(str(headers["To"]))[1],
        marketing=bool(header),
        unsubscribe=header.strip("<> ").split(">")[0],
        links=tuple(dict.fromkeys(TRACKED.findall(shown))),
        pixel=pixel[0] if pixel else None,
        text=shown,
    )


class Audience:
    """Everybody who gets mail."""

    def __init__(self, seed: str) -> None:
        """Decide nothing yet: each person's habits follow from the seed and the address."""
        self.seed = seed

    def habit(self, address: str) -> tuple[str, Random]:
        """Give a person's kind, and dice that fall the same in every demo."""
        dice = Random(f"{self.seed}:{address}")  # noqa: S311  a play, no secret
        roll = dice.random()
        for name, share in SHARES:
            roll -= share
            if roll < 0:
                return name, dice
        return SHARES[-1][0], dice

    def react(self, mail: Mail, sent: datetime) -> tuple[list[dict[str, Any]], list[Deed]]:
        """Give the provider's events and the person's own deeds for one marketing mail."""
        kind, person = self.habit(mail.address)
        dice = Random(f"{self.seed}:{mail.address}:{sent.isoformat()}")  # noqa: S311
        habit = HABITS[kind]
        events = [_event(mail, "processed", sent + timedelta(seconds=1))]
        fate = person.random()
        if fate < BOUNCING:
            reason = {"reason": "550 5.1.1 mailbox unavailable", "status": "5.1.1", "type": "bounce"}
            bounced = {**reason, "bounce_classification": "Invalid Address"}
            return [*events, _event(mail, "bounce", sent + timedelta(seconds=4), **bounced)], []
        events.append(_event(mail, "delivered", sent + timedelta(seconds=5), response="250 OK"))
        if fate < BEHIND_SCANNER:
            events += self._scanner(mail, sent)
        if fate > 1 - PREFETCHING and mail.pixel:
            events.append(_opened(mail, sent + timedelta(seconds=9), machine=True))
        if dice.random() > habit.opens:
            return events, []
        seen = sent + timedelta(minutes=dice.randint(9, 420), seconds=dice.randint(0, 59))
        if mail.pixel:
            events.append(_opened(mail, seen, machine=False))
        clicked, deeds = self._clicks(mail, seen, habit, dice)
        return events + clicked, deeds + self._ends(mail, seen, habit, dice)

    @staticmethod
    def _scanner(mail: Mail, sent: datetime) -> Iterator[dict[str, Any]]:
        """A security gateway fetches every link within seconds of the delivery."""
        for number, link in enumerate(mail.links):
            yield _clicked(mail, sent + timedelta(seconds=6 + number // 4), link, number, "192.0.2.250")

    @staticmethod
    def _clicks(mail: Mail, seen: datetime, habit: Habit, dice: Random) -> tuple[list[dict[str, Any]], list[Deed]]:
        """A person follows one link, sometimes a second one; one click in four goes over our redirect."""
        events, deeds = [], []
        for turn, number in enumerate(sorted(dice.sample(range(len(mail.links)), k=min(2, len(mail.links))))):
            if dice.random() > habit.clicks / (turn + 1):
                continue
            moment = seen + timedelta(seconds=40 + turn * 95 + dice.randint(0, 50))
            if dice.random() < OVER_REDIRECT:
                deeds.append(Deed(moment, "click", mail, mail.links[number]))
            else:
                events.append(_clicked(mail, moment, mail.links[number], number, "192.0.2.20"))
        return events, deeds

    @staticmethod
    def _ends(mail: Mail, seen: datetime, habit: Habit, dice: Random) -> list[Deed]:
        later, deeds = seen + timedelta(minutes=12), []
        if dice.random() < habit.downloads:
            deeds.append(Deed(seen + timedelta(minutes=5), "ask", mail, "whitepaper"))
        if dice.random() < habit.asks:
            deeds.append(Deed(later, "ask", mail, dice.choice(ENQUIRIES)))
        elif dice.random() < habit.leaves:
            deeds.append(Deed(later, dice.choice(["one_click", "page", "complain"]), mail))
        return deeds


def complaint(mail: Mail, at: datetime) -> dict[str, Any]:
    """Give the provider's word that somebody pressed the spam button."""
    return _event(mail, "spamreport", at)


def _event(mail: Mail, name: str, at: datetime, **more: object) -> dict[str, Any]:
    """Give one event as the provider posts it."""
    return {
        "email": mail.address, "timestamp": int(at.timestamp()), "event": name,
        "sg_event_id": f"{mail.public_id}-{name}-{int(at.timestamp())}", "sg_message_id": f"{mail.public_id}.recvd-0",
        "smtp-id": f"<{mail.public_id}@demo>", "category": ["nurture"], "nurture_message_id": mail.public_id,
        "nurture_attempt": "1", **more,
    }  # fmt: skip


def _opened(mail: Mail, at: datetime, *, machine: bool) -> dict[str, Any]:
    agent = {"useragent": APPLE_PROXY if machine else BROWSER, "ip": "192.0.2.21" if machine else "192.0.2.20"}
    return _event(mail, "open", at, sg_machine_open=machine, sg_content_type="html", **agent)


def _clicked(mail: Mail, at: datetime, url: str, index: int, ip: str) -> dict[str, Any]:
    offset = {"index": index, "type": "html"}
    return _event(mail, "click", at, url=url, url_offset=offset, ip=ip, useragent=BROWSER)
