"""Who takes the mails while our processes are killed? A provider in a process of its own, over real HTTP.

`python -m tests.crash.provider LOG SEED TIMEOUT FAULTS` prints its port. Whatever it accepts, it writes to LOG before
anything else happens: one line for each mail, with our id and a running number. It fails as `delivery.md` 3.10
says, `FAULTS` times as often (0: never); `TIMEOUT` are the seconds after which our side gives up.
"""

from __future__ import annotations

import json
import random
import re
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

FAULTS = (
    (0.03, "timeout, not taken"),
    (0.03, "timeout, taken"),
    (0.03, "429"),
    (0.02, "500, not taken"),
    (0.02, "500, taken"),
    (0.02, "reset, taken"),
    (0.01, "400"),
)


class Book:
    """What was accepted, on disk at once."""

    def __init__(self, path: Path, seed: int, timeout: float, often: float) -> None:
        """Write to `path`."""
        self.file = path.open("a", encoding="utf-8")
        self.rng = random.Random(seed)  # noqa: S311  dice of a test
        self.timeout, self.often = timeout, often
        self.lock = threading.Lock()

    def roll(self) -> str:
        """What goes wrong with this request? Empty: nothing."""
        with self.lock:
            roll = self.rng.random()
        for odds, name in FAULTS:
            roll -= odds * self.often
            if roll < 0:
                return name
        return ""

    def take(self, request: dict[str, Any]) -> None:
        """Accept all mails of a request."""
        ids = [one["custom_args"]["nurture_message_id"] for one in request["personalizations"]]
        with self.lock:
            self.file.write("".join(f"{one}\n" for one in ids))
            self.file.flush()


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other on a connection."""

    protocol_version = "HTTP/1.1"
    book: ClassVar[Book]

    def do_POST(self) -> None:
        """Take mails, or not."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            # The other side died while it wrote.
            self.close_connection = True
            return
        fault = self.book.roll()
        if fault == "" or fault.endswith(", taken"):
            self.book.take(json.loads(body))
        if fault.startswith("timeout"):
            time.sleep(1.5 * self.book.timeout)
            self.close_connection = True
        elif fault.startswith("reset"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif match := re.match("([45]..)", fault):
            self._answer(int(match[1]))
        else:
            self._answer(202)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("X-Message-Id", "crash")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Lets connections die without a word."""

    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """The other side was killed: that is the point."""


def main() -> None:
    """Serve until killed."""
    log, seed, timeout, often = sys.argv[1:]
    Handler.book = Book(Path(log), int(seed), float(timeout), float(often))
    server = Server(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
