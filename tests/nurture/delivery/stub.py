"""A server on loopback that misbehaves to order: what a provider, a gateway or a broken line may do."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    Act = Callable[[socket.socket], None]


@dataclass
class Request:
    """What came in."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, read."""
        read: dict[str, Any] = json.loads(self.body)
        return read


def answer(status: int, body: bytes = b"", length: int | None = None, /, *, keep: bool = False, **headers: str) -> Act:
    """Answer whole; a `length` larger than the body makes it a truncated one.

    `keep` promises that the connection stays open, a promise that this server breaks.
    """
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}"]
    lines += ["Connection: close"] * (not keep)
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda wire: wire.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def reset(wire: socket.socket) -> None:
    """Break the line with RST."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang(wire: socket.socket) -> None:
    """Say nothing until the other side gives up."""
    wire.settimeout(10)
    with contextlib.suppress(OSError):
        wire.recv(1)


def drip(wire: socket.socket) -> None:
    """Send a status line and then one byte at a time, for ever."""
    wire.sendall(b"HTTP/1.1 202 Accepted\r\n")
    with contextlib.suppress(OSError):
        while True:
            wire.sendall(b"X")
            time.sleep(0.05)


@dataclass
class Stub:
    """Answers each connection with the next act (the last one repeats)."""

    acts: list[Act] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    read_first: bool = True
    """False: act when the headers are in, before the body is read."""
    port: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def run(self) -> Iterator[Stub]:
        """Serve until the block ends."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            listener.settimeout(0.05)
            done = threading.Event()
            thread = threading.Thread(target=self._serve, args=(listener, done))
            thread.start()
            try:
                yield self
            finally:
                done.set()
                thread.join()

    def _serve(self, listener: socket.socket, done: threading.Event) -> None:
        while not done.is_set():
            try:
                wire, _ = listener.accept()
            except TimeoutError:
                continue
            with contextlib.suppress(OSError), wire:
                wire.settimeout(5)
                self._talk(wire)

    def _talk(self, wire: socket.socket) -> None:
        if self.tls:
            wire = self.tls.wrap_socket(wire, server_side=True)
        data = b""
        while b"\r\n\r\n" not in data:
            more = wire.recv(65536)
            if not more:
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        if self.read_first:
            while len(body) < int(headers.get("content-length", "0")):
                body += wire.recv(65536)
        self.requests.append(Request(lines[0], headers, body))
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        act(wire)
