"""How does mail reach an SMTP submission server? TLS checked, each stage of the dialogue judged on its own.

Lines are opened by `smtplib`, kept for a moment, and spoken on by `dialogue.py`, which says at which point of a
mail a line broke. Here stands what that means.
"""

from __future__ import annotations

import smtplib
import ssl
import threading
from typing import TYPE_CHECKING, Literal

from consent import tokens
from nurture.clock import stopwatch
from nurture.delivery.dialogue import GO_AHEAD, LEAVING, GarbledError, Letter, Line
from nurture.delivery.errors import DeliveryError
from nurture.delivery.mime import encode, message_id
from nurture.delivery.provider import (
    NOT_TRIED,
    Accepted,
    Outcome,
    Outgoing,
    Refused,
    Rejected,
    Sender,
    Unknown,
    fault_of,
    is_loopback,
)
from nurture.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consent.keys import Keyring
    from nurture.delivery.mime import Sign

BOUNCE = "bounce"
"""Purpose of the tokens in envelope senders."""
PERMANENT = 500
HOPELESS = 3
"""So many mails in a row refused for now: the trouble is probably not theirs."""


class Smtp:
    """Hands mail to a submission server over few kept lines. Safe to use from any thread."""

    name = "smtp"
    batch_limit = 100
    """A crash puts as many in doubt, for their answers stand in memory until the batch is settled, and no log of
    the server tells of them: so few. Not fewer, because a batch costs some 10 ms of statements whatever its size."""

    def __init__(  # noqa: PLR0913  settings, each by its name
        self,
        sender: Sender,
        *,
        host: str,
        port: int = 587,
        security: Literal["starttls", "tls", "none"] = "starttls",
        user: str = "",
        password: str = "",
        timeout: float = 10.0,
        context: ssl.SSLContext | None = None,
        bounces_to: Callable[[str], str] | None = None,
        sign: Sign | None = None,
    ) -> None:
        """Check the settings; touches no network. `timeout` in seconds, for connecting and each answer.

        `bounces_to` gives the envelope sender for a message's public id, where bounces are to come back
        (without it, all come to the sender's address); `sign` makes the DKIM signature.
        """
        if not host:
            raise DeliveryError("smtp_host is empty; name the submission server")
        if security == "none" and not is_loopback(host):
            raise DeliveryError("smtp_security none would send mail and password in the clear; use starttls or tls")
        if user and not password:
            raise DeliveryError("smtp_user has no password; set smtp_password_file or NURTURE_SMTP_PASSWORD")
        self.sender = sender
        self.timeout = timeout
        self._host, self._port, self._security = host, port, security
        self._user, self._password = user, password
        # An own context, not the process-wide default: nobody else's change weakens it.
        self._context = context or (None if security == "none" else ssl.create_default_context())
        self._bounces_to = bounces_to
        self._sign = sign
        self._rested: list[Line] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Name the host; the password stays out of tracebacks."""
        return f"Smtp({self._host}:{self._port})"

    def __del__(self) -> None:
        """Leave no line open."""
        if hasattr(self, "_rested"):
            self.close()

    def close(self) -> None:
        """End the lines that rest."""
        with self._lock:
            rested, self._rested = self._rested, []
        for line in rested:
            line.quit()

    def submit(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Tell one mail after the other; after trouble that is not a mail's own the rest is not tried.

        A mail that is refused for now at its recipient or after its content (greylisting, a full mailbox) is not
        such trouble, unless three in a row are: it would keep those behind it waiting at each new try.
        """
        outcomes: list[Outcome] = [NOT_TRIED] * len(batch)
        told = _Telling(self._letters(batch, outcomes), outcomes, until=stopwatch() + 2 * self.timeout)
        while told.letter is not None:
            line = self._take() or self._open()
            if isinstance(line, Refused):
                outcomes[told.letter.number] = line
                break
            line.until = told.until + self.timeout
            go_on = told.over(line)
            if told.in_step:
                line.rest()
                with self._lock:
                    self._rested.append(line)
            else:
                line.hang_up()
            if not go_on:
                break
        return [
            Accepted(message_id(self.sender, batch[number].public_id).strip("<>")) if outcome is TAKEN else outcome
            for number, outcome in enumerate(outcomes)
        ]

    def _letters(self, batch: Sequence[Outgoing], outcomes: list[Outcome]) -> Iterator[Letter]:
        """Write the mails one by one, as they are needed; one with a fault gets its outcome instead."""
        for number, message in enumerate(batch):
            fault = fault_of(message)
            try:
                mail = b"" if fault else encode(self.sender, message, self._sign)
            except UnicodeEncodeError:
                # Half of a surrogate pair, which is no character.
                fault = "text"
            if fault:
                outcomes[number] = Rejected(f"fault {fault}")
                continue
            sender = self._bounces_to(message.public_id) if self._bounces_to else self.sender.address
            yield Letter(number, sender, message.to_address, mail)

    def _take(self) -> Line | None:
        """Give a line that hardly rested and that the server has not ended."""
        while True:
            with self._lock:
                if not self._rested:
                    return None
                line = self._rested.pop()
            if line.is_fresh():
                return line
            line.quit()

    def _open(self) -> Line | Refused:
        """Connect, encrypt, log in. Whatever fails here, no mail has left."""
        server: smtplib.SMTP | None = None
        try:
            if self._security == "tls":
                server = smtplib.SMTP_SSL(self._host, self._port, timeout=self.timeout, context=self._context)
            else:
                server = smtplib.SMTP(self._host, self._port, timeout=self.timeout)
            server.ehlo_or_helo_if_needed()
            if self._security == "starttls":
                # Raises when the server does not offer it: never on in the clear.
                server.starttls(context=self._context)
                server.ehlo()
            if self._user:
                server.login(self._user, self._password)
            line = Line(server, timeout=self.timeout)
        except smtplib.SMTPAuthenticationError as error:
            code, opens = f"auth {error.smtp_code}", error.smtp_code >= PERMANENT
        except (smtplib.SMTPNotSupportedError, ssl.SSLError) as error:
            code, opens = f"tls {type(error).__name__}", True
        except (smtplib.SMTPException, OSError, ValueError) as error:
            # Their texts repeat what the server said, which may be anything; the kind is enough.
            code, opens = f"connect {type(error).__name__}", False
        else:
            reach("http.connected")
            return line
        if server is not None:
            server.close()
        return Refused(code, opens_circuit=opens)


