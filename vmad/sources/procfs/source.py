# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The procfs evidence as a Source: what /proc shows, for where BPF or the rights are missing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from vmad.errors import EvidenceUnavailable, ProcessGone
from vmad.model import facts as f
from vmad.model.kernel import running_kernel
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import VmaTable
from vmad.model.verdict import MERGE_RULES
from vmad.sources.another_program import through_exec
from vmad.sources.bounded import BoundedReads, Stuck, Tick, no_answer
from vmad.sources.procfs import devices, hints, process_files
from vmad.sources.procfs.allocator import keep_freed_memory
from vmad.sources.procfs.anon_names import anon_names_exist
from vmad.sources.procfs.census import ProcessList
from vmad.sources.procfs.living import place_by, place_of
from vmad.sources.procfs.memory_tags import heap_differs_unseen
from vmad.sources.procfs.pairs import facts_of_keys
from vmad.sources.procfs.reader import Filled, MapsReader, gate_line, new_buffer
from vmad.sources.procfs.rights import explained, missing_right
from vmad.sources.procfs.stat import read_stat
from vmad.sources.procfs.table import table_of
from vmad.sources.procfs.tally import Tallies, Tally
from vmad.sources.procfs.text import U64, Bytes
from vmad.sources.source import Census, SourceHealth
from vmad.sources.this_machine import ThisMachine

#: mounts come and go rarely: seconds between looks at mountinfo
_DEVICES_KEPT = 60.0


