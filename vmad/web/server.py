# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A small HTTP server that no client can fill: one event loop, bounded connections, few threads.

prometheus_client's own server answers every path with metrics and keeps a thread per silent
client for ever (measured with 0.26: 50 idle clients, 52 threads). Here the loop reads and writes
all connections under deadlines; when they are all taken, the one that has been silent longest is
closed in favour of the newcomer. Threads only compute responses, and /-/healthy needs none.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum, auto

from vmad.errors import VmadError
from vmad.web import router
from vmad.web.listen import address_text, bind_all, is_loopback
from vmad.web.request import MAX_LINE, BadRequest, Request, read_request
from vmad.web.router import Content, Response
from vmad.web.web_config import WebConfigFile, WebSettings
from vmad.web.workers import Workers

_log = logging.getLogger(__name__)

_CHUNK = 1 << 16
#: seconds without progress after which a response being written may give way to a newcomer
_STALLED = 1.0
#: what a client that sends a body may still send after its answer, so that it can read it
_LINGER_BYTES = 1 << 18
_LINGER_SECONDS = 1.0
#: what a request in flight may still take when the server stops
_GRACE = 0.5
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Phase(Enum):
    READING = auto()
    ANSWERING = auto()
    WRITING = auto()


@dataclass(eq=False, slots=True)
class _Connection:
    """One client. ``since``: loop time of its last progress.

    ``client`` is ours to close until asyncio has ``taken`` it over: a descriptor closed behind a
    transport's back may be another connection's by the time the transport uses it.
    """

    client: socket.socket
    since: float
    phase: _Phase = _Phase.READING
    taken: bool = False
    task: asyncio.Task[None] | None = None

    def ended(self, _: object = None) -> None:
        """Close what no transport has taken: a task that is cancelled before its first step
        never comes to its own clean-up.
        """
        if not self.taken:
            self.client.close()


