# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which call, with which stack, made each boundary of a process: recorded by BPF (blame.bpf.h).

Attached for as long as the recorder lives, and only asked for by a person.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from vmad.architecture.known import running
from vmad.errors import EvidenceUnavailable, ProcessGone
from vmad.sources.bpf.bpf_object import BpfObject
from vmad.sources.bpf.caller import watchable
from vmad.sources.bpf.calls import CALLS

HERE = Path(__file__).parent

#: how calls are recorded -> object; the one that costs other processes nothing first
WAYS: Final = {"fexit": "blame_fexit.bpf.o", "sys_enter": "blame_raw.bpf.o"}
SINCE: Final = "5.17"  #: bpf_find_vma(), 7c7e3d31e785

SETTINGS: Final = np.dtype([("namespace_ino", "<u4"), ("page_shift", "<u4")])
CONTROL: Final = np.dtype(
    [
        ("wanted", "<i4"),
        ("follow", "<u4"),
        ("tgid", "<u4"),
        ("keep", "<u4"),
        ("sequence", "<u8"),
        ("calls", "<u8"),
        ("busy", "<u8"),
        ("lost_boundaries", "<u8"),
        ("lost_stacks", "<u8"),
        ("lost_calls", "<u8"),
        ("lost_events", "<u8"),
    ]
)
RECORDED: Final = np.dtype([("since", "<u8"), ("parent", "<u4"), ("pid", "<u4")])
BOUNDARY_KEY: Final = np.dtype([("address", "<u8"), ("tgid", "<u8")])
#: stack: key; sequence: order of making; when: ns since boot; doubt: bits of looks that
#: mmap_lock forbade: 2 before the call, 4 after it
BOUNDARY: Final = np.dtype(
    [("stack", "<u8"), ("sequence", "<u8"), ("when", "<u8"), ("call", "<u4"), ("doubt", "<u4")]
)
EVENT: Final = np.dtype(
    [("kind", "<u4"), ("tgid", "<u4"), ("sequence", "<u8"), ("values", "<u8", (5,))]
)
_ARCHITECTURE: Final = running()
REGISTERS: Final = 0 if _ARCHITECTURE is None else _ARCHITECTURE.unwound_registers
#: of the table of pages of code: 64 pages each
CODE_WORDS: Final = 1 << 14
PROCESSES: Final = 1024
#: boundaries that are held at most: twice the default limit, or what a caller asks for
BOUNDARIES: Final = 131_072


class EventKind(IntEnum):
    """enum event_kind"""

    STACK = 0
    EXEC = 1
    FORK = 2
    MOVE = 3
    CODE = 4


@dataclass(frozen=True, slots=True)
class StackCopy:
    """The registers (DWARF's order) and the topmost bytes of a stack that was new."""

    tgid: int
    thread: int
    key: int
    registers: tuple[int, ...]
    start: int  #: address of the first byte
    memory: bytes


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """An exec, a fork (``values``: pid, ns since boot, parent's tgid), a move of several VMAs (old
    address and size, new address and size, stack), or new code (address, size)."""

    kind: EventKind
    tgid: int
    sequence: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Losses:
    """What the recording could not keep or see, in numbers."""

    boundaries: int
    stacks: int
    calls: int
    events: int
    busy: int  #: looks at an edge that mmap_lock forbade

    @property
    def nothing(self) -> bool:
        """Whether all that was recorded is told."""
        return not (self.boundaries or self.stacks or self.calls or self.events)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The makers that were recorded. ``keys`` of BOUNDARY_KEY and ``makers`` of BOUNDARY in step;
    ``processes``: tgid -> (sequence since which it counts, tgid of a recorded parent or 0, pid)."""

    keys: npt.NDArray[np.void]
    makers: npt.NDArray[np.void]
    processes: dict[int, tuple[int, int, int]]

    def completed(self, older: Recorded, starts: npt.NDArray[np.uint64]) -> Recorded:
        """With what ``older`` ones had at ``starts`` and these have no longer."""
        there = np.isin(older.keys["address"], starts) & ~np.isin(older.keys, self.keys)
        return Recorded(
            np.concatenate((self.keys, older.keys[there])),
            np.concatenate((self.makers, older.makers[there])),
            self.processes,
        )

    def of_family(self, tgid: int) -> Recorded:
        """What tells of one process: its own and its ancestors'."""
        family = [tgid]
        while (parent := self.processes.get(family[-1], (0, 0, 0))[1]) and parent not in family:
            family.append(parent)
        mine = np.isin(self.keys["tgid"], family)
        processes = {one: self.processes[one] for one in family if one in self.processes}
        return Recorded(self.keys[mine], self.makers[mine], processes)


