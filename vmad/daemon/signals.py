# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Signals as numbers in a pipe, for a main thread that waits for them.

A Python handler may run between any two steps of the main thread, so it must take no lock: one
that sets an Event can meet the main thread holding the Event's lock, and then nothing ends the
daemon any more. Blocking the signals and waiting for them does not do either: threads that a
library made at its import (OpenBLAS) do not block them, and the kernel may choose one of those.
The interpreter's own C handler writes the number to a descriptor whichever thread it runs in.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable


class Signals:
    """To be made and used in the main thread; ``send`` by any."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def take(self, numbers: Iterable[signal.Signals]) -> None:
        """From now on these come out of ``wait``, and do nothing else."""
        for number in numbers:
            signal.signal(number, _do_nothing)

    def send(self, number: signal.Signals) -> None:
        """As if the process had got it. A full pipe already holds enough to do."""
        try:
            os.write(self._write, bytes([number]))
        except BlockingIOError:
            return

    def wait(self, seconds: float | None) -> set[int]:
        """The signals that came since, at once if there are any; none after ``seconds``."""
        select.select([self._read], [], [], seconds)
        try:
            return set(os.read(self._read, 4096))
        except BlockingIOError:
            return set()


def _do_nothing(*_: object) -> None:
    return
