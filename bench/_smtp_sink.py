"""What does a server cost that takes every mail and keeps none? A floor to send against, in a process of its own.

`python -m bench._smtp_sink` prints its port, then serves until its standard input ends. It offers PIPELINING, agrees
to everybody, and does with a mail what every server must: it looks at each line, undoubles dots and refuses a line
beyond 1,000 octets (RFC 5321 4.5.2, 4.5.3.1.6). The floor of performance.md, Postfix' smtp-sink, needs 105 us a mail
for as much; how many this one needs stands beside each figure.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERS = {b"EHLO": b"250-sink\r\n250 PIPELINING\r\n", b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
DOT = b"\r\n.\r\n"
LONGEST = 998


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        """Begin with commands."""
        self._heard = bytearray()
        self._in_mail = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer what is whole, all at once."""
        self._heard += data
        answers = []
        while answer := self._next():
            answers.append(answer)
        if answers:
            self._transport.write(b"".join(answers))

    def _next(self) -> bytes:
        mark = DOT if self._in_mail else b"\r\n"
        end = self._heard.find(mark)
        if end < 0:
            return b""
        if self._in_mail:
            lines = bytes(self._heard[:end]).split(b"\r\n")
            del self._heard[: end + len(mark)]
            self._in_mail = False
            undotted = [line[1:] if line[:1] == b"." else line for line in lines]
            return b"250 taken\r\n" if max(map(len, undotted)) <= LONGEST else b"554 a line is too long\r\n"
        verb = bytes(self._heard[:4]).upper()
        del self._heard[: end + len(mark)]
        self._in_mail = verb == b"DATA"
        return ANSWERS.get(verb, b"250 fine\r\n")


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def sink() -> Iterator[tuple[int, int]]:
    """Run it; give its port and the id of its process."""
    command = [sys.executable, "-m", "bench._smtp_sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None  # noqa: S101  both are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve())
