# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The VMAs around a boundary, read while the target stands still.

By BPF where that works here: exact, and a few microseconds whatever the process's size. Else by
smaps, which costs about 3 µs for every VMA of the process and does not show the anon_vma.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from vmad.errors import EvidenceUnavailable
from vmad.model.flags import VM_SHARED
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.process import Evidence, ProcessId
from vmad.probe.refusals import TargetGone
from vmad.sources.procfs.living import place_of
from vmad.sources.procfs.smaps import parse_smaps

_ANONYMOUS = frozenset(
    (Kind.ANON_WRITABLE, Kind.ANON_NO_ACCESS, Kind.ANON_OTHER, Kind.HEAP, Kind.STACK)
)


class Seen(NamedTuple):
    """One VMA. ``facts`` (of its pair with the VMA below) and ``anon_vma``: None when not seen.

    ``anon_vma`` is an opaque number, the same in two looks when it is the same; 0 is none.
    """

    start: int
    end: int
    flags: int  #: raw vm_flags
    anonymous: bool  #: private and anonymous
    facts: int | None
    anon_vma: int | None
    pgoff: int | None  #: vm_pgoff, pages


class Sight(Protocol):
    """A way to look."""

    evidence: Evidence
    map_count: int  #: at the last look

    def around(self, boundary: int) -> list[Seen]:
        """The VMAs that touch the two at the boundary, ascending: up to two below, two above."""

    def starting_in(self, start: int, end: int) -> list[Seen]:
        """The VMAs that lie in a range."""

    def close(self) -> None:
        """Give back what is held."""


class KernelSight:
    """By BPF."""

    evidence = Evidence.KERNEL

    def __init__(self, kernel: KernelInfo, process: ProcessId) -> None:
        from vmad.sources.bpf.window import KernelWindow  # noqa: PLC0415  BPF may be missing

        self._window = KernelWindow(kernel, process)
        self.map_count = 0

    def _look(self, address: int, limit: int) -> list[Seen]:
        rows, self.map_count = self._window.look(address, limit)
        return [
            Seen(
                row.start,
                row.end,
                row.flags,
                not row.perms & VM_SHARED and (row.kind in _ANONYMOUS or bool(row.pair)),
                row.facts if row.pair else None,
                row.anon_vma,
                row.pgoff,
            )
            for row in rows
        ]

    def around(self, boundary: int) -> list[Seen]:
        """See :class:`Sight`."""
        seen = self._look(boundary - 1, 3)
        if not seen:
            return []
        below = self._look(seen[0].start - 1, 1)
        return ([below[0]] if below and below[0].end == seen[0].start else []) + seen

    def starting_in(self, start: int, end: int) -> list[Seen]:
        """See :class:`Sight`."""
        found: list[Seen] = []
        address = start
        while address < end:
            seen = self._look(address, 8)
            found += [each for each in seen if each.start < end]
            if len(seen) < 8:
                break
            address = seen[-1].end
        return found

    def close(self) -> None:
        """Unload."""
        self._window.close()


class SmapsSight:
    """By /proc/PID/smaps, read as a whole at every look."""

    evidence = Evidence.PROCFS

    def __init__(self, kernel: KernelInfo, process: ProcessId, proc: str = "/proc") -> None:
        self._kernel, self._proc = kernel, proc
        self._pid = process.pid
        self.map_count = 0
        self._read()

    def _read(self) -> list[Seen]:
        try:
            path = f"{self._proc}/{place_of(self._pid, self._proc)}/smaps"
            with open(path, "rb", buffering=0) as file:
                smaps = parse_smaps(iter(lambda: file.read(1 << 18), b""), self._kernel)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise TargetGone(f"process {self._pid} is gone") from error
        except PermissionError as error:
            raise EvidenceUnavailable(
                f"{self._proc}/{self._pid}/smaps: permission denied"
            ) from error
        seen = []
        for line, flags in zip(smaps.lines.splitlines(), smaps.flags.tolist(), strict=True):
            fields = line.split(None, 5)
            start, end = (int(part, 16) for part in fields[0].split(b"-"))
            name = fields[5] if len(fields) > 5 else b""
            zero = name == b"/dev/zero"
            anonymous = fields[1][3:4] == b"p" and (
                zero or (fields[4] == b"0" and name[:2] not in (b"[v", b"[u"))
            )
            seen.append(Seen(start, end, flags, anonymous, None, None, None))
        self.map_count = len(seen)
        return seen

    def around(self, boundary: int) -> list[Seen]:
        """See :class:`Sight`."""
        seen = self._read()
        for index, each in enumerate(seen):
            if each.end >= boundary:
                first = index - (index > 0 and seen[index - 1].end == each.start)
                return seen[first : index + 3]
        return []

    def starting_in(self, start: int, end: int) -> list[Seen]:
        """See :class:`Sight`."""
        return [each for each in self._read() if each.end > start and each.start < end]

    def close(self) -> None:
        """Nothing is held."""


def open_sight(kernel: KernelInfo, process: ProcessId, evidence: str = "auto") -> Sight:
    """The best sight that works here, or the one that is asked for. Raises EvidenceUnavailable."""
    if evidence in ("auto", "kernel"):
        try:
            return KernelSight(kernel, process)
        except EvidenceUnavailable:
            if evidence == "kernel":
                raise
    return SmapsSight(kernel, process)
