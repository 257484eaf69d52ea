# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One client: what it is at, whether it makes progress, and how it is let go."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from vmad.web.viewer import ANYBODY, Viewer

#: seconds without progress after which a response being written may give way to a newcomer
STALLED = 1.0
#: seconds of silence, or without reading, after which it may have to where all places are taken and
#: its client has an even share of them or more
SILENT = 0.05
#: seconds between two looks at what the client has yet to take, at first and at most: whoever takes
#: nothing is looked at ever more rarely, since no event tells of it and many may do so at once
_LOOK, _LONGEST_LOOK = 0.02, 0.32
#: bytes taken from a socket at once; a request is smaller
_PIECE = 16_384
#: bytes that the kernel may keep of an answer that is done, and seconds that it is waited for
#: before: errors must not hold connections up
_SMALL, _PATIENCE = 4096, 0.5
#: SO_LINGER of nothing: closing throws away what was not taken, and resets (socket(7))
_RESET = struct.pack("ii", 1, 0)


class Phase(Enum):
    """What a connection is at."""

    READING = auto()
    ANSWERING = auto()
    WRITING = auto()
    LEAVING = auto()  #: all but a little of its answer was taken


@dataclass(eq=False, slots=True)
class Connection:
    """``since``: loop time of its last progress. ``origin`` is whom failed logins are counted
    against: an address, or a user of this host.

    ``client`` is ours to close until asyncio has ``taken`` it over: a descriptor closed behind a
    transport's back may be another connection's by the time the transport uses it.
    """

    client: socket.socket
    since: float
    viewer: Viewer = ANYBODY
    origin: str = ""
    phase: Phase = Phase.READING
    taken: bool = False
    began_writing: float = 0.0
    come: bytes = b""  #: of its request, until its task reads on
    rest: bytes = b""  #: of an answer that was begun
    left: bool = False  #: it has hung up, or will send nothing more
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def of_this_host(self) -> bool:
        """Whether it came by a Unix socket."""
        return self.client.family == socket.AF_UNIX

    @property
    def root(self) -> bool:
        """Whether it is root of this host, who needs no password."""
        return self.of_this_host and self.viewer.trusted

    @property
    def stalled(self) -> bool:
        """Whether it has not read of its answer for so long that another may have its turn."""
        now = asyncio.get_running_loop().time()
        return self.phase is Phase.WRITING and self.since < now - STALLED

    def gives_way(self, after: float) -> bool:
        """Whether its place may be somebody else's where there is none left: it says nothing, or
        does not read, for ``after`` seconds, or it has been reading for long.
        """
        now = asyncio.get_running_loop().time()
        if self.phase is Phase.READING:
            return self.since < now - after and not (self.come or self._has_more())
        return self.phase is Phase.WRITING and (
            self.since < now - after or self.began_writing < now - STALLED
        )

    def _has_more(self) -> bool:
        """Whether something has come that is not read yet."""
        try:
            return bool(self.client.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def write_from_now_on(self) -> None:
        """Its answer is there."""
        self.phase = Phase.WRITING
        self.since = self.began_writing = asyncio.get_running_loop().time()

    def drop(self) -> None:
        """Close it in favour of somebody else."""
        if self.phase is not Phase.LEAVING:
            self.reset_on_close()
        if self.task is not None:
            self.task.cancel()

    def reset_on_close(self) -> None:
        """What the client has not taken is thrown away: the kernel would keep it for minutes."""
        with suppress(OSError):
            if undelivered(self.client):
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def ended(self, _: object = None) -> None:
        """Close what no transport has taken: a task that is cancelled before its first step
        never comes to its own clean-up.
        """
        if not self.taken:
            self.client.close()


class Stream(asyncio.StreamReaderProtocol):
    """The usual protocol, which also tells a connection that its client has gone."""

    def __init__(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        super().__init__(reader)
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read in pieces that fit in what is free when memory is short; asyncio's are of 256 KiB,
        each a mapping of its own.
        """
        if hasattr(transport, "max_size"):
            transport.max_size = _PIECE
        super().connection_made(transport)

    def eof_received(self) -> bool | None:
        """The client will send nothing more."""
        self._connection.left = True
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has hung up."""
        self._connection.left = True
        super().connection_lost(exc)


def undelivered(client: socket.socket) -> int:
    """Bytes that the client has not taken yet (SIOCOUTQ, tcp(7), unix(7)); 0 when it is closed."""
    if client.fileno() < 0:
        return 0
    queued = fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", queued)[0])


async def delivered(connection: Connection, timeout: float) -> None:
    """Wait until the client has taken everything. It may take ``timeout`` seconds without progress.

    A socket that is closed before leaves its data to the kernel, uncounted: very little may be
    left so. Raises TimeoutError.
    """
    loop = asyncio.get_running_loop()
    left = undelivered(connection.client)
    began = loop.time()
    pause = _LOOK
    while left:
        if left < _SMALL:
            connection.phase = Phase.LEAVING
            if loop.time() - began > _PATIENCE:
                return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_LOOK)
        now = undelivered(connection.client)
        if now < left:
            connection.since = loop.time()
            pause = _LOOK
        elif loop.time() - connection.since > timeout:
            raise TimeoutError
        left = now
