"""How fast does a server answer? Sends requests over kept connections, one at a time on each; a process of its own.

Started as `python -m bench._load PORT CONNECTIONS`, with the requests on stdin (each after its length, eight
hexadecimal digits); tells the seconds and how often each status came, as JSON.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SIZE = 8


@dataclass
class Load:
    """What became of the requests."""

    seconds: float
    statuses: dict[str, int]


def send(port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send all requests from a process of its own; raises AssertionError when one was not answered."""
    spelt = b"".join(b"%08x" % len(request) + request for request in requests)
    command = [sys.executable, "-m", "bench._load", str(port), str(connections)]
    done = json.loads(subprocess.run(command, input=spelt, stdout=subprocess.PIPE, check=True).stdout)
    if sum(done["statuses"].values()) != len(requests):
        raise AssertionError("a request of the benchmark was not answered")
    return Load(**done)


@dataclass
class _Connection:
    socket: socket.socket
    answer: bytearray = field(default_factory=bytearray)


def _requests(spelt: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(spelt):
        end = place + SIZE + int(spelt[place : place + SIZE], 16)
        yield spelt[place + SIZE : end]
        place = end


def _complete(answer: bytearray) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    stated = LENGTH.search(answer, 0, end)
    if stated is None:
        raise AssertionError("the server's answer has no length")
    return len(answer) >= end + 4 + int(stated[1])


def main(port: int, connections: int) -> None:
    """Read the requests, send them all, tell what came back."""
    requests = list(_requests(sys.stdin.buffer.read()))
    waiting = iter(requests)
    statuses: Counter[str] = Counter()
    selector = selectors.DefaultSelector()
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(min(connections, len(requests)))]
    for each in opened:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    started = time.perf_counter()
    for each in opened:
        each.sendall(next(waiting))
        selector.register(each, selectors.EVENT_READ, _Connection(each))
    left = len(requests)
    while left:
        for key, _ in selector.select():
            held: _Connection = key.data
            got = held.socket.recv(65_536)
            if not got:
                raise AssertionError("the server hung up")
            held.answer += got
            if not _complete(held.answer):
                continue
            statuses[held.answer[9:12].decode()] += 1
            held.answer.clear()
            left -= 1
            following = next(waiting, None)
            if following is None:
                selector.unregister(held.socket)
            else:
                held.socket.sendall(following)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "statuses": statuses}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
