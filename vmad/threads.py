# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Starts threads, and names it when the kernel gives none: Python's own error has no class."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vmad.errors import VmadError


class NoThread(VmadError):
    """The kernel gives no further thread: a limit on tasks or on memory is reached."""


def start_thread(name: str, run: Callable[[], None]) -> threading.Thread:
    """A daemon thread, started. Raises NoThread (pthread_create(3), EAGAIN)."""
    try:
        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
    except RuntimeError as error:
        raise NoThread(
            "no further thread can be started", "raise TasksMax=, or what memory it may have"
        ) from error
    return thread
