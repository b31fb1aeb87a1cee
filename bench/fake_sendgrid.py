"""What would SendGrid answer? A stand-in on loopback, in a process of its own, that takes what the real one takes.

    floor      answers 202 at once and looks at nothing but Content-Length: nothing but the sender is measured
    checking   parses, enforces the documented limits, and remembers every message id: what came twice, what never
    limited    as checking, but every third request is answered 429 with the headers that say for how long
    failing    as checking, but every third request is answered 503 and not taken
    one_bad    as checking, and a recipient whose address begins with "refused" spoils the whole request
    cut        as checking, but after every third request the line is cut: taken, and never answered

`delay` seconds pass before each answer. The floor is a small C program where there is a compiler, so that the
raw ceiling is the client's limit and not ours; a Python one elsewhere, and the report says which.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
MODES = ("floor", "checking", "limited", "failing", "one_bad", "cut")
EVERY = 3
"""Every so many-th request meets the trouble of its mode."""
MOST = 1000
LARGEST = {".substitutions": 10_000, ".custom_args": 10_000}
"""Bytes for each personalization, of keys and values together."""
BOTH = ["text/plain", "text/html"]
LARGEST_REQUEST = 30_000_000
NEEDED = ("personalizations", "from", "subject", "content")

Fault = tuple[str, str]
"""The field and what is wrong with it."""


def fault_of(body: bytes) -> Fault | None:
    """Say what SendGrid would refuse a request for; None when it would take it."""
    if len(body) > LARGEST_REQUEST:
        return "", "request is larger than 30 MB"
    try:
        asked = orjson.loads(body)
    except ValueError:
        return "", "not JSON"
    if not isinstance(asked, dict):
        return "", "not an object"
    return _envelope(asked) or _recipients(asked["personalizations"])


def _envelope(asked: dict[str, Any]) -> Fault | None:
    """Say what is wrong beside the recipients."""
    sender, people = asked.get("from"), asked.get("personalizations")
    rules = (
        *((name, not asked.get(name), "missing") for name in NEEDED),
        ("from.email", not (isinstance(sender, dict) and _is_address(sender.get("email"))), "no address"),
        ("subject", not isinstance(asked.get("subject"), str), "not a string"),
        ("content", not _is_content(asked.get("content")), "not a list of types with their values, plain text first"),
        ("personalizations", not isinstance(people, list) or len(people) > MOST, f"no list of at most {MOST}"),
    )
    return next(((field, wrong) for field, holds, wrong in rules if holds), None)


def _is_content(parts: object) -> bool:
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return False
    said = [value for part in parts for value in (part.get("type"), part.get("value"))]
    kinds = [part.get("type") for part in parts]
    return all(isinstance(one, str) and one for one in said) and kinds in (["text/plain"], ["text/html"], BOTH)


def _recipients(people: list[Any]) -> Fault | None:
    seen: set[str] = set()
    for number, one in enumerate(people):
        fault = _person(one, seen)
        if fault is not None:
            return f"personalizations.{number}{fault[0]}", fault[1]
    return ("personalizations", f"more than {MOST} recipients") if len(seen) > MOST else None


def _person(one: Any, seen: set[str]) -> Fault | None:  # noqa: ANN401  what came over the line
    """Say what is wrong with one personalization; `seen` are the addresses of those before."""
    if not isinstance(one, dict) or not one.get("to") or not isinstance(one["to"], list):
        return ".to", "missing"
    people = [*one["to"], *one.get("cc", ()), *one.get("bcc", ())]
    if not all(isinstance(to, dict) and _is_address(to.get("email")) for to in people):
        return ".to", "no address"
    mine = [to["email"].lower() for to in people]
    before = len(seen)
    seen.update(mine)
    if len(seen) != before + len(mine):
        return ".to", "an address stands twice in this request"
    for name in ("substitutions", "headers", "custom_args"):
        values = one.get(name, {})
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            return f".{name}", "values must be strings"
    sizes = {
        ".substitutions": sum(len(said.encode()) for pair in one.get("substitutions", {}).items() for said in pair),
        ".custom_args": len(orjson.dumps(one.get("custom_args", {}))),
    }
    return next(((name, f"more than {LARGEST[name]} bytes") for name in sizes if sizes[name] > LARGEST[name]), None)


def _is_address(value: object) -> bool:
    return isinstance(value, str) and value.count("@") == 1 and not set(value) & set(" ,;\r\n\t<>") and value[0] != "@"


@dataclass
class Seen:
    """What came in, as far as it was taken."""

    requests: int = 0
    """All of them, also refused ones."""
    size: int = 0
    """Bytes of all of them, with their headers."""
    refused: int = 0
    ids: dict[str, int] = field(default_factory=dict)
    """How often was each message id taken?"""

    def take(self, body: bytes) -> None:
        """Remember whose mails these are."""
        for one in orjson.loads(body)["personalizations"]:
            name = one.get("custom_args", {}).get("nurture_message_id", "")
            self.ids[name] = self.ids.get(name, 0) + 1

    def told(self) -> dict[str, int]:
        """Give the counts."""
        taken = sum(self.ids.values())
        counts = {"requests": self.requests, "bytes": self.size, "refused": self.refused}
        return {**counts, "messages": taken, "different": len(self.ids), "twice": taken - len(self.ids)}


class Line(asyncio.Protocol):
    """One connection: requests one after another."""

    def __init__(self, mode: str, delay: float, seen: Seen) -> None:
        """Share what was seen with the other lines."""
        self.mode, self.delay, self.seen = mode, delay, seen
        self.parts: list[bytes] = []
        self.have = self.needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  tells the type checker
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect until a request is whole, and answer it."""
        self.parts.append(data)
        self.have += len(data)
        if self.needed and self.have < self.needed:
            return
        whole = b"".join(self.parts)
        head, ends, _ = whole.partition(b"\r\n\r\n")
        self.needed = len(head) + 4 + _stated(head) if ends else 0
        self.parts = [whole]
        if not ends or len(whole) < self.needed:
            return
        self.parts, self.have, self.needed = [], 0, 0
        if head.startswith(b"GET "):
            self.transport.write(_answer(200, json.dumps(self.seen.told()).encode()))
        else:
            self.seen.requests += 1
            self.seen.size += len(whole)
            self._judge(whole[len(head) + 4 :])

    def _judge(self, body: bytes) -> None:
        if self.mode == "floor":
            self._say(_answer(202))
            return
        unlucky = self.seen.requests % EVERY == 0
        if self.mode == "limited" and unlucky:
            reset = str(int(time.time()) + 1)
            self._say(_answer(429, retry_after="1", x_ratelimit_remaining="0", x_ratelimit_reset=reset))
        elif self.mode == "failing" and unlucky:
            self._say(_answer(503))
        elif fault := (fault_of(body) or (self.mode == "one_bad" and _spoilt(body))):
            self.seen.refused += 1
            error = {"field": fault[0], "message": fault[1], "help": None}
            self._say(_answer(400, json.dumps({"errors": [error]}).encode()))
        else:
            self.seen.take(body)
            if self.mode == "cut" and unlucky:
                self.transport.abort()
            else:
                self._say(_answer(202, x_message_id=f"fake-{self.seen.requests}"))

    def _say(self, answer: bytes) -> None:
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, answer)
        else:
            self.transport.write(answer)


