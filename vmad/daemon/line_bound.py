# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How many lines of one kind are written: where everything fails the log must not be flooded."""

from __future__ import annotations

import time
from collections.abc import Callable

#: of all processes together so many lines are written in a minute
LINES, LINES_PER = 10, 60.0


class LineBound:
    """``clock`` gives monotonic seconds. Not safe for concurrent use."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: list[float] = []
        self._left_out = 0

    def leave_out(self, number: int = 1) -> None:
        """So many were not written, for another reason."""
        self._left_out += number

    def admits(self, number: int = 1) -> bool:
        """Whether a line may be written now; it counts as written, or as ``number`` left out."""
        now = self._clock()
        self._written = [when for when in self._written if now - when < LINES_PER]
        if len(self._written) >= LINES:
            self._left_out += number
            return False
        self._written.append(now)
        return True

    def left_out(self) -> int:
        """How many since this was asked last."""
        number, self._left_out = self._left_out, 0
        return number
