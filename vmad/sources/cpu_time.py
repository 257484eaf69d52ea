# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""CPU time that a thread spent, reads that other threads made for it included.

``time.process_time`` would charge a scan with whatever clients make the daemon do meanwhile.
"""

from __future__ import annotations

import threading
import time

_local = threading.local()


def cpu_seconds() -> float:
    """CPU time of this thread, and of what :func:`charge` put down to it. Seconds."""
    others: float = getattr(_local, "others", 0.0)
    return time.thread_time() + others


def charge(seconds: float) -> None:
    """Another thread worked that long for this one."""
    _local.others = getattr(_local, "others", 0.0) + seconds
