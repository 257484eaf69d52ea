# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The files that a process maps, opened wherever they are: another mount namespace, deleted."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mapping:
    """A line of /proc/PID/maps: addresses and the offset in the file in bytes, the path as it is
    printed, None without."""

    start: int
    end: int
    executable: bool
    path: str | None
    offset: int = 0

    @property
    def is_no_file(self) -> bool:
        """Whether no file is mapped there."""
        return self.path is None or not self.path.startswith("/")


def mappings_of(text: str) -> list[Mapping]:
    """/proc/PID/maps, proc_pid_maps(5), in lines."""
    mappings = []
    for line in text.splitlines():
        fields = line.split(maxsplit=5)
        start, _, end = fields[0].partition("-")
        path = fields[5] if len(fields) > 5 else None
        mappings.append(
            Mapping(int(start, 16), int(end, 16), "x" in fields[1], path, int(fields[2], 16))
        )
    return mappings


def open_mapped(pid: int, start: int, end: int, path: str) -> int | None:
    """A descriptor of what is mapped there; None where neither way leads to it.

    /proc/PID/map_files (CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN) is the file itself, deleted or
    not; /proc/PID/root is where the process would find the path.
    """
    ways = (f"/proc/{pid}/map_files/{start:x}-{end:x}", f"/proc/{pid}/root{path}")
    for way in ways:
        try:
            return os.open(way, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            continue
    return None
