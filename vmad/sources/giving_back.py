# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Gives memory back to the kernel, unless its control groups make that dear."""

from __future__ import annotations

import math
import time
from typing import Final

from vmad.memory import trim
from vmad.sources.room import is_held_up

#: seconds
IN_VAIN: Final = 300.0


class _Giving:
    """Gives back, unless it was of no use lately. From any thread."""

    def __init__(self) -> None:
        self._not_before = -math.inf

    def __call__(self, proc: str = "/proc") -> None:
        """See :func:`give_back`."""
        if time.monotonic() < self._not_before:
            return
        trim()
        in_vain = is_held_up(proc)
        self._not_before = time.monotonic() + IN_VAIN if in_vain else -math.inf


_giving = _Giving()


def give_back() -> None:
    """All that the heaps can do without, to the kernel: some milliseconds.

    Where the control group stays above memory.high all the same, not again for IN_VAIN seconds:
    the next scan asks for all of it anew, and the kernel makes it wait up to two seconds for each
    256 KiB (mm/memcontrol.c, mem_cgroup_handle_over_high), with everybody else behind it.
    """
    _giving()
