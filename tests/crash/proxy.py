"""What if the line to PostgreSQL breaks in the middle of COMMIT? A proxy that cuts it, before or after the commit."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = b"COMMIT\0"


@dataclass
class Scissors:
    """Which COMMIT is cut, and on which side of it?"""

    cut: int = 0
    """Its number, from 1; 0: none."""
    after: bool = False
    """True: the server commits, and its answer is lost. False: the server never hears of it."""
    seen: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, data: bytes) -> bool:
        """Is this the COMMIT to be cut?"""
        if COMMIT not in data:
            return False
        with self.lock:
            self.seen += 1
            return self.seen == self.cut


class Line:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket, scissors: Scissors) -> None:
        """Carry both ways until one side ends or the line is cut."""
        self.client, self.server, self.scissors = client, server, scissors
        self.mute = threading.Event()
        for work in (self._upwards, self._downwards):
            threading.Thread(target=work, daemon=True).start()

    def _upwards(self) -> None:
        with suppress(OSError):
            while data := self.client.recv(65536):
                if self.scissors.asked(data):
                    if not self.scissors.after:
                        break
                    self.mute.set()
                self.server.sendall(data)
        self._end()

    def _downwards(self) -> None:
        with suppress(OSError):
            while data := self.server.recv(65536):
                if self.mute.is_set():
                    # The server has answered, so the commit is done; nobody is told.
                    break
                self.client.sendall(data)
        self._end()

    def _end(self) -> None:
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def proxied(url: str) -> Iterator[tuple[str, Scissors]]:
    """Give the address of a way to the database at `url` that can be cut."""
    parsed = make_url(url)
    folder, port = parsed.query.get("host") or parsed.host, parsed.port or 5432
    scissors = Scissors()
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if str(folder).startswith("/"):
                    server = socket.socket(socket.AF_UNIX)
                    server.connect(f"{folder}/.s.PGSQL.{port}")
                else:
                    server = socket.create_connection((str(folder), port))
                Line(client, server, scissors)

    threading.Thread(target=accept, daemon=True).start()
    through = parsed.set(host="127.0.0.1", port=listener.getsockname()[1]).difference_update_query(["host"])
    try:
        yield through.render_as_string(hide_password=False), scissors
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
