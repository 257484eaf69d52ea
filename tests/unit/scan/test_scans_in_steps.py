# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A scan that only looks at what changed ends with what a scan from nothing would find."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import numpy as np

from vmad.config import load_config
from vmad.model.kernel import running_kernel
from vmad.model.kinds import KIND_COUNT
from vmad.model.process import Evidence, ProcessId, ProcessSummary, Unreadable
from vmad.model.table import VmaTable
from vmad.scan.scanner import Scanner
from vmad.scan.snapshot import HostSnapshot
from vmad.sources.source import CENSUS_ROW, Census, SourceBase, SourceHealth


class Host(SourceBase):
    """A host in memory: processes are rows that a test changes."""

    evidence = Evidence.KERNEL

    def __init__(self) -> None:
        self.kernel = running_kernel()
        self.max_map_count: int | None = 65_530
        self.processes: dict[int, tuple[int, int, int]] = {}  # pid: start, mm, map_count

    def grow(self, mm: int, count: int) -> None:
        """Whoever shares the address space has that many VMAs now."""
        for pid, (start, its, _) in self.processes.items():
            if its == mm:
                self.processes[pid] = start, mm, count

    def census(self) -> Census:
        rows = [
            (pid, start, mm, count, count, 10 * count, b"p%d" % (pid % 3))
            for pid, (start, mm, count) in sorted(self.processes.items())
        ]
        return np.array(rows, CENSUS_ROW)

    def sample(self) -> Census:
        return self.census()

    def summarise(self, processes: Iterable[ProcessId]) -> Iterator[ProcessSummary | Unreadable]:
        for process in processes:
            start, mm, count = self.processes[process.pid]
            name = f"p{process.pid % 3}"
            kinds = (count, *[1] * (KIND_COUNT - 1))
            facts = ((count % 4, count),)
            merges = {"stock": count, "relaxed": 2 * count}
            yield ProcessSummary(
                ProcessId(process.pid, start), name, count, kinds, facts, merges, mm
            )

    def table(self, process: ProcessId) -> VmaTable:
        raise NotImplementedError

    def find(self, pid: int) -> ProcessId:
        raise NotImplementedError

    def health(self) -> SourceHealth:
        return SourceHealth("memory")

    def close(self) -> None:
        pass


def changed_a_little(host: Host, chance: random.Random) -> None:
    """Some come, some go, some grow, some share an address space, some start afresh."""
    for pid in chance.sample(range(1, 40), 4):
        what = chance.randrange(4)
        start, mm, count = host.processes.get(pid, (1, 1000 + pid, chance.randrange(50)))
        if what == 0:
            host.processes.pop(pid, None)
        elif what == 1:
            host.processes[pid] = start, mm, count
            host.grow(mm, chance.randrange(50))
        elif what == 2:
            host.processes[pid] = start + 1, 2000 + 50 * start + pid, count
        elif host.processes:
            host.processes[pid] = start, *chance.choice(list(host.processes.values()))[1:]


def totals(snapshot: HostSnapshot) -> list[object]:
    """What does not depend on how often one has looked before."""
    processes = [
        (one.id, one.comm, one.group, one.map_count, one.ratio, one.kinds, one.pairs)
        for one in snapshot.processes
    ]
    groups = [
        (one.name, one.processes, one.map_count_sum, one.ratio, one.kinds, one.pairs)
        for one in snapshot.groups
    ]
    return [processes, groups, snapshot.kinds, snapshot.pairs, snapshot.recoverable]


def test_incremental_scans_end_where_one_scan_from_nothing_does() -> None:
    for seed in range(20):
        chance, host = random.Random(seed), Host()
        config = load_config(None)
        scanner = Scanner(host, config, "h")
        for turn in range(15):
            changed_a_little(host, chance)
            if turn % 5 == 3:
                scanner.samples.take()
            now = scanner.scan(turn % 7 == 0)
            fresh = Scanner(host, config, "h").scan(True)
            assert totals(now) == totals(fresh), (seed, turn)


def test_a_changed_limit_changes_every_ratio() -> None:
    host = Host()
    host.processes = {1: (1, 0, 100), 2: (1, 0, 200)}
    scanner = Scanner(host, load_config(None), "h")
    scanner.scan(True)
    host.max_map_count = 1000
    assert [one.ratio for one in scanner.scan(False).processes] == [0.2, 0.1]


def test_high_water_of_a_sample_is_in_the_next_scan() -> None:
    host = Host()
    host.processes = {1: (1, 0, 100)}
    scanner = Scanner(host, load_config(None), "h")
    scanner.scan(True)
    host.processes = {1: (1, 0, 5000)}
    scanner.samples.take()
    host.processes = {1: (1, 0, 100)}
    (process,) = scanner.scan(False).processes
    assert (process.map_count, process.high_water) == (100, 5000)


def test_what_did_not_change_is_the_same_object() -> None:
    host = Host()
    host.processes = {1: (1, 0, 100), 2: (1, 0, 200)}
    scanner = Scanner(host, load_config(None), "h")
    scanner.scan(True)
    # the second scan is the first to know a rate
    first = scanner.scan(False)
    second = scanner.scan(False)
    assert second.processes is first.processes
    assert second.groups is first.groups
