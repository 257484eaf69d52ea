# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Writes down what is to be kept, one thread at a time, and nothing after the last time.

The thread that scans does so between scans, the one that ends the daemon at the end, which does
not wait for the other: a file that both replaced at once could be neither's, and one that was
begun when the process ended would lie there half written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Keeping:
    """``write`` is told whether everything is to be written, and whether it is the last time."""

    def __init__(self, write: Callable[[bool, bool], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._over = False

    def now(self, everything: bool = True) -> None:
        """What there is, unless it was done for the last time."""
        with self._lock:
            if not self._over:
                self._write(everything, False)

    def last(self) -> None:
        """Everything. Waits for who is writing."""
        with self._lock:
            self._over = True
            self._write(True, True)