class Recorder:
    """The attached programs, from construction on; ``begin`` names the process.

    ``way`` (of WAYS) is how calls are recorded. Raises EvidenceUnavailable with what is missing.
    """

    def __init__(
        self,
        *,
        boundaries: int = BOUNDARIES,
        follow: bool = False,
        ways: Sequence[str] = tuple(WAYS),
    ) -> None:
        problems: list[str] = []
        remedy = None
        self._most = boundaries
        for way in ways:
            try:
                self._object, programs = _loaded(way, boundaries)
                self._attach(programs)
            except EvidenceUnavailable as error:
                problems.append(f"{way}: {error.what.removeprefix(f'BPF: {WAYS[way]} ')}")
                remedy = remedy or error.remedy
                continue
            self.way = way
            break
        else:
            raise EvidenceUnavailable(
                "blame: calls cannot be recorded: " + ", ".join(problems), remedy
            )
        self._control = np.frombuffer(
            self._object.map_memory(".data.control", CONTROL.itemsize), CONTROL, 1
        )
        self._code = np.frombuffer(
            self._object.map_memory(".data.code", CODE_WORDS * 8), "<u8", CODE_WORDS
        )
        self._control["follow"][0] = follow
        self._rows = self._object.hash_map("boundaries", BOUNDARY_KEY, BOUNDARY)
        self._processes = self._object.hash_map("recorded", np.dtype([("tgid", "<u4")]), RECORDED)
        self._pending: list[StackCopy | ProcessEvent] = []
        self._ring = self._object.ring_buffer("events", self._take)

    def _attach(self, programs: Sequence[str]) -> None:
        try:
            for program in ("vmad_exec", "vmad_fork", *programs):
                self._object.attach(program)
        except EvidenceUnavailable:
            self._object.close()
            raise

    def begin(self, pid: int) -> int:
        """Record this process from now on; returns its tgid. Raises ProcessGone."""
        self._control["wanted"][0] = pid
        self._control["tgid"][0] = 0
        with self._object.attach_iterator("vmad_begin") as iterator:
            iterator.read()
        tgid = int(self._control["tgid"][0])
        if not tgid:
            raise ProcessGone(f"process {pid} is gone")
        return tgid

    def code_is(self, start: int, end: int) -> None:
        """Words of a stack that point there tell stacks apart."""
        first, last = start >> 18, (end - 1) >> 18
        if last - first >= CODE_WORDS:
            self._code[:] = 2**64 - 1
            return
        self._code[np.arange(first, last + 1) % CODE_WORDS] = 2**64 - 1

    def poll(self, seconds: float) -> list[StackCopy | ProcessEvent]:
        """What happened since the last time; waits for the first at most so long."""
        self._ring.poll(seconds)
        events, self._pending = self._pending, []
        return events

    def _take(self, record: bytes) -> None:
        event = np.frombuffer(record, EVENT, 1)[0]
        kind, values = EventKind(int(event["kind"])), tuple(event["values"].tolist())
        if kind is not EventKind.STACK:
            self._pending.append(
                ProcessEvent(kind, int(event["tgid"]), int(event["sequence"]), values)
            )
            return
        registers = np.frombuffer(record, "<u8", REGISTERS, EVENT.itemsize)
        begins = EVENT.itemsize + REGISTERS * 8
        self._pending.append(
            StackCopy(
                int(event["tgid"]),
                int(event["sequence"]),
                values[0],
                tuple(registers.tolist()),
                values[3],
                record[begins : begins + values[2]],
            )
        )

    @property
    def sequence(self) -> int:
        """How many boundaries were made so far."""
        return int(self._control["sequence"][0])

    @property
    def calls(self) -> int:
        """Calls recorded so far."""
        return int(self._control["calls"][0])

    def losses(self) -> Losses:
        """What is missing so far."""
        row = self._control[0]
        return Losses(
            int(row["lost_boundaries"]),
            int(row["lost_stacks"]),
            int(row["lost_calls"]),
            int(row["lost_events"]),
            int(row["busy"]),
        )

    def recorded(self) -> Recorded:
        """The makers as they stand. Raises EvidenceUnavailable."""
        keys, makers = self._rows.items(self._most)
        tgids, rows = self._processes.items(PROCESSES)
        processes = {
            int(tgid["tgid"]): (int(row["since"]), int(row["parent"]), int(row["pid"]))
            for tgid, row in zip(tgids, rows, strict=True)
        }
        return Recorded(keys, makers, processes)

    def keep_all(self) -> None:
        """Forget no boundary that vanishes from now on: somebody looks at those that are there."""
        self._control["keep"][0] = 1

    def stop(self) -> None:
        """Record nothing more; what was recorded can still be read."""
        self._object.detach()

    def close(self) -> None:
        """Detach and unload."""
        self._ring.close()
        self._object.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _loaded(way: str, boundaries: int) -> tuple[BpfObject, list[str]]:
    """And the programs in it that watch calls."""
    programs, without = ["vmad_to_call", "vmad_of_call"], []
    if way == "fexit":
        there = watchable(CALLS)
        # the end first: a call that is met at its end only is none
        programs = [
            f"vmad_{side}_{call}" for call in CALLS if call in there for side in ("of", "to")
        ]
        without = [
            f"vmad_{side}_{call}" for call in CALLS if call not in there for side in ("of", "to")
        ]
    settings = np.array(
        (os.stat("/proc/self/ns/pid").st_ino, mmap.PAGESIZE.bit_length() - 1), SETTINGS
    )
    return (
        BpfObject(
            HERE / WAYS[way],
            settings.tobytes(),
            since=SINCE,
            without=without,
            entries={"boundaries": boundaries},
        ),
        programs,
    )
