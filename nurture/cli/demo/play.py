"""What happens in the demo? Thirty virtual days, through the doors that production has.

Files go through the import, sign-ups and withdrawals over HTTP on loopback, provider events as
signed posts to the webhook, and everything else through the real flows on a real Prefect server.
Only two things are put on: the clock, and an outbox folder in place of the provider.
"""

from __future__ import annotations

import base64
import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from nurture.cli.demo.audience import BROWSER, Audience, Deed, complaint, read_mail
from nurture.cli.demo.people import sign_ups
from nurture.cli.demo.visitor import Visitor
from nurture.clock import VirtualClock
from nurture.handover import answers
from nurture.leads import wordings
from nurture.settings import Settings
from nurture.store.tables import handover
from nurture.store.workspace import Workspace, open_workspace
from nurture.web.app import create_app
from nurture.web.server import configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nurture.cli.demo.audience import Mail

DATA = Path(__file__).resolve().parent / "data"
START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
"""A Monday, 07:00 in Berlin; the thirty days contain the change to summer time."""
DAYS = 30
MORNING = timedelta(hours=2)
EVENING = timedelta(hours=14)
SIGN_UP_DAYS = (0, 1, 3, 7, 10, 14)
SATURDAY = 5
FILES = ("mailchimp_unsubscribed.csv", "mailchimp.csv", "hubspot.csv")
"""Suppression first."""
CONFIRM_LINK = re.compile(r"https?://\S+/confirm/[^\s\"'<>]+")
HELD_BACK = 0.2
"""Share of the people signing up who never confirm."""


