"""An SMTP server on loopback that does exactly as told, mail by mail and stage by stage, and remembers what it took."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FINE = {"MAIL": "250 fine", "RCPT": "250 fine", "DATA": "354 go on", "dot": "250 taken", "RSET": "250 fine"}
HANG_UP = ""
MUTE = "mute"


@dataclass
class Linehost:
    """`script` gives what it answers instead, by recipient and stage (MAIL, RCPT, DATA, dot).

    As in RFC 5321, content is taken when the dot is answered by 2xx, and only for recipients that were. A stage
    before RCPT belongs to the next recipient of `order`.
    """

    script: dict[tuple[str, str], str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    pipelining: bool = True
    eager: bool = False
    """Says 354 to DATA although it has no recipient."""
    before_answer: dict[str, int] = field(default_factory=dict)
    """By recipient: so many further lines are read before its dot is answered."""
    most: int = 10_000
    """Mails of one line; then it says 421 and hangs up."""
    taken: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    ahead: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @contextmanager
    def run(self) -> Iterator[Linehost]:
        """Serve until the block ends."""
        threads: list[threading.Thread] = []
        wires: list[socket.socket] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]

            def accept() -> None:
                while True:
                    try:
                        wire, _ = listener.accept()
                    except OSError:
                        return
                    self.connections += 1
                    wires.append(wire)
                    threads.append(threading.Thread(target=_Conversation(self, wire).serve))
                    threads[-1].start()

            accepting = threading.Thread(target=accept)
            accepting.start()
            try:
                yield self
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                accepting.join()
                for wire in wires:
                    try:
                        wire.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        continue
                for thread in threads:
                    thread.join()
                for wire in wires:
                    wire.close()


class _HangUp(Exception):  # noqa: N818  no error
    """The server ends the line."""


class _Conversation:
    def __init__(self, host: Linehost, wire: socket.socket) -> None:
        self.host, self.wire = host, wire
        self.lines = wire.makefile("rb")
        self.recipient, self.refused, self.begun, self.told = "", "", False, 0
        self.waiting: list[bytes] = []

    def serve(self) -> None:
        """Speak until somebody hangs up."""
        try:
            self._say("220 hello")
            while line := self._line():
                self._meet(line)
        except (_HangUp, OSError):
            pass
        finally:
            self.lines.close()
            try:
                self.wire.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def _line(self) -> bytes:
        return self.waiting.pop(0) if self.waiting else self.lines.readline()

    def _say(self, answer: str) -> None:
        if answer == MUTE:
            self.lines.read()
            raise _HangUp
        if answer:
            self.wire.sendall(f"{answer}\r\n".encode())
        if not answer or answer.startswith("421"):
            raise _HangUp

    def _meet(self, line: bytes) -> None:
        verb = line[:4].decode().upper().strip()
        self.host.commands.append(verb)
        if verb == "EHLO":
            self._say("250-host\r\n250 PIPELINING" if self.host.pipelining else "250 host")
        elif verb == "QUIT":
            raise _HangUp
        elif verb == "RSET":
            self.recipient, self.begun = "", False
            self._say(FINE[verb])
        else:
            self._transact(verb, line)

    def _transact(self, verb: str, line: bytes) -> None:
        answer = FINE[verb]
        if verb == "MAIL":
            if self.told >= self.host.most:
                self._say("421 enough")
            self.host.senders.append(re.search(rb"<(.*)>", line)[1].decode())  # type: ignore[index]
            answer = "503 nested" if self.begun else self._told(self._next(), verb)
            self.begun, self.recipient = self.begun or answer.startswith("2"), ""
        elif verb == "RCPT":
            name = re.search(rb"<(.*)>", line)[1].decode()  # type: ignore[index]
            answer = self._told(name, verb) if self.begun else "503 no sender"
            self.recipient = name if answer.startswith("2") else ""
            self.refused = name
        elif verb == "DATA":
            fit = self.begun and (self.recipient or self.host.eager)
            answer = self._told(self.recipient or self.refused, verb) if fit else "503 no recipient"
        self._say(answer)
        if verb == "DATA" and answer.startswith("354"):
            self._content()

    def _content(self) -> None:
        content = b""
        while (line := self.lines.readline()) != b".\r\n":
            if not line:
                raise _HangUp
            content += line
        name, self.recipient, self.begun = self.recipient, "", False
        self.waiting = [self.lines.readline() for _ in range(self.host.before_answer.get(name, 0))]
        self.host.ahead += self.waiting
        answer = self._told(name, "dot") if name else "554 no recipient"
        if answer.startswith("2") or answer in (HANG_UP, MUTE):
            # Taken, though the sender may never hear of it.
            self.host.taken.append(name)
            self.host.mails.append(content)
        self.told += 1
        self._say(answer)

    def _next(self) -> str:
        waiting = [name for name in self.host.order if name not in self.host.taken]
        return waiting[0] if waiting else ""

    def _told(self, name: str, stage: str) -> str:
        return self.host.script.get((name, stage), FINE[stage])
