# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reads that may block for ever, run in a few threads with a deadline on their progress.

Reading maps, smaps, numa_maps or pagemap takes the target's mmap_lock (fs/proc/task_mmu.c), and
its holder may sleep in a page fault on FUSE, NFS or userfaultfd for as long as it likes; no signal
or timeout ends such a read from outside. So the caller never reads by itself: it waits for a
worker, and when the worker makes no progress until the deadline, the thread is written off until
the kernel lets go of it. At most ``workers`` threads exist; when all are stuck, work is refused.

A slow machine is no lock: a worker that takes processor time, or would if it got some, is working.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from vmad.errors import CannotRead
from vmad.sources.cpu_time import charge
from vmad.threads import start_thread

T = TypeVar("T")

#: share of a deadline that a thread has to spend on a processor to be at work
_WORKING = 0.05

#: what a piece of work calls before each read, naming what it is about to read
Tick = Callable[[Hashable], None]


class Stuck(Exception):
    """A read has not come back before its deadline; ``key`` is what was being read.

    ``key`` is None when the work was refused since every worker is stuck (or it never ticked).
    ``working``: it did not wait, it took that long.
    """

    def __init__(self, key: Hashable | None, working: bool = False) -> None:
        super().__init__("all workers are stuck" if key is None else f"stuck reading {key}")
        self.key = key
        self.working = working


def no_answer(path: str, stuck: Stuck, deadline: float) -> CannotRead:
    """The error for a person who asked for a file of /proc that is not given out."""
    why = f"no answer for {deadline:g} s" if stuck.key is not None else str(stuck)
    return CannotRead(f"{path}: {why}", "its mmap_lock may be held: try again")


class _Job(Generic[T]):
    def __init__(self, work: Callable[[Tick], T]) -> None:
        self.work = work
        self.done = threading.Event()
        self.progress: tuple[float, Hashable | None] = (time.monotonic(), None)
        self.finished = False
        self.abandoned_in: Hashable | None = None
        self.abandoned = False
        self.result: T | None = None
        self.error: BaseException | None = None
        self.cpu_seconds = 0.0
        self.worker: tuple[int, int] | None = None  #: its clock of processor time, its thread id
        self.looked_at = 0.0  #: what that clock said at the last look

    def works(self, deadline: float) -> bool:
        """Whether the worker has worked since the last look (``deadline`` seconds ago) or wants to.

        A thread that waits for mmap_lock sleeps (state D).
        """
        if self.worker is None:
            return False
        clock, thread = self.worker
        try:
            spent = time.clock_gettime(clock) - self.looked_at
            with open(f"/proc/self/task/{thread}/stat", "rb") as file:
                text = file.read()
        except OSError:
            return False
        self.looked_at += spent
        return spent > _WORKING * deadline or text[text.rindex(b")") + 2 :][:1] == b"R"

    def tick(self, key: Hashable) -> None:
        """Progress was made: the next read is of ``key``. Ends the work if it was written off."""
        if self.abandoned:
            raise Stuck(key)
        self.progress = (time.monotonic(), key)

    def run(self) -> None:
        clock = time.pthread_getcpuclockid(threading.get_ident())
        began = self.looked_at = time.clock_gettime(clock)
        self.worker = clock, threading.get_native_id()
        try:
            self.result = self.work(self.tick)
        except BaseException as error:  # handed to the waiting caller
            self.error = error
        self.cpu_seconds = time.clock_gettime(clock) - began


class BoundedReads:
    """At most ``workers`` daemon threads; ``deadline`` is seconds without progress.

    ``patience``: how many deadlines are granted, one after the other, to what works.
    """

    def __init__(self, workers: int = 4, deadline: float = 2.0, patience: int = 1) -> None:
        self.deadline = deadline
        self._patience = patience
        self._workers = workers
        self._started = 0
        self._idle = 0
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._stuck: dict[Hashable, int] = {}

    def run(self, work: Callable[[Tick], T]) -> T:
        """Call ``work(tick)`` in a worker and return its result, or raise what it raised. The
        worker's CPU time is put down to the calling thread (:mod:`vmad.sources.cpu_time`).

        Raises NoThread, and Stuck when ``work`` neither ends nor ticks within the deadline. The
        thread then still runs it: what ``work`` touches must not be used again by the caller. Its
        next tick raises Stuck in it, so that it ends soon after the kernel lets go.
        """
        with self._lock:
            if self._idle == 0:
                if self._started == self._workers:
                    raise Stuck(None)
                start_thread("vmad-read", self._serve)
                self._started += 1
            else:
                self._idle -= 1
        job = _Job(work)
        self._jobs.put(job)
        granted = 1
        while not job.done.wait(self._time_left(job)):
            if self._time_left(job) > 0:
                continue
            working = job.works(self.deadline)
            if working and granted < self._patience:
                granted += 1
                job.progress = (time.monotonic(), job.progress[1])
                continue
            with self._lock:
                if job.finished:
                    break
                job.abandoned = True
                job.abandoned_in = key = job.progress[1]
                self._stuck[key] = self._stuck.get(key, 0) + 1
            raise Stuck(key, working)
        charge(job.cpu_seconds)
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]

    def _time_left(self, job: _Job[Any]) -> float:
        return max(job.progress[0] + self.deadline - time.monotonic(), 0.0)

    def is_stuck(self, key: Hashable) -> bool:
        """Whether a worker is still in a read of ``key`` that was written off."""
        return key in self._stuck

    @property
    def stuck(self) -> int:
        """How many workers are lost at present."""
        return sum(self._stuck.values())

    def close(self) -> None:
        """Let the idle workers end; stuck ones end when the kernel lets go of them."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            with self._lock:
                job.finished = True
                self._idle += 1
                if job.abandoned:
                    self._stuck[job.abandoned_in] -= 1
                    if not self._stuck[job.abandoned_in]:
                        del self._stuck[job.abandoned_in]
            job.done.set()
            del job


#: for what a person asks for beside a source: at most four lost threads, whatever is asked
BY_HAND = BoundedReads()