@dataclass
class Play:
    """The stage: workspace, clock, public pages, recipients."""

    workspace: Workspace
    clock: VirtualClock
    client: httpx.Client
    signer: ec.EllipticCurvePrivateKey
    flows: Flows
    audience: Audience = field(default_factory=lambda: Audience("nurture"))
    read: set[str] = field(default_factory=set)
    """Outbox files somebody has looked into."""
    waiting: list[Deed] = field(default_factory=list)
    visitors: int = 0

    # --- people at their browsers ------------------------------------------------------------

    def visitor(self) -> Visitor:
        """Give the next person an address of the documentation ranges."""
        self.visitors += 1
        ip = f"203.0.113.{self.visitors % 250 + 1}" if self.visitors % 2 else f"198.51.100.{self.visitors % 250 + 1}"
        return Visitor(self.client, ip, BROWSER)

    def fill_in(self, path: str, values: dict[str, str]) -> httpx.Response:
        """Open a form, take a while, send it; boxes named in `values` are ticked."""
        person = self.visitor()
        page, forms = person.read(path)
        self.clock.move_to(self.clock.now() + timedelta(seconds=20))
        return person.send(page, forms[-1], values)

    def sign_up(self, address: str, *, tracking: bool) -> None:
        """Ask for the mails by the form."""
        page, forms = self.visitor().read("/subscribe")
        boxes = forms[-1].boxes
        ticked = {name: value for name, value in boxes.items() if tracking or "tracking" not in name + value}
        self.clock.move_to(self.clock.now() + timedelta(seconds=20))
        answer = self.visitor().send(page, forms[-1], {"address": address, **ticked})
        answer.raise_for_status()

    def confirm(self, mail: Mail) -> None:
        """Follow the link of the confirmation mail and press the button."""
        link = CONFIRM_LINK.search(mail.text)
        if link is None:
            return
        person = self.visitor()
        page, forms = person.read(link[0])
        person.send(page, forms[0], {}).raise_for_status()

    # --- the provider ------------------------------------------------------------------------

    def post_events(self, events: list[dict[str, Any]]) -> None:
        """Post events as SendGrid does: in batches, out of order, signed, and some of them twice."""
        for start in range(0, len(events), 100):
            batch = events[start : start + 100]
            body = (json.dumps(batch[::-1] if start % 200 else batch) + "\r\n").encode()
            self._post(body)
            if start == 0:
                self._post(body)

    def _post(self, body: bytes) -> None:
        moment = str(int(self.clock.now().timestamp()))
        signature = self.signer.sign(moment.encode() + body, ec.ECDSA(hashes.SHA256()))
        prefix = "X-Twilio-Email-Event-Webhook"
        headers = {
            f"{prefix}-Signature": base64.b64encode(signature).decode(),
            f"{prefix}-Timestamp": moment,
            "Content-Type": "application/json",
        }
        self.client.post("/hooks/sendgrid", content=body, headers=headers).raise_for_status()

    # --- the days ----------------------------------------------------------------------------

    def new_mails(self) -> list[Mail]:
        """What lies in the outbox that nobody has looked into yet?"""
        folder = self.workspace.home / "outbox"
        fresh = sorted(path for path in folder.glob("*.eml") if path.name not in self.read) if folder.exists() else []
        self.read |= {path.name for path in fresh}
        return sorted((read_mail(path) for path in fresh), key=lambda mail: mail.address)

    def day(self, number: int) -> None:
        """One day: sign-ups, the morning's mails, reactions, the evening's scores and handovers."""
        today = START + timedelta(days=number)
        self.clock.move_to(max(today, self.clock.now()))
        if number in SIGN_UP_DAYS:
            self._sign_ups(number)
        if today.weekday() >= SATURDAY and not self.waiting:
            return  # nothing is sent, and nobody reacts
        self.clock.move_to(today + MORNING)
        if today.weekday() < SATURDAY:
            self.flows.run_sequences(at=self.clock.now())
        events: list[dict[str, Any]] = []
        for mail in self.new_mails():
            if mail.marketing:
                told, deeds = self.audience.react(mail, self.clock.now())
                events += told
                self.waiting += deeds
        self._deeds(today + EVENING)
        self.clock.move_to(today + EVENING)
        self.post_events([one for one in events if one["timestamp"] <= self.clock.now().timestamp()])
        result = self.flows.ingest_events(at=self.clock.now())
        if result.get("qualified"):
            self.flows.hand_over(at=self.clock.now())
        self._sales()

    def _sign_ups(self, number: int) -> None:
        """People sign up; most press the button in their confirmation mail, some never do."""
        everybody = sign_ups()
        for position, person in list(enumerate(everybody))[SIGN_UP_DAYS.index(number) :: len(SIGN_UP_DAYS)]:
            self.sign_up(person["address"], tracking=position % 5 != 0)
        self.clock.move_to(self.clock.now() + timedelta(minutes=2))
        self.flows.send_confirmations(at=self.clock.now())
        self.clock.move_to(self.clock.now() + timedelta(minutes=9))
        for mail in self.new_mails():
            _, dice = self.audience.habit(f"confirm:{mail.address}")
            if not mail.marketing and dice.random() >= HELD_BACK:
                self.confirm(mail)

    def _deeds(self, until: datetime) -> None:
        """Do over HTTP what people do until then, in the order of time."""
        due = sorted((deed for deed in self.waiting if deed.at <= until), key=lambda deed: deed.at)
        self.waiting = [deed for deed in self.waiting if deed.at > until]
        for deed in due:
            self.clock.move_to(max(self.clock.now(), deed.at))
            self._do(deed)

    def _do(self, deed: Deed) -> None:
        path = deed.detail.removeprefix(self.workspace.settings.public_url)
        if deed.what == "click":
            self.client.get(path, headers={"User-Agent": BROWSER}, follow_redirects=False)
        elif deed.what == "ask":
            self.fill_in(f"/request/{deed.detail}", {"address": deed.mail.address})
        elif deed.what == "complain":
            self.post_events([complaint(deed.mail, self.clock.now())])
        elif deed.what == "one_click":
            self.client.post(deed.mail.unsubscribe, data={"List-Unsubscribe": "One-Click"}).raise_for_status()
        else:
            person = self.visitor()
            page, forms = person.read(deed.mail.unsubscribe)
            person.send(page, forms[0], forms[0].boxes).raise_for_status()

    def _sales(self) -> None:
        """Sales answers yesterday's handovers: two of three are taken, one goes back with a reason."""
        now = self.clock.now()
        with self.workspace.store.write() as connection:
            open_ones = connection.execute(
                select(handover.c.id, handover.c.public_id)
                .where(handover.c.state == "delivered", handover.c.delivered_at < now - timedelta(hours=12))
                .order_by(handover.c.id)
            ).all()
            reasons = [answers.ReturnReason.BUDGET_OPEN, answers.ReturnReason.TOO_EARLY, answers.ReturnReason.NO_FIT]
            for row in open_ones:
                if row.id % 3:
                    answers.accept(connection, row.public_id, actor="demo", at=now)
                else:
                    reason = reasons[row.id % len(reasons)]
                    answers.give_back(connection, row.public_id, reason=reason, actor="demo", at=now)


