# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A guest's physical memory, by one of two ways; only RAM is ever read.

"direct": out of QEMU's own memory (/proc/PID/mem), at the addresses that its monitor tells. It
takes the right to trace QEMU (its user's, or CAP_SYS_PTRACE), costs microseconds and QEMU does
not notice. "pmemsave": QEMU writes the ranges into files of ours, which takes nothing but the
socket. The files are memfds handed over it (add-fd), so no path is shared: pmemsave takes only a
name, and /proc/self/fd/N is one. About a millisecond per range.

A device's registers are never touched: reading one may change the device.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vmad.errors import TargetUnavailable
from vmad.sources.guest.qmp import Monitor, Refused

PAGE = 4096
#: files of "pmemsave", each for one range at a time, so that many commands may be under way
FILES = 16
#: bytes between two ranges that are read along when that spares a command
GAPS = {"direct": 0, "pmemsave": 256 << 10}
#: a line of "info mtree -f" (QEMU's docs/devel/memory.rst): what an address range is
_MTREE_LINE = re.compile(r"\s*([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, ([a-z/]+)\): ")
#: the answer to "gpa2hva" (QEMU's monitor/misc.c)
_HOST_ADDRESS = re.compile(r"is (0x[0-9a-f]+)")


#: pages of a block of RAM that are tried in order to compare one
_TRIES = 16
#: blocks of RAM; a machine has a handful, and QEMU takes a command each to tell where one lies
_MOST_BLOCKS = 256


#: no program's addresses go on there (x86-64 with five levels of page tables, 64-bit Arm)
_END_OF_PROGRAMS = 1 << 57


class NotRam(Exception):
    """An address that no RAM lies behind: a torn pointer, or no pointer at all."""


@dataclass(frozen=True, slots=True)
class Range:
    """Physical addresses [start, end)."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


class PhysicalMemory:
    """Reads of RAM. Raises TargetUnavailable; ``way`` is "direct" or "pmemsave"."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._files: list[int] = []
        self._names: list[str] = []
        self._direct: int | None = None
        self._host: list[int] = []
        #: why the direct way cannot be had, for a person; None when it can
        self.why_not_direct: str | None = None
        try:
            self.ram = _ram(monitor.human("info mtree -f"))
        except Refused as error:
            remedy = "needs its human monitor's commands (info mtree, info registers)"
            raise monitor.refuses(error, remedy) from error

    @property
    def way(self) -> str:
        """How memory is read."""
        return "pmemsave" if self._direct is None else "direct"

    @property
    def gap(self) -> int:
        """Bytes between two ranges that are better read along."""
        return GAPS[self.way]

    def try_direct(self, known: int) -> None:
        """Take the direct way from now on, if it gives the same for the page at ``known``.

        ``known`` is the address of a page of RAM that hardly ever changes.
        """
        if self._direct is not None:
            return
        try:
            self._open_direct()
            page = [Range(known, known + PAGE)]
            saved, direct = bytearray(PAGE), bytearray(PAGE)
            self._read_saved(page, memoryview(saved))
            if any(saved):
                self._read_direct(page, memoryview(direct))
            if any(saved) and direct == saved:
                self.why_not_direct = None
                return
            self.why_not_direct = "what listens on the socket is not the guest's QEMU"
        except OSError as error:
            self.why_not_direct = f"QEMU's memory may not be read ({error.strerror})"
        except Refused as error:
            self.why_not_direct = f"QEMU does not tell where the guest's memory is ({error})"
        self._close_direct()

    def try_direct_anywhere(self) -> None:
        """The same where no such page is known yet: by the first of some that can be compared."""
        for block in self.ram:
            for place in range(block.start, block.end - PAGE + 1, max(block.size // _TRIES, PAGE)):
                if self._direct is None:
                    self.try_direct(place & -PAGE)

    def _open_direct(self) -> None:
        qemu = self._monitor.peer()
        if qemu <= 0:
            raise OSError(3, "its process is not known")
        host = []
        for block in self.ram:
            told = _HOST_ADDRESS.search(self._monitor.human(f"gpa2hva {block.start:#x}"))
            last = _HOST_ADDRESS.search(self._monitor.human(f"gpa2hva {block.end - 1:#x}"))
            if told is None or last is None:
                raise Refused("gpa2hva names no address")
            host.append(int(told[1], 16))
            if int(last[1], 16) - host[-1] != block.size - 1:
                raise Refused("the memory lies in pieces")
        if not all(0 < place < _END_OF_PROGRAMS for place in host):
            raise Refused("no program has memory there")
        self._host = host
        self._direct = os.open(f"/proc/{qemu}/mem", os.O_RDONLY | os.O_CLOEXEC)

    def _block_of(self, address: int) -> int:
        """The number of the block of RAM that an address lies within. Raises NotRam."""
        for number, block in enumerate(self.ram):
            if block.start <= address < block.end:
                return number
        raise NotRam(f"{address:#x}")

    def is_ram(self, start: int, size: int = 1) -> bool:
        """Whether all of a range is RAM."""
        while size > 0:
            try:
                block = self.ram[self._block_of(start)]
            except NotRam:
                return False
            start, size = block.end, size - (block.end - start)
        return True

    def read(self, start: int, size: int) -> bytes:
        """One range. Raises NotRam."""
        return bytes(self.read_all([Range(start, start + size)]))

    def read_all(self, ranges: Sequence[Range]) -> bytearray:
        """Ranges one after another, without gaps. Raises NotRam."""
        whole = bytearray(sum(extent.size for extent in ranges))
        self.read_into(ranges, memoryview(whole))
        return whole

    def read_into(self, ranges: Sequence[Range], view: memoryview) -> None:
        """The same into ``view``: bytes, as many as that is. Raises NotRam."""
        self._monitor.check_time()
        if self._direct is not None and not self._monitor.closed:
            with contextlib.suppress(OSError):  # QEMU has ended: the monitor will say so
                self._read_direct(ranges, view)
                return
        self._read_saved(ranges, view)

    def _read_direct(self, ranges: Sequence[Range], view: memoryview) -> None:
        assert self._direct is not None
        file, read = self._direct, os.preadv
        at, low, high, host = 0, 0, 0, 0
        for extent in ranges:
            start, end = extent.start, extent.end
            while start < end:
                if not low <= start < high:
                    number = self._block_of(start)
                    low, high = self.ram[number].start, self.ram[number].end
                    host = self._host[number] - low
                size = min(end, high) - start
                got = read(file, [view[at : at + size]], host + start)
                if got <= 0:
                    raise OSError(3, "QEMU has ended")
                at, start = at + got, start + got

    def _read_saved(self, ranges: Sequence[Range], view: memoryview) -> None:
        for extent in ranges:
            if not self.is_ram(extent.start, extent.size):
                raise NotRam(f"{extent.start:#x}")
        at = 0
        with self._monitor.lock:
            self._make_files()
            for first in range(0, len(ranges), FILES):
                batch = ranges[first : first + FILES]
                answers = self._monitor.execute_all(
                    [
                        ("pmemsave", {"val": r.start, "size": r.size, "filename": name})
                        for r, name in zip(batch, self._names, strict=False)
                    ]
                )
                for extent, answer, file in zip(batch, answers, self._files, strict=False):
                    end = at + extent.size
                    refused = isinstance(answer, Refused)
                    if refused or os.preadv(file, [view[at:end]], 0) != extent.size:
                        why = answer if refused else "it wrote nothing"
                        raise TargetUnavailable(
                            f"qemu:{self._monitor.path}: QEMU cannot hand over memory: {why}",
                            "vmad needs the right to trace QEMU, or QEMU the right to open "
                            "/proc/self/fd (docs/guests.md)",
                        )
                    at = end

    def _make_files(self) -> None:
        try:
            while len(self._files) < FILES:
                file = os.memfd_create("vmad-guest", os.MFD_CLOEXEC)
                self._files.append(file)
                number = self._monitor.told("add-fd", "fd", int, send=file)
                self._names.append(f"/proc/self/fd/{number}")
        except Refused as error:
            raise TargetUnavailable(
                f"qemu:{self._monitor.path}: QEMU takes no files: {error}",
                "needs the QMP commands add-fd and pmemsave",
            ) from error

    def _close_direct(self) -> None:
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None

    def close(self) -> None:
        """Close our files; QEMU's copies go with the connection."""
        self._close_direct()
        for file in self._files:
            os.close(file)
        self._files.clear()
        self._names.clear()


def _ram(mtree: str) -> list[Range]:
    """RAM of the flat view that the processors see."""
    for view in re.split(r"(?m)^FlatView #\d+", mtree):
        if ' AS "memory"' not in view:
            continue
        blocks: list[Range] = []
        for line in view.splitlines():
            match = _MTREE_LINE.match(line)
            if match is None or match[3] != "ram":
                continue
            blocks.append(Range(int(match[1], 16), int(match[2], 16) + 1))
            if len(blocks) > _MOST_BLOCKS or (
                len(blocks) > 1 and blocks[-1].start < blocks[-2].end
            ):
                return []
        return [block for block in blocks if block.size > 0]
    return []
