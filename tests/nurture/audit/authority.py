"""A time-stamping authority on loopback: real tokens, made and checked by openssl."""

from __future__ import annotations

import http.server
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
[req]
distinguished_name = dn
x509_extensions = tsa
prompt = no
[dn]
CN = Test authority
[tsa]
basicConstraints = CA:FALSE
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
[tsa_policy]
serial = {folder}/serial
default_policy = 1.2.3.4.1
digests = sha256
signer_cert = {folder}/authority.pem
signer_key = {folder}/key.pem
signer_digest = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
"""


@dataclass
class Authority:
    """`answer` replaces the token by other bytes; `status` the HTTP code."""

    folder: Path
    answer: bytes | None = None
    status: int = 200
    url: str = ""
    asked: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make key and certificate."""
        self.folder.mkdir()
        (self.folder / "tsa.cnf").write_text(CONFIG.format(folder=self.folder), "utf-8")
        (self.folder / "serial").write_text("01\n", "utf-8")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-config", "tsa.cnf",
                     "-keyout", "key.pem", "-out", "authority.pem")  # fmt: skip

    def openssl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run openssl in our folder."""
        return subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def stamp(self, asked: bytes) -> bytes:
        """Answer a request."""
        (self.folder / "asked.tsq").write_bytes(asked)
        self.openssl("ts", "-reply", "-config", "tsa.cnf", "-section", "tsa_policy", "-queryfile", "asked.tsq",
                     "-out", "answer.tsr")  # fmt: skip
        return (self.folder / "answer.tsr").read_bytes()

    def verify(self, token: Path, note: str) -> bool:
        """Let openssl check a token against the note and our certificate."""
        (self.folder / "note.txt").write_bytes(note.encode())
        done = self.openssl("ts", "-verify", "-in", str(token), "-data", "note.txt", "-CAfile", "authority.pem")
        return b"Verification: OK" in done.stdout + done.stderr

    @contextmanager
    def run(self) -> Iterator[Authority]:
        """Serve until the block ends."""
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"]))
                authority.asked.append(asked)
                answer = authority.stamp(asked) if authority.answer is None else authority.answer
                self.send_response(authority.status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/tsa"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