class Flows:
    """The real flows, imported once Prefect's environment stands."""

    def __init__(self) -> None:
        """Import them."""
        from flows.handovers import hand_over
        from flows.housekeeping import keep_house
        from flows.opt_ins import send_confirmations
        from flows.sequences import run_sequences
        from flows.signals import ingest_events

        self.send_confirmations = send_confirmations
        self.run_sequences = run_sequences
        self.ingest_events = ingest_events
        self.hand_over = hand_over
        self.keep_house = keep_house


def settings_for(home: Path, port: int, signer: ec.EllipticCurvePrivateKey) -> Settings:
    """Give the settings of the demo's workspace and write them down for exploring it afterwards."""
    public = signer.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    chosen = {
        "public_url": f"http://127.0.0.1:{port}",
        "web_port": port,
        "sendgrid_webhook_key": base64.b64encode(public).decode(),
        "trusted_proxies": ["127.0.0.1"],
    }
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [f"{name} = {json.dumps(value)}" for name, value in chosen.items()]
    (home / "nurture.toml").write_text("# Written by nurture demo.\n" + "\n".join(lines) + "\n", "utf-8")
    return Settings(home=home)


@contextmanager
def pages(workspace: Workspace, clock: VirtualClock) -> Iterator[httpx.Client]:
    """Serve the public pages over real HTTP on loopback while the block runs."""
    settings = workspace.settings
    app = create_app(workspace, clock, answer_floor=0.0)
    server = uvicorn.Server(configuration(app, host="127.0.0.1", port=settings.web_port))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    try:
        # The flows between two visits take longer than the server keeps a connection.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=settings.public_url, trust_env=False, timeout=30, limits=limits) as client:
            _wait(client)
            yield client
    finally:
        server.should_exit = True
        thread.join(10)


def _wait(client: httpx.Client) -> None:
    import time

    for _ in range(100):
        with suppress(httpx.HTTPError):
            if client.get("/health").is_success:
                return
        time.sleep(0.1)
    message = "the public pages did not start; is the port in use?"
    raise RuntimeError(message)


@contextmanager
def environment(home: Path) -> Iterator[None]:
    """Let flows called in this process find the demo's workspace, and nobody else's settings."""
    before = {name: value for name, value in os.environ.items() if name.startswith("NURTURE_")}
    for name in before:
        del os.environ[name]
    os.environ["NURTURE_HOME"] = str(home)
    try:
        yield
    finally:
        del os.environ["NURTURE_HOME"]
        os.environ.update(before)


def perform(home: Path, port: int, server: dict[str, str], tell: Callable[[str, float], None]) -> None:
    """Play all thirty days in a workspace; `tell` gets what is going on and the share that is done."""
    from nurture.cli.demo.files import take_over
    from nurture.cli.launcher import in_process

    signer = ec.generate_private_key(ec.SECP256R1())
    settings, clock = settings_for(home, port, signer), VirtualClock(START)
    with environment(home), open_workspace(settings) as workspace:
        tell("importing the lead lists", 0.02)
        with workspace.store.write() as connection:
            wordings.publish(connection, settings, at=START)
        take_over(workspace, [DATA / name for name in FILES], at=START)
        tell("waiting for Prefect", 0.06)
        with in_process(server), pages(workspace, clock) as client:
            play = Play(workspace, clock, client, signer, Flows())
            for number in range(DAYS):
                tell(f"day {number + 1} of {DAYS}", 0.1 + 0.85 * number / DAYS)
                play.day(number)
            tell("verifying the ledger", 0.96)
            play.flows.keep_house(at=clock.now())
