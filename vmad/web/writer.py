# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Writes a response: whole, or in chunks (RFC 9112, 7.1), never faster than the client reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import lru_cache

from vmad.web import router
from vmad.web.connection import Connection, delivered
from vmad.web.request import Request
from vmad.web.router import Response
from vmad.web.web_config import WebSettings

_CHUNK = 1 << 16


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=1)
def http_date(when: float) -> str:
    """Seconds since the epoch as HTTP has them (RFC 9110, 5.6.7)."""
    year, month, day, hour, minute, second, weekday = time.gmtime(when)[:7]
    clock = f"{hour:02}:{minute:02}:{second:02}"
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {clock} GMT"


def head_of(request: Request | None, response: Response, settings: WebSettings) -> bytes:
    """Status line and headers."""
    headers = {
        "Date": http_date(int(time.time())),
        "Content-Type": response.content_type,
        "Connection": "close",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        **response.headers,
        **settings.headers,
    }
    if response.stream is None:
        headers["Content-Length"] = str(len(response.body))
    elif request is not None and request.chunked:
        headers["Transfer-Encoding"] = "chunked"
    lines = [f"HTTP/1.1 {response.status} {router.phrase(response.status)}"]
    lines += (f"{name}: {value}" for name, value in headers.items())
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Writer:
    """Writes to one client, which may take ``timeout`` seconds over each 64 KiB."""

    def __init__(
        self, connection: Connection, writer: asyncio.StreamWriter, timeout: float
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._timeout = timeout
        # drain() then waits until the kernel has taken (almost) everything: progress can be seen.
        # With 0 asyncio's TLS would pause at a buffer that is empty, and never resume (3.11)
        writer.transport.set_write_buffer_limits(high=1)

    async def respond(
        self, request: Request | None, response: Response, settings: WebSettings
    ) -> None:
        """Raises TimeoutError, OSError."""
        head = head_of(request, response, settings)
        if request is not None and request.method == "HEAD":
            await self.write(head)
        elif response.stream is None:
            await self.write(head)
            await self.write(response.body)
        else:
            await self.write(head)
            await self._write_stream(response.stream, request is not None and request.chunked)

    async def finish(self) -> None:
        """Wait until the client has taken everything. Raises TimeoutError."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        await delivered(self._connection, self._timeout)

    async def _write_stream(self, stream: AsyncIterator[bytes], chunked: bool) -> None:
        async for piece in stream:
            if not piece:  # an empty chunk would be the last one
                continue
            if chunked:
                await self.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                await self.write(piece)
        if chunked:
            await self.write(b"0\r\n\r\n")

    async def write(self, message: bytes) -> None:
        """Raises TimeoutError, OSError."""
        loop = asyncio.get_running_loop()
        view = memoryview(message)
        for start in range(0, len(message), _CHUNK):
            self._connection.since = loop.time()
            self._writer.write(view[start : start + _CHUNK])
            async with asyncio.timeout(self._timeout):
                await self._writer.drain()
