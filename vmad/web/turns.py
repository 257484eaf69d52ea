# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Work that is done one at a time: who waits for it, how many, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

#: seconds between two looks whether the client that waits, or the one at work, is still there
_LOOK = 0.1


class Busy(Exception):
    """So many wait already, or the one before did not come to an end in time."""


class Left(Exception):
    """The client that waited has hung up: nobody wants the answer."""


class Client(Protocol):
    """What a turn must know of a connection."""

    @property
    def left(self) -> bool:
        """Whether it has hung up."""

    @property
    def stalled(self) -> bool:
        """Whether it does not read its answer."""

    def drop(self) -> None:
        """Close it in favour of somebody else."""


class Turns:
    """At most ``most`` clients wait, each for ``patience`` seconds at most. For one event loop.

    One that does not read the answer that it has the turn for gives way to the next.
    """

    def __init__(self, most: int, patience: float) -> None:
        self._most = most
        self._patience = patience
        self._waiting = 0
        self._lock = asyncio.Lock()
        self._holder: Client | None = None

    @asynccontextmanager
    async def turn(self, client: Client) -> AsyncIterator[None]:
        """The turn of ``client``. Raises Busy, Left."""
        await self._take(client)
        self._holder = client
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()

    async def _take(self, client: Client) -> None:
        if self._lock.locked() and self._waiting >= self._most:
            self._hurry()
            raise Busy
        self._waiting += 1
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        try:
            while not await self._taken():
                self._hurry()
                if client.left:
                    raise Left
                if loop.time() >= until:
                    raise Busy
        finally:
            self._waiting -= 1
        if client.left:
            self._lock.release()
            raise Left

    async def _taken(self) -> bool:
        try:
            async with asyncio.timeout(_LOOK):
                await self._lock.acquire()
        except TimeoutError:
            return False
        return True

    def _hurry(self) -> None:
        holder = self._holder
        if holder is not None and holder.stalled:
            holder.drop()
