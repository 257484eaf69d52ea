# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A control group of a test's own that limits memory, of either version (cgroups(7))."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vmad.sources.cgroup_limits import controller_mounts


@dataclass(frozen=True)
class Hierarchy:
    """Where groups that limit memory can be made; ``second``: of the second version."""

    place: Path
    second: bool

    def file(self, name: str) -> str:
        """What a file of the second version is called here."""
        first = {"memory.max": "memory.limit_in_bytes", "memory.current": "memory.usage_in_bytes"}
        return name if self.second else first[name]


@functools.cache
def hierarchy() -> Hierarchy | None:
    """None where no group can be made that limits memory."""
    mounts = controller_mounts("/proc")
    for name in ("memory", ""):
        if name not in mounts:
            continue
        found = Hierarchy(Path(mounts[name][0]), second=not name)
        if found.second:
            with suppress(OSError):
                (found.place / "cgroup.subtree_control").write_text("+memory")
        probe = found.place / f"vmad-probe-{os.getpid()}"
        with suppress(OSError):
            probe.mkdir()
            limits = (probe / found.file("memory.max")).exists()
            probe.rmdir()
            if limits:
                return found
    return None


class MemoryGroup:
    """``enter`` is the prefix of a command that runs in it."""

    def __init__(self, found: Hierarchy, name: str) -> None:
        self._hierarchy = found
        self.place = found.place / name
        self.enter = ["sh", "-ec", f'echo $$ > {self.place}/cgroup.procs; exec "$@"', "sh"]

    def limit(self, size: int, file: str = "memory.max") -> None:
        """Bytes."""
        (self.place / self._hierarchy.file(file)).write_text(str(size))

    @property
    def used(self) -> int:
        """Bytes."""
        return int((self.place / self._hierarchy.file("memory.current")).read_text())

    @property
    def held_up(self) -> int:
        """How often the kernel did for memory.high; of the second version."""
        lines = (self.place / "memory.events").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("high "))


@contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup]:
    """One with a limit in bytes; what runs in it has to have ended at the end."""
    found = hierarchy()
    assert found is not None, "for tests that are marked memory_group"
    group = MemoryGroup(found, f"vmad-test-{os.getpid()}")
    group.place.mkdir()
    try:
        group.limit(limit)
        yield group
    finally:
        group.place.rmdir()
