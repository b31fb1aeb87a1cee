"""How is a request body read without trusting it? With a cap, a time limit and no decompression."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from nurture.web.listener import headers_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.types import Receive, Scope

KIB = 1024
FORM_CAP = 16 * KIB
HOOK_CAP = KIB * KIB
"""SendGrid posts at most 768 kB."""
MOST_FIELDS = 40
SECONDS = 10.0


async def read(request: Request, cap: int) -> bytes:
    """Read the raw body as `take` does."""
    return await take(request.scope, request.receive, cap)


async def take(scope: Scope, receive: Receive, cap: int) -> bytes:
    """Read the raw body.

    Raises HTTPException 415 for any Content-Encoding (194 kB of gzip can be 200 MB), 413 above
    `cap` bytes whatever Content-Length said, 408 after ten seconds; ClientDisconnect when nobody listens any more.
    """
    headers = headers_of(scope)
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise HTTPException(415)
    stated = headers.get(b"content-length", b"0")
    if stated.isdigit() and int(stated[:20]) > cap:
        raise HTTPException(413)
    body, more = b"", True
    try:
        async with asyncio.timeout(SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > cap:
                    raise HTTPException(413)
    except TimeoutError:
        raise HTTPException(408) from None
    return body


async def form(request: Request) -> dict[str, str]:
    """Read a form, urlencoded or multipart (RFC 8058 allows both), without files.

    A field that comes twice counts with its first value. Raises HTTPException as `read`, 400 for
    a form that cannot be understood, 415 for another content type.
    """
    body = await read(request, FORM_CAP)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"application/x-www-form-urlencoded", ""}:
        pairs = _urlencoded(body)
    elif kind == "multipart/form-data":
        pairs = await _multipart(request, body)
    else:
        raise HTTPException(415)
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="replace")
    except ValueError:
        raise HTTPException(400) from None


async def _multipart(request: Request, body: bytes) -> list[tuple[str, str]]:
    charset = parse_options_header(request.headers.get("content-type"))[1].get(b"charset", b"utf-8")
    if charset.strip().lower() not in {b"utf-8", b"utf8"}:
        # Python knows encodings that give half characters, which no page and no database can write.
        raise HTTPException(400)

    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(request.headers, once(), max_files=0, max_fields=MOST_FIELDS, max_part_size=FORM_CAP)
        parsed = await parser.parse()
    except (MultiPartException, ValueError, KeyError, UnicodeError):
        # python-multipart's errors are ValueErrors; a part without a name is a KeyError.
        raise HTTPException(400) from None
    return [(name, value) for name, value in parsed.multi_items() if isinstance(value, str)]
