# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Process events (fork, exec, exit) from the kernel's proc connector, through pyroute2.

Documentation/driver-api/connector.rst; include/uapi/linux/cn_proc.h. The connector lives in the
initial network namespace, needs CONFIG_PROC_EVENTS, and loses events when its reader is slow.
pyroute2 0.9.7 does not survive such a loss (nor a malformed message that any process may send):
the next read raises, and every one after it. So any failure of a read counts as an overrun; the
socket is made anew and the caller looks at every process again.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vmad.errors import EvidenceUnavailable
from vmad.sources.connector import PlainConnector, check_that_somebody_is_there
from vmad.sources.event_filter import attach

log = logging.getLogger("vmad")

#: bytes; the kernel doubles it, then some 2,500 events fit: small enough for a limited cgroup
RECEIVE_BUFFER = 1 << 20
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
        self._reader.thread.start()

    def stop(self) -> None:
        """End; does not wait for a read that blocks."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()
        with self._lock:
            self._counts.up, self._counts.why_down = False, "process events: stopped"

    def look(self) -> EventCounts:
        """Totals, and the pids that exec'ed since the last look (taken out)."""
        with self._lock:
            now = self._counts
            self._counts = EventCounts(now.events, now.overruns, now.up, now.why_down)
            return now

    def peek(self) -> EventCounts:
        """Totals alone; nothing is taken out."""
        with self._lock:
            now = self._counts
            return EventCounts(now.events, now.overruns, now.up, now.why_down)

    def _is_up(self, reader: _Reader) -> None:
        with self._lock:
            if reader is self._reader:
                self._counts.up, self._counts.why_down = True, None

    def _is_down(self, reader: _Reader, why: str) -> None:
        with self._lock:
            if reader is self._reader:
                self._counts.up, self._counts.why_down = False, why

    def _came(self, number: int, execed: set[int]) -> None:
        with self._lock:
            self._counts.events += number
            self._counts.execed |= execed

    def _lost(self, reader: _Reader, why: str) -> None:
        with self._lock:
            self._counts.overruns += 1
            self._counts.rescan = True
        log.debug("process events lost: %s", why)
        self._is_down(reader, f"process events: {why}")
        self._on_overrun()


class _TooDear(Exception):
    """Reading takes more than its share."""


class _Reader:
    """One run of the thread."""

    def __init__(self, owner: ProcessEvents) -> None:
        self._owner = owner
        self._stopping = threading.Event()
        self._socket: Any = None
        self.thread = threading.Thread(target=self._run, name="vmad-events", daemon=True)

    def stop(self) -> None:
        self._stopping.set()
        self._close()

    def _run(self) -> None:
        # CPU seconds beyond the share, over all sockets: each may break before it looks dear
        self._owed = 0.0
        self._paid_at = time.monotonic()
        pause, dear_pause = RETRY[0], SHARE_PAUSE[0]
        while not self._stopping.is_set():
            try:
                self._socket = open_connector()
            except EvidenceUnavailable as error:
                self._owner._is_down(self, str(error))
                self._stopping.wait(RETRY[1])
                continue
            self._owner._is_up(self)
            began = time.monotonic()
            try:
                self._read()
            except _TooDear:
                self._owner._lost(self, "they come faster than the budget lets vmad read them")
                self._close()
                self._stopping.wait(dear_pause)
                dear_pause = min(dear_pause * 2, SHARE_PAUSE[1])
                continue
            except Exception as error:
                # whatever pyroute2 and asyncio make of it: the socket is broken, see above
                if self._stopping.is_set():
                    break
                self._owner._lost(self, f"{type(error).__name__}: {error}")
            self._close()
            lasted = time.monotonic() - began
            pause = RETRY[0] if lasted > RETRY[1] else pause
            dear_pause = SHARE_PAUSE[0] if lasted > SHARE_PAUSE[1] else dear_pause
            self._stopping.wait(pause)
            pause = min(pause * 2, RETRY[1])
        self._close()

    def _read(self) -> None:
        spent = time.thread_time()
        while not self._stopping.is_set():
            execed, number = set(), 0
            for message in self._socket.get():
                number += 1
                if message["event"] == "PROC_EVENT_EXEC":
                    execed.add(int(message["process_tgid"]))
            self._owner._came(number, execed)
            now, used = time.monotonic(), time.thread_time()
            earned = (now - self._paid_at) * self._owner.share
            self._owed = max(self._owed - earned, 0.0) + used - spent
            self._owner.cpu_seconds += used - spent
            self._paid_at, spent = now, used
            if self._owed > SHARE_WINDOW * self._owner.share:
                raise _TooDear

    def _close(self) -> None:
        found, self._socket = self._socket, None
        if found is not None:
            # a socket that is broken, or in use by the reading thread, may object
            with contextlib.suppress(Exception):
                found.close()


def open_connector() -> Any:
    """A socket that listens to the connector: pyroute2's where it has one, else our own.

    Raises EvidenceUnavailable.
    """
    kind: Callable[[], Any] = PlainConnector
    with contextlib.suppress(ImportError):  # not installed, or older than its cn_proc
        from pyroute2.netlink.connector.cn_proc import (  # noqa: PLC0415  24 MiB
            ProcEventSocket,
        )

        kind = ProcEventSocket
    opened: Any = None
    try:
        # pyroute2 0.9.7 leaves tracebacks in the log where its first message is refused
        check_that_somebody_is_there()
        opened = kind()
        # before bind: what is queued in between counts too
        _enlarge(opened)
        attach(opened)
        opened.bind()
        opened.control(listen=True)
    except Exception as error:
        if opened is not None:
            with contextlib.suppress(Exception):
                opened.close()
        raise EvidenceUnavailable(
            f"process events: {error}",
            "needs CONFIG_PROC_EVENTS and the initial network namespace",
        ) from error
    return opened


def _enlarge(sock: Any) -> None:
    """SO_RCVBUFFORCE needs CAP_NET_ADMIN; without it SO_RCVBUF gives what rmem_max allows."""
    force = getattr(socket, "SO_RCVBUFFORCE", 33)
    for option in (force, socket.SO_RCVBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
        except OSError:
            continue
        return


def event_source_problem() -> str | None:
    """One line why process events cannot be had here; None when they can (for ``doctor``)."""
    try:
        opened = open_connector()
    except EvidenceUnavailable as error:
        return str(error)
    opened.close()
    return None