def _spoilt(body: bytes) -> Fault | None:
    for number, one in enumerate(orjson.loads(body)["personalizations"]):
        if one["to"][0]["email"].startswith("refused"):
            return f"personalizations.{number}.to.0.email", "does not contain a valid address"
    return None


def _stated(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Fake", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _serve(mode: str, delay: float) -> None:
    seen = Seen()
    server = await asyncio.get_running_loop().create_server(lambda: Line(mode, delay, seen), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@dataclass(frozen=True)
class Fake:
    """A running stand-in."""

    port: int
    pid: int
    made_of: str
    """`c` or `python`."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def counts(self) -> dict[str, int]:
        """Ask what came in so far."""
        with urllib.request.urlopen(f"{self.url}/counts", timeout=30) as answer:  # noqa: S310  our own, on loopback
            told: dict[str, int] = json.loads(answer.read())
            return told


@contextmanager
def running(mode: str, *, delay: float = 0.0, compiled: bool = True) -> Iterator[Fake]:
    """Run a stand-in in a process of its own until the block ends; `compiled` allows the C one for the floor."""
    compiler = shutil.which("cc") if compiled and mode == "floor" and not delay else None
    with tempfile.TemporaryDirectory(prefix="nurture-sink-") as folder:
        command = [sys.executable, "-m", "bench.fake_sendgrid", "--mode", mode, "--delay", str(delay)]
        made_of = "python"
        if compiler is not None:
            built = Path(folder) / "sink"
            if subprocess.run([compiler, "-O2", "-o", built, HERE / "sink.c"], check=False).returncode == 0:
                command, made_of = [str(built)], "c"
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent) as process:
            assert process.stdout is not None  # noqa: S101  tells the type checker
            try:
                yield Fake(int(process.stdout.readline()), process.pid, made_of)
            finally:
                process.terminate()


def main() -> None:
    """Serve until terminated; the first line printed is the port."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=MODES, default="checking")
    parser.add_argument("--delay", type=float, default=0.0)
    chosen = parser.parse_args()
    asyncio.run(_serve(chosen.mode, chosen.delay))


if __name__ == "__main__":
    main()
