"""Helpers of these tests: somebody signs up, confirms, leaves; somebody asks the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consent import gate, opt_in, states, texts, tokens, withdrawal
from consent.addresses import Address
from tests.consent import wording

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from consent.keys import Keyring
    from nurture.store.engine import Store

NEWSLETTER, TRACKING, OTHER = states.NEWSLETTER, states.TRACKING, "newsletter.events"


@dataclass(frozen=True)
class People:
    """One installation with published texts, and what people do with it."""

    store: Store
    keyring: Keyring
    at: datetime

    def publish(self) -> None:
        """Publish the standard wordings and one for a second newsletter."""
        second = texts.TextVersion(
            "default",
            OTHER,
            "de",
            1,
            "Musterwerk darf zu Events schreiben; Widerruf jederzeit.",
            "Musterwerk",
            "Events",
        )
        with self.store.write() as conn:
            texts.publish(conn, [*wording.standard("default", "Musterwerk GmbH"), second], at=self.at)

    def sign_up(
        self,
        address: str = "kim@firma.example",
        purposes: Sequence[str] = (NEWSLETTER,),
        at: datetime | None = None,
        ip: str = "192.0.2.1",
    ) -> opt_in.Requested:
        """Send the form."""
        with self.store.write() as conn:
            return opt_in.request(
                conn,
                self.keyring,
                address=Address.of(address),
                purposes=purposes,
                controller="default",
                language="de",
                source="footer",
                evidence={"ip": ip, "page": "/subscribe"},
                at=at or self.at,
            )

    def link(self, requested: opt_in.Requested) -> str:
        """Read the token in the confirmation mail."""
        assert requested.request_id is not None
        with self.store.read() as conn:
            return opt_in.token(conn, self.keyring, requested.request_id)

    def press(self, token: str, at: datetime | None = None) -> object:
        """Press the button behind the link."""
        with self.store.write() as conn:
            return opt_in.confirm(conn, self.keyring, token, evidence={"ip": "192.0.2.1"}, at=at or self.at)

    def confirmed(
        self,
        address: str = "kim@firma.example",
        purposes: Sequence[str] = (NEWSLETTER,),
        at: datetime | None = None,
    ) -> str:
        """Sign up and confirm; give the subject."""
        done = self.press(self.link(self.sign_up(address, purposes, at)), at)
        assert isinstance(done, opt_in.Confirmed)
        return done.subject

    def leave(self, subject: str, purposes: Sequence[str] | None = None, at: datetime | None = None) -> list[int]:
        """Withdraw on the page."""
        with self.store.write() as conn:
            return withdrawal.withdraw(
                conn,
                subject=subject,
                controller="default",
                purposes=purposes,
                route="page",
                actor="recipient",
                at=at or self.at,
            )

    def ask(self, subject: str, purpose: str = NEWSLETTER, at: datetime | None = None) -> gate.Permit | gate.Refusal:
        """Ask the gate about one message."""
        with self.store.write() as conn:
            [answer] = gate.authorise(
                conn, [gate.Ask(subject, purpose, "default", tokens.random_id())], at=at or self.at
            )
        return answer

    def reason(self, subject: str, purpose: str = NEWSLETTER, at: datetime | None = None) -> gate.RefusalReason | None:
        """Ask the gate; give why not, or None for a permit."""
        answer = self.ask(subject, purpose, at)
        return answer.reason if isinstance(answer, gate.Refusal) else None
