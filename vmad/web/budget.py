# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""CPU time that work for clients may take, apart from what scans may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: parts of web.budget: accepting, reading requests and writing answers; pages, JSON and
#: explanations; checking passwords
CONNECTIONS, ANSWERS, LOGINS = 0.6, 0.25, 0.15
#: part of what may be saved that is kept for scrapes
KEPT = 1 / 3
#: seconds of its share that a quiet time leaves for a burst; also how long a debt lasts at most
WINDOW = 60.0


class Budget:
    """A share of one core, averaged over :data:`WINDOW`. From any thread.

    Work is not cut short: what it takes too much is a debt that whoever comes next waits for.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._lock = threading.Lock()
        self._most = share * WINDOW
        self._left = self._most
        self._at = clock()
        #: CPU seconds so far
        self.spent = 0.0

    def spend(self, cpu_seconds: float) -> None:
        """CPU time was spent."""
        with self._lock:
            self._earn()
            self.spent += cpu_seconds
            self._left = max(self._left - cpu_seconds, -self._most)

    def wait(self) -> float:
        """Seconds until there is something left to spend; 0: now."""
        with self._lock:
            self._earn()
            return max(-self._left / self._share, 0.0)

    def borrow(self, other: Budget) -> None:
        """Take what ``other`` has saved, as far as there is room: nobody else may use it now."""
        with self._lock:
            self._earn()
            self._left += other._give(self._most - self._left)

    def _give(self, most: float) -> float:
        with self._lock:
            self._earn()
            given = min(max(self._left, 0.0), most)
            self._left -= given
            return given

    @property
    def scarce(self) -> bool:
        """Whether so little is left that it is kept for what costs least."""
        with self._lock:
            self._earn()
            return self._left < self._most * KEPT

    def _earn(self) -> None:
        now = self._clock()
        self._left = min(self._left + (now - self._at) * self._share, self._most)
        self._at = now