def verp(address: str, keyring: Keyring) -> Callable[[str], str]:
    """Give an envelope sender for each message, below `address`: who bounces to it names the message, unforgeably.

    Capitals would be no safe part of it: some servers on the way write all in small letters.
    """
    local, _, domain = address.rpartition("@")
    return lambda public_id: f"{local}+{tokens.issue(keyring, BOUNCE, public_id)}@{domain}"


TAKEN = Accepted("")
"""Stands for the acceptance of a mail until its id is filled in."""


class _Telling:
    """The way of one batch over as many lines as it takes."""

    def __init__(self, letters: Iterator[Letter], outcomes: list[Outcome], *, until: float) -> None:
        self._letters, self._outcomes, self.until = letters, outcomes, until
        self.letter = next(letters, None)
        self.in_step = True
        """Does what the server said last answer what was asked last?"""
        self._refused = 0

    def over(self, line: Line) -> bool:
        """Tell mails over this line; True when the rest needs a new one, False when there is no rest to be told."""
        while self.letter is not None and stopwatch() < self.until:
            self.in_step = False
            letter, following = self.letter, next(self._letters, None)
            try:
                stage, code = line.begin(letter)
                if code == GO_AHEAD:
                    line.write(letter)
            except (OSError, GarbledError) as error:
                return self._broken(line, letter, following, Refused(f"dialogue {type(error).__name__}"))
            if code == LEAVING or (stage in ("rset", "mail") and code != GO_AHEAD):
                # The sender is ours: its refusal is no fault of this mail.
                trouble = Refused(f"{stage} {code}", opens_circuit=code >= PERMANENT)
                return self._broken(line, letter, following, trouble)
            if code == GO_AHEAD:
                try:
                    stage, code = "data end", line.end(following)
                except (OSError, GarbledError) as error:
                    self._outcomes[letter.number] = Unknown(f"after data {type(error).__name__}")
                    return False
            taken = stage == "data end" and 200 <= code < 300  # noqa: PLR2004  any success
            outcome = TAKEN if taken else _refusal(stage, code)
            self._outcomes[letter.number], self.letter = outcome, following
            self._refused = self._refused + 1 if isinstance(outcome, Refused) else 0
            if code == LEAVING or isinstance(outcome, Unknown):
                return False
            self.in_step = following is None
            if self._refused == HOPELESS:
                return False
        return False

    def _broken(self, line: Line, letter: Letter, following: Letter | None, outcome: Refused) -> bool:
        """Go on over a new line where this one served before: servers end a line that rested or told many mails."""
        if line.carried and not outcome.opens_circuit:
            self._letters = _again(following, self._letters)
            return True
        self._outcomes[letter.number] = outcome
        return False


def _again(letter: Letter | None, letters: Iterator[Letter]) -> Iterator[Letter]:
    if letter is not None:
        yield letter
        yield from letters


def _refusal(stage: str, code: int) -> Refused | Rejected | Unknown:
    """5xx is for ever, 4xx for now; anything else tells nothing after the dot and little before."""
    if PERMANENT <= code < PERMANENT + 100:
        return Rejected(f"{stage} {code}")
    if 400 <= code < PERMANENT or stage != "data end":  # noqa: PLR2004  transient
        return Refused(f"{stage} {code}")
    return Unknown(f"{stage} {code}")
