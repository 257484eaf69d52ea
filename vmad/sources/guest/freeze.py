# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Stops a guest for as long as a pipe of ours is open, so that it cannot stay stopped.

QEMU's command "stop" would outlive a vmad that is killed before it can say "cont". But QEMU also
stops a guest for the length of dump-guest-memory and lets it go on by itself at the end, be that
success or failure (dump/dump.c, dump_init and dump_cleanup, QEMU 2.6 to 10). So: a dump in the
background into a pipe that nobody reads. It is stuck in its first kilobytes, and the guest stands
still, until the reading end is closed: by us, or by the kernel when vmad dies in whatever way.
A guest that was paused before stays so.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vmad.errors import TargetUnavailable
from vmad.model.stops import Stops
from vmad.sources.guest.qmp import TIMEOUT, Monitor, Refused

#: bytes; the smallest pipe, and less than any dump
_PIPE = 4096
_F_SETPIPE_SZ = 1031  # fcntl(2)
_NAME = "vmad-still"
#: the run state of a guest during a dump (qapi/run-state.json)
_STOPPED = "save-vm"


class Freezer:
    """Stops the guest behind one monitor; ``stops`` goes on with those that were, by the time
    stamps of QEMU's own events.
    """

    def __init__(self, monitor: Monitor, stops: Stops | None = None) -> None:
        self._monitor = monitor
        self.stops = Stops() if stops is None else stops

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The guest stands still inside. Raises TargetUnavailable."""
        reading, writing = os.pipe()
        try:
            fcntl.fcntl(writing, _F_SETPIPE_SZ, _PIPE)
            self._monitor.take_events()
            try:
                self._monitor.execute("getfd", fd=writing, fdname=_NAME)
                self._monitor.execute(
                    "dump-guest-memory", paging=False, protocol=f"fd:{_NAME}", detach=True
                )
            except Refused as error:
                raise TargetUnavailable(
                    f"qemu:{self._monitor.path}: QEMU does not stop the guest: {error}",
                    "read it without --consistent",
                ) from error
            finally:
                os.close(writing)
            yield
        finally:
            os.close(reading)
            if not self._monitor.closed:
                self._wait()

    def _wait(self) -> None:
        """Until the dump has failed and the guest goes on, which is a moment later.

        Raises TargetUnavailable.
        """
        deadline = time.monotonic() + TIMEOUT
        while (
            self._monitor.told("query-dump", "status", str) == "active"
            or self._monitor.told("query-status", "status", str) == _STOPPED
        ):
            if time.monotonic() > deadline:
                raise TargetUnavailable(
                    f"qemu:{self._monitor.path}: QEMU has not let the guest go on for "
                    f"{TIMEOUT:g} s",
                    "look at it with query-status",
                )
            time.sleep(0.0005)
        moments = dict(self._monitor.take_events())
        if {"RESUME", "STOP"} <= moments.keys():
            self.stops.add(moments["RESUME"] - moments["STOP"])
