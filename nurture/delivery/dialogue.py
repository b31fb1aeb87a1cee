"""How is one mail after the other told to an SMTP server over one line, so that the outcome of each is known?

    MAIL, RCPT, DATA     nothing can have been taken
    the mail             nor here: without its final dot the server throws away what it has (RFC 5321 4.1.1.4)
    the dot              between it and its answer lies the only moment of doubt

Where the server offers PIPELINING (RFC 2920), the commands are one group, and the group of the next mail follows
the dot of this one: a mail costs one round trip. DATA ends a group, for the server must say 354 before content may
come; so never more than one mail of a line is in doubt, the same as in lock-step.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nurture.clock import stopwatch
from nurture.delivery.errors import DeliveryError
from nurture.failpoints import reach

if TYPE_CHECKING:
    import smtplib

LONGEST_IDLE = 1.0
"""Seconds a line may rest and be used again; the longer, the likelier that the server is about to end it."""
LONGEST_ANSWER = 16 * 1024
"""Bytes; RFC 5321 allows 512 for a line."""
GO_AHEAD = 354
LEAVING = 421
"""The server ends the line, for a reason that is no mail's; it says no more."""
REFUSING = 400
"""From here on a code says no; one below that is not the good one answers something else."""
FINE = {"rset": {250}, "mail": {250}, "rcpt": {250, 251}, "data": {GO_AHEAD}}


class GarbledError(DeliveryError):
    """The server said what no answer is, or more than it was asked: nothing it says can be assigned any more."""


@dataclass(frozen=True)
class Letter:
    """A mail with its envelope, ready to be told."""

    number: int
    """Its place in the batch."""
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    mail: bytes = field(repr=False)
    """Lines ended by CR LF. None begins with a dot (`mime.encode`), so that none ends the mail (RFC 5321 4.5.2)."""


class Line:
    """An open, encrypted, authenticated connection. One thread at a time."""

    def __init__(self, server: smtplib.SMTP, *, timeout: float) -> None:
        """Take over what `server` opened. `timeout` in seconds, for each wait."""
        wire = server.sock
        if wire is None:
            raise DeliveryError("the server has no connection")
        self._server, self._wire, self._timeout = server, wire, timeout
        self.pipelining = server.has_extn("pipelining")
        # Whoever tells bounces apart needs no copy of a personal mail in each of them (RFC 3461).
        self._options = " RET=HDRS" if server.has_extn("dsn") else ""
        self.carried = 0
        """Mails that were told to the end."""
        self.until = 0.0
        """By the stopwatch: no answer is waited for any longer."""
        self._unfinished = False
        self._announced: Letter | None = None
        self._heard = b""
        self._since = stopwatch()
        # The dot follows the mail by a write of its own, which must not wait for an acknowledgement.
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self, letter: Letter) -> tuple[str, int]:
        """Say MAIL, RCPT and DATA; give ("data", 354), or the first that was refused with its code.

        Raises OSError or GarbledError when the line breaks: nothing was taken.
        """
        commands = self._opening(letter)
        codes: dict[str, int] = {}
        if self.pipelining:
            if self._announced is not letter:
                self._say(b"".join(commands.values()))
            for stage in commands:
                codes[stage] = self._answer()
                if codes[stage] == LEAVING:
                    break
        else:
            for stage, command in commands.items():
                self._say(command)
                codes[stage] = self._answer()
                if codes[stage] not in FINE[stage]:
                    break
        self._announced, self._unfinished = None, True
        refused = next((stage for stage, code in codes.items() if code not in FINE[stage]), None)
        if refused is not None and codes.get("data") == GO_AHEAD:
            # It has no recipient and asks for the content all the same: RFC 2920 3.1 ends that by a dot alone.
            self._say(b".\r\n")
            self._answer()
        if self._heard or (refused is not None and codes[refused] < REFUSING):
            raise GarbledError("answers that fit no command")
        return ("data", GO_AHEAD) if refused is None else (refused, codes[refused])

    def write(self, letter: Letter) -> None:
        """Write the mail without its dot. Raises OSError when the line breaks: nothing was taken."""
        self._say(letter.mail)
        reach("http.body_half_written")

    def end(self, following: Letter | None) -> int:
        """Write the dot, and what announces the mail after it; give the answer to the dot.

        Raises OSError or GarbledError when the line breaks: the mail may have been taken.
        """
        dot = b".\r\n"
        if self.pipelining and following is not None:
            self._unfinished, self._announced = False, following
            dot += b"".join(self._opening(following).values())
        self._say(dot)
        reach("http.before_accept")
        code = self._answer()
        self._unfinished = False
        self.carried += 1
        return code

    def rest(self) -> None:
        """Note since when nothing is said."""
        self._since = stopwatch()

    def is_fresh(self) -> bool:
        """Has it hardly rested, and has the server said nothing meanwhile, nor ended it?"""
        if self._heard or stopwatch() - self._since > LONGEST_IDLE:
            return False
        self._wire.settimeout(0)
        try:
            self._wire.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def quit(self) -> None:
        """Take leave of a server that waits for a command, and hang up."""
        with suppress(OSError):
            self._wire.settimeout(0)
            self._wire.sendall(b"QUIT\r\n")
        self.hang_up()

    def hang_up(self) -> None:
        """End the line at whatever point it is; what has no dot yet is thrown away by the server."""
        self._server.close()

    def _opening(self, letter: Letter) -> dict[str, bytes]:
        """Give the commands before a mail, by stage."""
        commands = {"rset": b"RSET\r\n"} if self._unfinished else {}
        return commands | {
            "mail": f"MAIL FROM:<{letter.sender}>{self._options}\r\n".encode("ascii"),
            "rcpt": f"RCPT TO:<{letter.recipient}>\r\n".encode("ascii"),
            "data": b"DATA\r\n",
        }

    def _say(self, words: bytes) -> None:
        self._wait_at_most()
        self._wire.sendall(words)

    def _answer(self) -> int:
        """Read one answer, of one line or several; give its code."""
        length = 0
        while True:
            line = self._read_line()
            length += len(line)
            code, mark = line[:3], line[3:4]
            if not (code.isdigit() and mark in (b"", b" ", b"-") and length <= LONGEST_ANSWER):
                raise GarbledError("no answer of SMTP")
            if mark != b"-":
                return int(code)

    def _read_line(self) -> bytes:
        while (end := self._heard.find(b"\n")) < 0:
            if len(self._heard) > LONGEST_ANSWER:
                raise GarbledError("an answer without end")
            self._wait_at_most()
            heard = self._wire.recv(LONGEST_ANSWER)
            if not heard:
                raise ConnectionAbortedError("the server hung up")
            self._heard += heard
        line, self._heard = self._heard[:end], self._heard[end + 1 :]
        return line.rstrip(b"\r")

    def _wait_at_most(self) -> None:
        """Bound the next wait, and all together: an answer that drips byte by byte would outlast any timeout."""
        left = min(self._timeout, self.until - stopwatch())
        if left <= 0:
            raise TimeoutError("no answer in time")
        # Setting it costs a call of the system.
        if left != self._wire.gettimeout():
            self._wire.settimeout(left)