class WebServer:
    """Serves ``content`` on all ``listen`` addresses from a thread of its own.

    ``timeout`` is how long, in seconds, a client may take for its request's head, and for each
    64 KiB of the response. ``web_config`` is the path of --web.config.file.
    """

    def __init__(
        self,
        listen: Sequence[str],
        content: Content,
        *,
        max_connections: int = 32,
        timeout: float = 10.0,
        web_config: str | None = None,
    ) -> None:
        self._listen = tuple(listen)
        self._content = content
        self._max_connections = max_connections
        self._timeout = timeout
        self._web_config_path = web_config
        self._sockets: list[socket.socket] = []
        #: HOST:PORT of every socket, once started; the kernel chose the port where 0 was asked for
        self.addresses: tuple[str, ...] = ()
        self._connections: dict[_Connection, None] = {}
        self._answerers = Workers(4, "vmad-web")
        self._explainers = Workers(2, "vmad-explain")
        self._verifiers = Workers(1, "vmad-auth")
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = threading.Event()

    def bind(self) -> None:
        """Take the addresses: all that takes a right. Starts no thread.

        Raises VmadError (port in use, no such address), BadConfig.
        """
        self._web_config = WebConfigFile(self._web_config_path)
        self._sockets = bind_all(self._listen)
        self.addresses = tuple(map(address_text, self._sockets))
        beyond = [address_text(one) for one in self._sockets if not is_loopback(one)]
        if beyond and not self._web_config.current().authenticated:
            _log.warning(
                "%s: whoever reaches it may read names of processes, units and files: no "
                "authentication is asked for (see --web.config.file)",
                ", ".join(beyond),
            )

    def start(self) -> None:
        """Serve; bind first where that is not done yet. Raises what ``bind`` raises."""
        if not self._sockets:
            self.bind()
        self._thread = threading.Thread(target=self._run, name="vmad-http", daemon=True)
        self._thread.start()
        self._running.wait()
        if self._loop is None:
            raise VmadError("the web server could not start", "see the traceback above")

    def stop(self) -> None:
        """Stop within a second; a request in flight gets half of it."""
        if self._thread is None or self._loop is None:
            return
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(2 * _GRACE)
        self._thread = None

    def _run(self) -> None:
        try:
            asyncio.run(self._serve_until_stopped())
        finally:
            self._running.set()  # also when no event loop can be had (out of descriptors)

    async def _serve_until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        acceptors = [asyncio.create_task(self._accept(one)) for one in self._sockets]
        self._running.set()
        await self._stopping.wait()
        for acceptor in acceptors:
            acceptor.cancel()
        await asyncio.gather(*acceptors, return_exceptions=True)
        for one in self._sockets:
            one.close()
        await self._end_connections()

    async def _end_connections(self) -> None:
        tasks = {one.task: one for one in self._connections if one.task is not None}
        for task, one in tasks.items():
            if one.phase is _Phase.READING:
                task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_GRACE)
            for task in late:
                task.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError as error:  # out of file descriptors, or the client is gone already
                _log.warning("cannot accept a connection: %s", error.strerror)
                await asyncio.sleep(0.1)
                continue
            if len(self._connections) >= self._max_connections and not self._make_room():
                with suppress(OSError):
                    client.send(_FULL)
                client.close()
                continue
            connection = _Connection(client, loop.time())
            self._connections[connection] = None
            connection.task = asyncio.create_task(self._serve(connection))
            connection.task.add_done_callback(connection.ended)
            # sock_accept does not yield while clients queue up: let the others have their turn
            await asyncio.sleep(0)

    def _make_room(self) -> bool:
        """Close the connection that has kept still longest; False when all are at work."""
        stalled = asyncio.get_running_loop().time() - _STALLED
        for phase, before in ((_Phase.READING, float("inf")), (_Phase.WRITING, stalled)):
            still = [one for one in self._connections if one.phase is phase and one.since < before]
            if still:
                victim = min(still, key=lambda one: one.since)
                del self._connections[victim]
                if victim.task is not None:
                    victim.task.cancel()
                return True
        return False

    async def _serve(self, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_LINE)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport: asyncio.Transport | None = None
        try:
            settings = self._web_config.current()
            secured = settings.tls is not None
            connection.taken = True
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection.client,
                ssl=settings.tls,
                ssl_handshake_timeout=self._timeout if secured else None,
                ssl_shutdown_timeout=_LINGER_SECONDS if secured else None,
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            await self._converse(connection, reader, writer, settings)
        except (OSError, EOFError, TimeoutError) as error:
            # the client hung up, kept silent or does not speak TLS: its own affair
            _log.debug("connection ended: %s", error)
        finally:
            self._connections.pop(connection, None)
            if transport is not None:
                transport.abort()

    async def _converse(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        settings: WebSettings,
    ) -> None:
        request: Request | None = None
        try:
            async with asyncio.timeout(self._timeout):
                request = await read_request(reader)
        except BadRequest as bad:
            response = router.error("", bad.status, bad.text)
        else:
            connection.phase = _Phase.ANSWERING
            response = await self._answer(request, settings)
        connection.phase = _Phase.WRITING
        await self._write(connection, writer, _message(request, response, settings))
        if request is None or request.has_body:
            await _linger(reader, writer)
        writer.close()
        async with asyncio.timeout(self._timeout):
            await writer.wait_closed()

    async def _answer(self, request: Request, settings: WebSettings) -> Response:
        if not await self._authorised(request, settings):
            challenge = 'Basic realm="vmad", charset="UTF-8"'
            return router.error(request.path, 401, "unauthorized", WWW_Authenticate=challenge)
        refusal = router.refuse(request)
        if refusal is not None:
            return refusal
        if request.path == router.HEALTHY:
            return router.respond(request, self._content)
        workers = self._answerers
        if router.explained_pid(request) is not None:
            workers = self._explainers
            if workers.busy:
                text = "two processes are being explained already; try again"
                return router.error(request.path, 503, text, Retry_After="5")
        try:
            return await workers.run(lambda: router.respond(request, self._content))
        except Exception:
            # the server outlives whatever goes wrong in one answer; the log has the traceback
            _log.exception("cannot answer %s %s", request.method, ascii(request.path))
            return router.error(request.path, 500, "internal error; see vmad's log")

    async def _authorised(self, request: Request, settings: WebSettings) -> bool:
        header, users = request.headers.get("authorization"), settings.users
        if users is None or users.remembered(header):
            return True
        return await self._verifiers.run(lambda: users.verify(header))

    async def _write(
        self, connection: _Connection, writer: asyncio.StreamWriter, message: bytes
    ) -> None:
        loop = asyncio.get_running_loop()
        # drain() then waits until the kernel has taken everything: progress can be seen
        writer.transport.set_write_buffer_limits(high=0)
        view = memoryview(message)
        for start in range(0, len(message), _CHUNK):
            connection.since = loop.time()
            writer.write(view[start : start + _CHUNK])
            async with asyncio.timeout(self._timeout):
                await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the client finish sending: unread bytes at close would reset what it has yet to read."""
    if writer.can_write_eof():
        writer.write_eof()
    left = _LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0 and (data := await reader.read(_CHUNK)):
                left -= len(data)


def _message(request: Request | None, response: Response, settings: WebSettings) -> bytes:
    headers = {
        "Date": formatdate(usegmt=True),
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        "Connection": "close",
        "X-Content-Type-Options": "nosniff",
        **response.headers,
        **settings.headers,
    }
    lines = [f"HTTP/1.1 {response.status} {router.phrase(response.status)}"]
    lines += (f"{name}: {value}" for name, value in headers.items())
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if request is not None and request.method == "HEAD" else head + response.body
