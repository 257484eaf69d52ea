# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Process events: which processes started another program since the last look.

The connector lives in the initial network namespace, needs CONFIG_PROC_EVENTS, and loses events
when its reader is slow. Any failure of a read counts as an overrun: the socket is made anew and the
caller looks at every process again.

Reading has its share of the budget. Beyond it the reader rests, which loses events too, but by
choice: it says so once in the log, and ``resting`` tells it apart from events that cannot be had.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from vmad.errors import EvidenceUnavailable
from vmad.sources.connector import Closed, Connector
from vmad.threads import NoThread, start_thread

log = logging.getLogger("vmad")

#: seconds that events gather before they are read together: waking up is what costs most
GATHER = 0.05
#: seconds to wait before a broken socket is made anew, doubled up to the last
RETRY = (0.1, 30.0)
#: seconds of its share that the reader may use up at once, in a burst of events
SHARE_WINDOW = 20.0
#: seconds that a reader which is dearer than its share pauses at most, doubled each time
SHARE_PAUSE = (10.0, 600.0)


@dataclass
class EventCounts:
    """Totals since start-up, and what has come since the last look."""

    events: int = 0
    overruns: int = 0
    up: bool = False
    #: not up by the reader's own choice: they cost more than its share of the budget
    resting: bool = False
    why_down: str | None = "process events: not started yet"
    execed: set[int] = field(default_factory=set)
    rescan: bool = False


class ProcessEvents:
    """A thread that reads the connector, from ``start`` to ``stop``, as often as wanted.

    ``share`` is the part of one core that reading may take; beyond it the thread pauses, which
    loses events and so counts as an overrun. ``on_overrun`` is called from the thread.
    """

    def __init__(self, share: float, on_overrun: Callable[[], None] = lambda: None) -> None:
        self.share = share
        self._on_overrun = on_overrun
        self._lock = threading.Lock()
        self._counts = EventCounts()
        self._reader: _Reader | None = None
        #: CPU time that reading took
        self.cpu_seconds = 0.0

    def start(self) -> None:
        """Begin to read."""
        self._reader = _Reader(self)
        try:
            self._reader.thread = start_thread("vmad-events", self._reader.run)
        except NoThread as error:
            self._is_down(self._reader, str(error))
            log.debug("process events are not read: %s", error)

    def stop(self) -> None:
        """End; does not wait for a read that blocks."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()
        with self._lock:
            self._counts.up, self._counts.resting = False, False
            self._counts.why_down = "process events: stopped"

    def look(self) -> EventCounts:
        """Totals, and the pids that exec'ed since the last look (taken out)."""
        with self._lock:
            now = self._counts
            self._counts = replace(now, execed=set(), rescan=False)
            return now

    def peek(self) -> EventCounts:
        """Totals alone; nothing is taken out."""
        with self._lock:
            return replace(self._counts, execed=set(), rescan=False)

    def _is_up(self, reader: _Reader) -> None:
        with self._lock:
            if reader is self._reader:
                self._counts.up, self._counts.resting, self._counts.why_down = True, False, None

    def _is_down(self, reader: _Reader, why: str, *, resting: bool = False) -> None:
        with self._lock:
            if reader is self._reader:
                self._counts.up, self._counts.resting = False, resting
                self._counts.why_down = f"process events: {why}"

    def _came(self, execed: list[int]) -> None:
        with self._lock:
            self._counts.events += len(execed)
            self._counts.execed.update(execed)

    def _lost(self, reader: _Reader, why: str, *, resting: bool = False) -> None:
        with self._lock:
            self._counts.overruns += 1
            self._counts.rescan = True
        log.debug("process events lost: %s", why)
        self._is_down(reader, why, resting=resting)
        self._on_overrun()


class _TooDear(Exception):
    """Reading takes more than its share."""


class _Reader:
    """One run of the thread."""

    def __init__(self, owner: ProcessEvents) -> None:
        self._owner = owner
        self._stopping = threading.Event()
        self._socket: Connector | None = None
        self._told: str | None = None
        self.thread: threading.Thread | None = None

    def stop(self) -> None:
        self._stopping.set()
        self._close()

    def run(self) -> None:
        """What the thread does."""
        # CPU seconds beyond the share, over all sockets: each may break before it looks dear
        self._owed = 0.0
        self._paid_at = time.monotonic()
        pause, rest = RETRY[0], SHARE_PAUSE[0]
        while not self._stopping.is_set():
            try:
                self._socket = open_connector()
            except EvidenceUnavailable as error:
                why = str(error).removeprefix("process events: ")
                self._owner._is_down(self, why)
                log.debug("process events are not read: %s", why)
                self._stopping.wait(RETRY[1])
                continue
            self._owner._is_up(self)
            began = time.monotonic()
            try:
                self._read(self._socket)
            except _TooDear:
                if time.monotonic() - began > SHARE_PAUSE[1]:
                    rest, self._told = SHARE_PAUSE[0], None
                self._rest(rest)
                rest = min(rest * 2, SHARE_PAUSE[1])
                continue
            except Closed:
                break
            except (OSError, MemoryError, ValueError) as error:
                # ValueError: closed before it was waited for
                if self._stopping.is_set():
                    break
                self._owner._lost(self, f"{type(error).__name__}: {error}")
            self._close()
            lasted = time.monotonic() - began
            pause = RETRY[0] if lasted > RETRY[1] else pause
            if lasted > SHARE_PAUSE[1]:
                rest, self._told = SHARE_PAUSE[0], None
            self._stopping.wait(pause)
            pause = min(pause * 2, RETRY[1])
        self._close()

    def _rest(self, seconds: float) -> None:
        why = (
            f"they take more than {self._owner.share:.2%} of a core, their part of scan.budget: "
            f"read again after up to {SHARE_PAUSE[1] / 60:.0f} minutes"
        )
        self._tell(
            f"process events rest: {why}; meanwhile programs that start are found by their counts"
        )
        self._owner._lost(self, why, resting=True)
        self._close()
        self._stopping.wait(seconds)

    def _tell(self, what: str) -> None:
        """Once, until events have been read for long."""
        log.log(logging.DEBUG if what == self._told else logging.WARNING, "%s", what)
        self._told = what

    def _read(self, connector: Connector) -> None:
        spent = time.thread_time()
        while not self._stopping.is_set():
            self._owner._came(connector.execs())
            now, used = time.monotonic(), time.thread_time()
            earned = (now - self._paid_at) * self._owner.share
            self._owed = max(self._owed - earned, 0.0) + used - spent
            self._owner.cpu_seconds += used - spent
            self._paid_at, spent = now, used
            if self._owed > SHARE_WINDOW * self._owner.share:
                raise _TooDear
            self._stopping.wait(GATHER)

    def _close(self) -> None:
        closing, self._socket = self._socket, None
        if closing is not None:
            closing.close()


def open_connector() -> Connector:
    """A socket that listens to the connector. Raises EvidenceUnavailable."""
    try:
        return Connector()
    except OSError as error:
        raise EvidenceUnavailable(
            f"process events: {error}",
            "needs CONFIG_PROC_EVENTS and the initial network namespace",
        ) from error


def event_source_problem() -> str | None:
    """One line why process events cannot be had here; None when they can (for ``doctor``)."""
    try:
        opened = open_connector()
    except EvidenceUnavailable as error:
        return str(error)
    opened.close()
    return None
