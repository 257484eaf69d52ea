# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tells systemd how the service is (sd_notify(3)): a datagram to $NOTIFY_SOCKET."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable


class Notify:
    """Says nothing where no service manager listens."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        if address.startswith("@"):  # an abstract socket
            address = "\0" + address[1:]
        self._address = address

    @property
    def heard(self) -> bool:
        """Whether a service manager listens."""
        return bool(self._address)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # a manager that has gone must not stop the daemon
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(lines).encode(), self._address)

    def ready(self, status: str) -> None:
        """Start-up is complete."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def reloading(self) -> None:
        """A reload begins; systemd 253 and later wait for the time stamp."""
        self._send(
            "RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
        )

    def stopping(self) -> None:
        """Shutdown has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The watchdog's food: only after progress."""
        self._send("WATCHDOG=1")


class Watchdog:
    """Fed while progress is made, and only then. ``seconds``: WatchdogSec, None without one.

    Whoever makes progress says by when the next is due; past that, the service manager is left
    to its own conclusions.
    """

    def __init__(
        self,
        notify: Notify,
        seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notify = notify
        self._seconds = seconds
        self._clock = clock
        self._due = clock()

    @property
    def alone(self) -> bool:
        """Whether a watchdog is asked for and no manager acts on it: in a container, the daemon
        ends itself, and whoever runs it starts it again.
        """
        return self._seconds is not None and not self._notify.heard

    @property
    def period(self) -> float | None:
        """Seconds between feedings; None when nobody watches."""
        return self._seconds / 3 if self._seconds is not None else None

    def expect(self, within: float) -> None:
        """Progress was made; the next is due within that many seconds."""
        self._due = self._clock() + within

    def feed(self) -> bool:
        """Tell the service manager that all is well, if it is."""
        well = self._clock() <= self._due
        if well and self._seconds is not None:
            self._notify.alive()
        return well


def watchdog_seconds() -> float | None:
    """WatchdogSec of the unit, None without one (sd_watchdog_enabled(3))."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6