class ProcfsSource(ThisMachine):
    """Reads /proc. ``page_budget``: pagemap entries per scan, a quarter of it per process.

    ``sampled``: processes per scan whose alike pairs pagemap is asked about, those with the most
    of them first. Reads that may block run in ``workers`` threads and are given up when they make
    no progress for ``deadline`` seconds. Raises EvidenceUnavailable when there is no /proc.
    """

    evidence = Evidence.PROCFS

    def __init__(
        self,
        proc: str = "/proc",
        page_budget: int = 16384,
        sampled: int = 64,
        workers: int = 4,
        deadline: float = 2.0,
    ) -> None:
        if not os.path.exists(f"{proc}/self/maps"):
            raise EvidenceUnavailable(f"{proc} is no proc file system", "mount proc there")
        super().__init__(proc)
        self._page_budget = page_budget
        self._sampled = sampled
        self.kernel = running_kernel(proc)
        self.max_map_count = self._read_max_map_count()
        self._processes = ProcessList(proc)
        self._is_same = self._processes.is_same
        self._gate = gate_line(proc)
        self._reads = BoundedReads(workers, deadline)
        self._names_exist = anon_names_exist()
        self._heap_differs_unseen = heap_differs_unseen(self.kernel.machine)
        self._numa = os.path.exists(f"{proc}/self/numa_maps")
        unknown = f.MAPS_UNKNOWN if self._numa else f.MAPS_UNKNOWN & ~f.UNKNOWN_POLICY
        self._facts: list[int] = facts_of_keys(unknown).tolist()
        self._spare: Bytes | None = None
        self._devices: U64 = devices.shared_memory_devices(proc)
        self._devices_until = time.monotonic() + _DEVICES_KEPT
        self._vmas = self._skipped = 0
        keep_freed_memory()

    def _read_max_map_count(self) -> int | None:
        with (
            contextlib.suppress(OSError, ValueError),
            open(f"{self.proc}/sys/vm/max_map_count", encoding="ascii") as file,
        ):
            return int(file.read())
        return None

    def census(self) -> Census:
        """Every process with an address space; map_count, lock_seq and mm are unknown."""
        self.max_map_count = self._read_max_map_count()
        return self._processes.census()

    def sample(self) -> Census:
        """The census: counts alone are not cheaper."""
        return self.census()

    def health(self) -> SourceHealth:
        """Counters since the source was opened; skipped are lines that are not lines of maps."""
        return SourceHealth("maps", self._vmas, self._skipped)

    @property
    def stuck_reads(self) -> int:
        """How many reading threads are lost in reads that have not come back."""
        return self._reads.stuck

    def close(self) -> None:
        """End the idle reading threads."""
        self._reads.close()

    # --- the periodic scan

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        """Count the kinds and pairs of each; see :meth:`vmad.sources.source.Source.summarise`."""
        if time.monotonic() > self._devices_until:
            self._devices = devices.shared_memory_devices(self.proc)
            self._devices_until = time.monotonic() + _DEVICES_KEPT
        listed = list(processes)
        tallies = Tallies(self._devices, self._names_exist)
        unread = self._read_all(listed, tallies)
        read = {process: index for index, process in enumerate(listed) if index not in unread}
        for process in self._processes.replaced(read):
            unread[read[process]] = (Unread.GONE, "it exited, and its pid may have been reused")
            tallies.forget(read[process])
        self._sample_pages(listed, tallies)
        for index, process in enumerate(listed):
            why = unread.get(index)
            if why is None:
                yield self._summary(process, tallies.of[index])
            else:
                yield Unreadable(process, self._processes.comm(process), *why)

    def _read_all(self, ids: list[ProcessId], tallies: Tallies) -> dict[int, tuple[Unread, str]]:
        """Read and count all; returns why of those that could not be, by index."""
        unread: dict[int, tuple[Unread, str]] = {}
        earlier = (Unread.STUCK, "an earlier read of it has not come back")
        todo = []
        for index, process in enumerate(ids):
            if self._reads.stuck and self._reads.is_stuck(process):
                unread[index] = earlier
            else:
                todo.append(index)
        while todo:
            batch = [ids[index] for index in todo]
            ended: set[int] = set()
            reader = MapsReader(batch, self._gate, self.proc, self._processes.place)
            detail = f"no answer for {self._reads.deadline:g} s: is its mmap_lock held?"
            try:
                for buffer, filled in self._buffers(reader):
                    for segment in filled.segments:
                        segment.process = todo[segment.process]
                    tallies.add(buffer, filled.segments)
                    ended.update(filled.ended)
                    for place, why, text in filled.unread:
                        ended.add(place)
                        unread[todo[place]] = (why, self._remedied(why, text))
                        tallies.forget(todo[place])
            except Stuck as stuck:
                if stuck.key is None:
                    detail = "every reading thread is stuck in another process"
                for place, index in enumerate(todo):
                    if place not in ended:
                        tallies.forget(index)
                        if stuck.key is None or ids[index] == stuck.key:
                            unread[index] = (Unread.STUCK, detail)
                            ended.add(place)
            todo = [index for place, index in enumerate(todo) if place not in ended]
        return unread

    def _buffers(self, reader: MapsReader) -> Iterator[tuple[Bytes, Filled]]:
        """Filled buffers, one after the other. Raises Stuck.

        Filling the next one while this one is parsed costs more than it saves: the reading thread
        then waits for the interpreter's lock after every read(2), up to 5 ms each time.
        """
        buffer, self._spare = self._spare, None
        if buffer is None:
            buffer = new_buffer()
        more = True
        while more:
            filled = self._reads.run(partial(reader.fill, buffer))
            more = filled.more
            yield buffer, filled
        self._spare = buffer  # after a Stuck it is the stuck worker's

    def _remedied(self, why: Unread, detail: str) -> str:
        return (
            f"{detail}; {missing_right('maps', self.kernel)}"
            if why is Unread.PERMISSION
            else detail
        )

    def _sample_pages(self, ids: list[ProcessId], tallies: Tallies) -> None:
        """Ask pagemap about alike pairs, within the budget."""
        pairs = tallies.alike_pairs(self._sampled) if self._page_budget else {}
        if not pairs:
            return

        def sample(tick: Tick) -> dict[int, npt.NDArray[np.int64]]:
            left, hints_of_pairs = self._page_budget, {}
            for index, mine in pairs.items():
                process = ids[index]
                budget = min(left, self._page_budget // 4)
                with contextlib.suppress(OSError):
                    place = self._processes.place(process.pid)
                    hints_of_pairs[index], spent = hints.pair_hints(
                        place, mine, budget, partial(tick, process), self.proc
                    )
                    left -= spent
            return hints_of_pairs

        # hints only: what is stuck, gone or forbidden leaves its pairs without them
        with contextlib.suppress(Stuck):
            for index, bits in self._reads.run(sample).items():
                tallies.add_hints(index, bits)

    def _summary(self, process: ProcessId, tally: Tally) -> ProcessSummary | Unreadable:
        comm = self._processes.comm(process)
        self._skipped += tally.malformed
        if tally.malformed:
            detail = f"{tally.malformed} lines of its maps make no sense"
            return Unreadable(process, comm, Unread.ERROR, detail)
        vmas = sum(tally.kinds)
        self._vmas += vmas
        undecided = dict.fromkeys(MERGE_RULES, None if tally.keys else 0)
        facts = sorted((self._facts[key], count) for key, count in tally.keys.items())
        return ProcessSummary(process, comm, vmas, tuple(tally.kinds), tuple(facts), undecided)

    # --- one process that a person asks for

    def table(self, process: ProcessId) -> VmaTable:
        """All the detail of one process; see :meth:`vmad.sources.source.Source.table`."""
        return through_exec(process, lambda: self._table(process), lambda: self._lives(process))

    def _lives(self, process: ProcessId) -> bool:
        try:
            stat = read_stat(process.pid, self.proc)
        except OSError:
            return False
        place = place_by(stat, process.pid, self.proc)
        return stat.start_time == process.start_time and place is not None and place.vsize > 0

    def _table(self, process: ProcessId) -> VmaTable:
        try:
            read = self._reads.run(
                lambda tick: process_files.read_evidences(
                    process,
                    is_same=self._is_same,
                    kernel=self.kernel,
                    numa=self._numa,
                    tick=tick,
                    proc=self.proc,
                )
            )
        except OSError as error:
            raise explained(error, process.pid, "maps", self.kernel) from error
        except Stuck as stuck:
            raise no_answer(f"/proc/{process.pid}/maps", stuck, self._reads.deadline) from stuck
        if not read.lines:
            raise ProcessGone(f"process {process.pid} has no address space (any more)")

        def page_hints(start: U64, boundary: U64, end: U64) -> npt.NDArray[np.int64]:
            pairs = hints.AlikePairs(start, boundary, end)
            with contextlib.suppress(OSError, Stuck):
                return self._reads.run(
                    lambda tick: hints.pair_hints(
                        place_of(process.pid, self.proc),
                        pairs,
                        self._page_budget,
                        partial(tick, process),
                        self.proc,
                    )
                )[0]
            return np.zeros(len(start), np.int64)

        return table_of(
            process,
            comm=self._processes.comm(process),
            read=read,
            kernel=self.kernel,
            shared_devices=self._devices,
            names_exist=self._names_exist,
            heap_differs_unseen=self._heap_differs_unseen,
            hints=page_hints,
        )
