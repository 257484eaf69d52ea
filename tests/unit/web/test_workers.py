# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Threads that answer: fewer than asked for do the work; none is waited for that is not there."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from vmad.threads import NoThread
from vmad.web.workers import Workers


@pytest.fixture
def most_threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many more the kernel gives; as pthread_create(3) fails with EAGAIN beyond."""
    left = [0]
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if left[0] == 0:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    return left


def test_without_a_thread_it_is_said_and_the_next_try_may_have_one(most_threads: list[int]) -> None:
    async def scene() -> str:
        workers = Workers(1, "test")
        with pytest.raises(NoThread, match="TasksMax"):
            await workers.run(lambda: "never")
        most_threads[0] = 1
        return await asyncio.wait_for(workers.run(lambda: "done"), 60)

    assert asyncio.run(scene()) == "done"


def test_fewer_threads_than_asked_for_do_all_of_the_work(most_threads: list[int]) -> None:
    async def scene() -> list[int]:
        workers = Workers(4, "test")
        workers.prepare()
        jobs = (workers.run(partial(int, number)) for number in range(10))
        return await asyncio.wait_for(asyncio.gather(*jobs), 60)

    most_threads[0] = 1
    assert asyncio.run(scene()) == list(range(10))
