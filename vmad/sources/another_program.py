# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A process that starts another program (execve) while it is read has not gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmad.errors import ProcessGone, StillChanging
from vmad.model.process import ProcessId
from vmad.model.table import VmaTable

#: readings of a process that starts another program in the middle of each
_TRIES: Final = 5


def through_exec(
    process: ProcessId, read: Callable[[], VmaTable], lives: Callable[[], bool]
) -> VmaTable:
    """What ``read`` returns, again where it says that a process is gone which still ``lives``.

    Raises what ``read`` raises; StillChanging where it started another program in every reading.
    """
    for _ in range(_TRIES):
        try:
            return read()
        except ProcessGone:
            if not lives():
                raise
    raise StillChanging(
        f"process {process.pid}: it started another program in the middle of every reading",
        "try again",
    )
