# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A small HTTP server that no client can fill: one event loop, bounded connections, few threads.

prometheus_client's own server answers every path with metrics and keeps a thread per silent
client for ever (measured with 0.26: 50 idle clients, 52 threads). Here the loop reads and writes
all connections under deadlines; when they are all taken, the one that has been silent longest is
closed in favour of the newcomer. Threads only compute responses; /-/healthy and scrapes of what
was rendered within the last second need none.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import logging
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from vmad.errors import FAILURES, VmadError, told
from vmad.threads import start_thread
from vmad.web import router
from vmad.web.answers import Answers
from vmad.web.budget import Budget
from vmad.web.connection import Connection, Phase, Stream, undelivered
from vmad.web.listen import address_text, bind_all, is_loopback, remove
from vmad.web.places import Places
from vmad.web.request import MAX_LINE, BadRequest, Request, parse_request, read_request
from vmad.web.router import Content
from vmad.web.same_site import SameSite
from vmad.web.turns import Left
from vmad.web.viewer import peer_of
from vmad.web.web_config import WebConfigFile, WebSettings
from vmad.web.writer import Writer, head_of

_log = logging.getLogger(__name__)

_CHUNK = 1 << 16
#: what a client that sends a body may still send after its answer, so that it can read it
_LINGER_BYTES = 1 << 18
_LINGER_SECONDS = 1.0
#: what a request in flight may still take when the server stops
_GRACE = 0.5
#: connections that are accepted in a row, if so many wait
_AT_A_TIME = 8
#: seconds that the loop sleeps at least when it has used up its budget: some work at a time
_REST = 0.01
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class WebServer:
    """Serves ``content`` on all ``listen`` addresses from a thread of its own.

    ``timeout`` is how long, in seconds, a client may take for its request's head, and for each
    64 KiB of the response. ``web_config`` is the path of --web.config.file, ``budget`` the share of
    one core that all work for clients may take, ``hosts`` are names that clients may call it by.
    ``anybody``: what those see who are asked for no password (web.anybody of the configuration).
    """

    def __init__(
        self,
        listen: Sequence[str],
        content: Content,
        *,
        max_connections: int = 32,
        timeout: float = 10.0,
        web_config: str | None = None,
        budget: float = 1.0,
        hosts: Sequence[str] = (),
        anybody: str = "processes",
    ) -> None:
        self._listen = tuple(listen)
        self._answers = Answers(content, SameSite(hosts, self._listen), budget, anybody)
        self._timeout = timeout
        self._web_config_path = web_config
        self._sockets: list[socket.socket] = []
        #: HOST:PORT of every socket, once started; the kernel chose the port where 0 was asked for
        self.addresses: tuple[str, ...] = ()
        self._places = Places(max_connections)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = threading.Event()

    @property
    def cpu_seconds(self) -> float:
        """CPU time that clients have cost so far."""
        return self._answers.cpu_seconds

    @property
    def refused(self) -> dict[str, int]:
        """Requests that were refused, by why."""
        return dict(self._answers.refused)

    def bind(self) -> None:
        """Take the addresses: all that takes a right. Starts no thread.

        Raises VmadError (port in use, no such address), BadConfig.
        """
        self._web_config = WebConfigFile(self._web_config_path)
        self._sockets = bind_all(self._listen)
        self.addresses = tuple(dict.fromkeys(map(address_text, self._sockets)))
        beyond = dict.fromkeys(
            address_text(sock) for sock in self._sockets if not is_loopback(sock)
        )
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
        self._answers.prepare()
        self._thread = start_thread("vmad-http", self._run)
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
        self._charged = time.thread_time()
        self._stopping = asyncio.Event()
        acceptors = [asyncio.create_task(self._accept(sock)) for sock in self._sockets]
        self._running.set()
        await self._stopping.wait()
        for acceptor in acceptors:
            acceptor.cancel()
        await asyncio.gather(*acceptors, return_exceptions=True)
        for listener in self._sockets:
            remove(listener)
        await self._end_connections()

    async def _end_connections(self) -> None:
        tasks = {
            connection.task: connection
            for connection in self._places
            if connection.task is not None
        }
        for task, connection in tasks.items():
            if connection.phase is Phase.READING:
                task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_GRACE)
            for task in late:
                task.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        lane = self._answers.lane_budget()
        for number in itertools.count():
            try:
                await self._afford(lane)
                if number % _AT_A_TIME == 0:
                    # sock_accept does not yield while clients queue up: others have their turn
                    await asyncio.sleep(0)
                client, where = await loop.sock_accept(listener)
            except OSError as error:  # out of file descriptors, or the client is gone already
                _log.warning("cannot accept a connection: %s", error.strerror)
                await asyncio.sleep(0.1)
                continue
            began = time.thread_time()
            try:
                await self._admit(client, where)
            except FAILURES as error:  # whatever befalls one client, the next is accepted
                _log.warning("a connection is dropped: %s", told(error))
                client.close()
                await asyncio.sleep(0.1)
            lane.spend(time.thread_time() - began)

    async def _admit(self, client: socket.socket, where: object) -> None:
        """Answer at once what is at hand; else the client has a task, if there is room for it."""
        connection = Connection(client, asyncio.get_running_loop().time(), peer_of(client))
        crowded = self._places.full
        if self._at_hand(connection, crowded):
            client.close()
            return
        if crowded and not await self._places.room():
            if connection.phase is Phase.READING:
                with suppress(OSError):
                    client.send(_FULL)
            else:
                connection.reset_on_close()
            client.close()
            return
        connection.origin = _origin(connection, where)
        self._places.take(connection)
        connection.task = asyncio.create_task(self._serve(connection))
        connection.task.add_done_callback(connection.ended)

    async def _afford(self, lane: Budget) -> None:
        """Charge the loop's work to its budget; where that is used up, rest, unless this lane has
        had less than its even share of it: whoever pauses does not wait for those who do not.
        """
        now = time.thread_time()
        wait = self._answers.loop_rest(now - self._charged)
        self._charged = now
        if wait > 0 and lane.wait() > 0:
            await asyncio.sleep(max(wait, _REST))

    def _at_hand(self, connection: Connection, crowded: bool) -> bool:
        """Whether the connection was answered and is done: a scrape whose request has come with
        it, whose answer is at hand and which the client's end of the connection has room for.
        """
        client = connection.client
        settings = self._web_config.current()
        if settings.tls is not None and not connection.of_this_host:
            return False
        try:
            head = connection.come = client.recv(MAX_LINE)
            if not head.endswith(b"\r\n\r\n") or head.count(b"\r\n\r\n") != 1:
                return False
            request = parse_request(head)
            response = self._answers.at_hand(request, settings, connection, crowded)
            if response is None:
                return False
            message = head_of(request, response, settings) + response.body
            connection.write_from_now_on()
            connection.rest = message[client.send(message) :]
        except (BadRequest, OSError):  # nothing has come yet, or it is answered as usual
            return False
        return not connection.rest and undelivered(client) == 0

    async def _serve(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_LINE)
        reader.feed_data(connection.come)
        connection.come = b""
        protocol = Stream(reader, connection)
        transport: asyncio.Transport | None = None
        try:
            settings = self._web_config.current()
            tls = None if connection.of_this_host else settings.tls
            connection.taken = True
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection.client,
                ssl=tls,
                ssl_handshake_timeout=self._timeout if tls is not None else None,
                ssl_shutdown_timeout=self._timeout if tls is not None else None,
            )
            if tls is not None and transport.get_extra_info("peercert"):
                connection.viewer = replace(connection.viewer, trusted=True)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            await self._converse(connection, reader, writer, settings)
        except (OSError, EOFError, TimeoutError, Left) as error:
            # the client hung up, kept silent or does not speak TLS: its own affair
            _log.debug("connection ended: %s", error)
            connection.reset_on_close()
        finally:
            self._places.leave(connection)
            if transport is not None:
                transport.abort()

    async def _converse(
        self,
        connection: Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        settings: WebSettings,
    ) -> None:
        to_client = Writer(connection, writer, self._timeout)
        request: Request | None = None
        if connection.rest:
            await to_client.write(connection.rest)
        elif connection.phase is Phase.READING:
            try:
                async with asyncio.timeout(self._timeout):
                    request = await read_request(reader)
            except BadRequest as bad:
                response = router.error("", bad.status, bad.text)
                connection.write_from_now_on()
                await to_client.respond(None, response, settings)
            else:
                crowded = self._places.crowded()
                connection.phase = Phase.ANSWERING
                answer = self._answers.answer(request, settings, connection, crowded)
                async with answer as response:
                    connection.write_from_now_on()
                    await to_client.respond(request, response, settings)
                    # a large answer is over when the client has it
                    await to_client.finish()
            if request is None or request.has_body:
                await _linger(reader, writer)
        await to_client.finish()
        writer.close()
        async with asyncio.timeout(self._timeout):
            await writer.wait_closed()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the client finish sending: unread bytes at close would reset what it has yet to read."""
    if writer.can_write_eof():
        writer.write_eof()
    left = _LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0 and (data := await reader.read(_CHUNK)):
                left -= len(data)


def _origin(connection: Connection, where: object) -> str:
    """Whom failed logins are counted against: an IPv6 client has a network of addresses."""
    if connection.viewer.uid is not None:
        return f"uid {connection.viewer.uid}"
    host = str(where[0]) if isinstance(where, tuple) else ""
    if ":" not in host:
        return host
    return str(ipaddress.ip_network((host.partition("%")[0], 64), strict=False))
