# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The former place of finding a process: ask the source itself."""

from __future__ import annotations

from vmad.model.process import ProcessId
from vmad.sources.source import Source


def find_process(source: Source, pid: int, proc: str = "/proc") -> ProcessId:
    """As ``source.find(pid)``."""
    return source.find(pid)
