"""How is one HTTP request made so that its outcome is never guessed? Kept connections, deadlines, no redirects.

Clients made for comfort have no timeout, follow redirects with the key on board, obey proxies of the
environment and log keys. This one posts bytes, and says of every failure whether the request can have been read.
"""

from __future__ import annotations

import http.client
import selectors
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nurture.clock import stopwatch
from nurture.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_ANSWER = 64 * 1024
LONGEST_IDLE = 1.0
"""Seconds. A server may end a connection that rests at the moment we write to it; then nobody could say
whether it read the request. So only connections that hardly rested are used again."""
ACCEPTED = 202


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(frozen=True)
class Unheard:
    """Nobody can have the whole request: not connected, or the line broke before its last byte was handed over."""

    code: str


@dataclass(frozen=True)
class Doubtful:
    """The request may have been read, and nobody told what became of it."""

    code: str


class Wire:
    """Posts to one host over kept connections. Safe to use from any thread.

    `timeout` in seconds, for connecting and for each wait; a whole exchange ends after three times that.
    """

    def __init__(self, host: str, port: int, *, context: ssl.SSLContext | None, timeout: float) -> None:
        """Speak TLS with `context`, plain HTTP without; touches no network."""
        self._host, self._port, self._context, self._timeout = host, port, context, timeout
        self._rested: list[tuple[http.client.HTTPConnection, float]] = []
        self._lock = threading.Lock()

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer | Unheard | Doubtful:
        """Write one request and read its answer. Once the last byte is written, every failure is doubtful."""
        connection = self._take() or self._connection()
        if connection.sock is None:
            try:
                connection.connect()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # Name resolution, TCP or TLS: not a byte of the request has left.
                return Unheard(f"connect {type(error).__name__}")
        reach("http.connected")
        # Each wait has its timeout, but an answer that drips byte by byte would outlast them all.
        guard = threading.Timer(3 * self._timeout, _cut, [connection])
        guard.daemon = True
        guard.start()
        keep = False
        try:
            failed = self._write(connection, method, path, headers, body)
            answer, keep = self._read(connection, failed)
        finally:
            guard.cancel()
            if not keep:
                connection.close()
        if keep:
            with self._lock:
                self._rested.append((connection, stopwatch()))
        return answer

    def __del__(self) -> None:
        """Leave no line open."""
        self.close()

    def close(self) -> None:
        """End the connections that rest."""
        with self._lock:
            rested, self._rested = self._rested, []
        for connection, _ in rested:
            connection.close()

    def _take(self) -> http.client.HTTPConnection | None:
        """Give a connection that hardly rested and that the other side has not ended."""
        while True:
            with self._lock:
                if not self._rested:
                    return None
                connection, since = self._rested.pop()
            wire = connection.sock
            if wire is not None and stopwatch() - since < LONGEST_IDLE and not _readable(wire, 0):
                return connection
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)

    def _write(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> str:
        """Write head and body; give what failed, empty when nothing did."""
        whole, half = memoryview(body), len(body) // 2
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                connection.putheader(name, value)
            connection.endheaders(whole[:half])
            reach("http.body_half_written")
            connection.send(whole[half:])
        except (OSError, http.client.HTTPException) as error:
            # It may have answered early (413, 401) and closed; if so, that answer is still to be read.
            return f"write {type(error).__name__}"
        reach("http.before_accept")
        return ""

    def _read(self, connection: http.client.HTTPConnection, failed: str) -> tuple[Answer | Unheard | Doubtful, bool]:
        """Read the answer; tell also whether the connection is good for another request."""
        try:
            if not failed and connection.sock is not None and not _readable(connection.sock, self._timeout):
                return Doubtful("answer TimeoutError"), False
            reach("http.after_accept")
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Unheard(failed) if failed else Doubtful(f"answer {type(error).__name__}"), False
        reach("http.headers_read")
        content, short = b"", True
        # Without a stated length the end of the line would look like the end of the answer, even amid its headers.
        stated = response.length is not None or response.chunked
        # A refusal is clear from its status; only an acceptance must be whole.
        with suppress(OSError, http.client.HTTPException, ValueError):
            content = response.read(LARGEST_ANSWER)
            short = not stated or (response.length not in (None, 0) and len(content) < LARGEST_ANSWER)
        if response.status == ACCEPTED and (failed or short):
            return Doubtful(failed or "answer truncated"), False
        keep = not (failed or short or response.will_close) and response.isclosed()
        return Answer(response.status, response.headers, content), keep


def _readable(wire: socket.socket, timeout: float) -> bool:
    """Is there something to read (or an end) within so many seconds?"""
    if isinstance(wire, ssl.SSLSocket) and wire.pending():
        return True
    with selectors.DefaultSelector() as waiting:
        waiting.register(wire, selectors.EVENT_READ)
        return bool(waiting.select(timeout))


def _cut(connection: http.client.HTTPConnection) -> None:
    """End an exchange from outside; the reader then sees a reset."""
    wire = connection.sock
    if wire is not None:
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)
