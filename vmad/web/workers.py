# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Threads that take work off the event loop and that nobody has to wait for at the end.

concurrent.futures joins its threads when the interpreter exits, so one read that hangs would
keep the daemon from stopping; these threads are daemons.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from vmad.threads import NoThread, start_thread

T = TypeVar("T")

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Workers:
    """At most ``limit`` threads, each started when it is first needed, or by ``prepare``.

    Used from one event loop.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._threads = 0
        self._unfinished = 0

    @property
    def busy(self) -> bool:
        """True when a further job would have to wait."""
        return self._unfinished >= self._limit

    def prepare(self) -> None:
        """Start the first thread now. Raises NoThread."""
        if self._threads == 0:
            self._start_another()

    async def run(self, job: Callable[[], T]) -> T:
        """What ``job`` returns or raises. One that has begun goes on though nobody waits for it.

        Raises NoThread.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._threads < self._limit and self._unfinished >= self._threads:
            self._start_another()
        self._unfinished += 1
        self._jobs.put((job, future, loop))
        return await future

    def _start_another(self) -> None:
        """Raises NoThread when there is none at all: fewer than asked for do the work, too."""
        try:
            start_thread(f"{self._name}-{self._threads + 1}", self._work)
        except NoThread:
            if self._threads == 0:
                raise
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            job, future, loop = self._jobs.get()
            result, failure = None, None
            try:
                if not future.cancelled():  # whoever asked may have left while it waited
                    result = job()
            except Exception as error:  # handed over to whoever awaits the future
                failure = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._finish, future, result, failure)

    def _finish(self, future: asyncio.Future[Any], result: Any, failure: Exception | None) -> None:
        self._unfinished -= 1
        if future.cancelled():
            return
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)
