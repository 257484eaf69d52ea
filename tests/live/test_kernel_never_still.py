# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Targets that never hold still are read exactly, or said to be changing: never told short."""

from __future__ import annotations

import mmap
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.live.kernel_walks import open_kernel_source
from vmad.errors import CannotRead, StillChanging
from vmad.model.process import ProcessId, ProcessSummary, Unread, Unreadable
from vmad.model.table import VmaTable
from vmad.sources.bpf import waiting
from vmad.sources.bpf.source import BpfSource
from vmad.sources.guest.btf import Btf
from vmad.sources.procfs.stat import read_stat

pytestmark = pytest.mark.bpf

PAGE = mmap.PAGESIZE
AREAS = 0x3000_0000_0000
VMAS = 4000
#: what a walk of takes longer than any change of it, so that the first walk never is exact
MANY = 30_000

#: ways to change, and how many VMAs beside the areas there may be at one time
WAYS = {"protect": {1}, "map": {0, 1}, "move": {1, 2}}

#: each page with the next; the large area, too, touches one
PAIRS = {"protect": VMAS, "map": VMAS - 1, "move": VMAS - 1}

#: of 100 scans: the others are refused, since a machine under load may be too slow
AT_LEAST = 95
#: hundreds of scans of which one must reach that: on a machine that others use, the target may
#: have a processor to itself whenever we have none
ROUNDS = 3

only_open_coded = pytest.mark.open_coded


@contextmanager
def changing(binary: Path, way: str, vmas: int = VMAS) -> Iterator[ProcessId]:
    """The target, once it changes without pause."""
    command = [str(binary), way, str(vmas)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout is not None
            assert target.stdout.readline() == b"ready\n"
            yield ProcessId(target.pid, read_stat(target.pid).start_time)
        finally:
            target.kill()


def summary_of(source: BpfSource, process: ProcessId) -> ProcessSummary | Unreadable:
    (result,) = source.summarise([process])
    return result


def some_table(source: BpfSource, process: ProcessId) -> VmaTable:
    """The first that could be read."""
    for _ in range(20):
        with suppress(StillChanging):
            return source.table(process)
    raise AssertionError("20 readings in a row met a change")


def inside(table: VmaTable, vmas: int = VMAS) -> int:
    starts = table.rows["start"]
    return int(((starts >= AREAS) & (starts < AREAS + vmas * PAGE)).sum())


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_hundred_scans_of_what_never_holds_still(
    never_still: Path, kernel_source: BpfSource, way: str
) -> None:
    with changing(never_still, way) as process:
        # what the program has beside the areas; "elsewhere" is where nothing goes to and fro
        table = some_table(kernel_source, process)
        starts = table.rows["start"]
        others = int(((starts < AREAS // 2) | (starts > 2 * AREAS)).sum())
        best = 0
        for _ in range(ROUNDS):
            read = 0
            for _ in range(100):
                result = summary_of(kernel_source, process)
                if isinstance(result, Unreadable):
                    assert result.why in (Unread.CHANGING, Unread.BUSY)
                    continue
                read += 1
                assert result.pairs == PAIRS[way]
                assert result.vmas == result.map_count
                assert result.vmas - VMAS - others in WAYS[way]
            best = max(best, read)
            if best >= AT_LEAST:
                break
        assert best >= AT_LEAST


@pytest.mark.parametrize("way", sorted(WAYS))
def test_every_row_of_what_never_holds_still(
    never_still: Path, kernel_source: BpfSource, way: str
) -> None:
    with changing(never_still, way) as process:
        for _ in range(20):
            try:
                table = kernel_source.table(process)
            except CannotRead:
                continue
            starts = table.rows["start"]
            assert table.consistent
            assert len(starts) == table.map_count
            assert (starts[1:] > starts[:-1]).all()
            assert inside(table) == VMAS
            assert int(table.rows["pair"].sum()) == PAIRS[way]


def test_a_small_address_space_is_read_whatever_it_does(
    never_still: Path, kernel_source: BpfSource
) -> None:
    """One hold of mmap_lock is enough for it: no reading has to be like another."""
    with changing(never_still, "move", 200) as process:
        for _ in range(20):
            result = summary_of(kernel_source, process)
            assert isinstance(result, ProcessSummary)
            assert result.pairs == 199


@contextmanager
def without(source: BpfSource, *kept: str) -> Iterator[None]:
    """Only these of the walks that wait for mmap_lock."""
    source.load_all()
    walks = source._waiting._walks
    assert walks is not None
    source._waiting._walks = [walk for walk in walks if walk.name in kept]
    try:
        yield
    finally:
        source._waiting._walks = walks


def until(read: Callable[[], object], wanted: Callable[[object], bool]) -> Counter[object]:
    """Read until it comes, which is soon; what came until then."""
    seen: Counter[object] = Counter()
    while True:
        found = read()
        seen[found] += 1
        if wanted(found):
            return seen


def iterator_takes_mmap_lock() -> bool:
    """As it did until bee9ef4a40a2: it hands out no copies."""
    types = Btf(Path("/sys/kernel/btf/vmlinux").read_bytes())
    return types.field("bpf_iter_task_vma_kern_data", "snapshot") is None


@pytest.mark.parametrize("walk", [pytest.param("held", marks=only_open_coded), "task_vma"])
def test_each_walk_that_waits_serves_alone(never_still: Path, walk: str) -> None:
    # under the lock, which it then tries for once more: in vain where the target waits already
    may_fail = walk == "held" and iterator_takes_mmap_lock()
    source = open_kernel_source("open-coded" if walk == "held" else None)
    with without(source, walk), changing(never_still, "protect") as process:
        for _ in range(10):
            result = summary_of(source, process)
            if isinstance(result, Unreadable):
                assert may_fail
                assert result.why is Unread.CHANGING
            else:
                assert result.pairs == VMAS
    source.close()


@only_open_coded
def test_without_a_walk_that_waits_it_is_said_to_be_changing(
    never_still: Path, kernel_sources: dict[str, BpfSource]
) -> None:
    source = kernel_sources["open-coded"]
    with changing(never_still, "map", MANY) as process, without(source):

        def summarise() -> Unread | int:
            result = summary_of(source, process)
            return result.why if isinstance(result, Unreadable) else result.pairs

        def table() -> Unread | int:
            try:
                return inside(source.table(process), MANY)
            except StillChanging:
                return Unread.CHANGING

        seen = until(summarise, lambda found: found is Unread.CHANGING)
        assert set(seen) <= {Unread.CHANGING, MANY - 1}
        seen = until(table, lambda found: found is Unread.CHANGING)
        assert set(seen) <= {Unread.CHANGING, MANY}


@only_open_coded
def test_a_walk_that_hangs_holds_up_no_others(
    never_still: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "DEADLINE", 0.05)
    source = open_kernel_source("open-coded")
    source.load_all()
    walks: Any = source._waiting._walks
    held = walks[0]
    release = threading.Event()
    attach = held._object.attach_iterator

    def hang(*arguments: object, **named: object) -> object:
        """As the kernel does while another thread keeps mmap_lock."""
        release.wait()
        return attach(*arguments, **named)

    monkeypatch.setattr(held._object, "attach_iterator", hang)
    with changing(never_still, "map", MANY) as process:

        def read() -> Unread | int:
            result = summary_of(source, process)
            return result.why if isinstance(result, Unreadable) else result.pairs

        def complaint() -> str:
            try:
                source.table(process)
            except CannotRead as error:
                return str(error)
            return "none"

        seen = until(read, lambda found: found is Unread.BUSY)
        assert set(seen) <= {Unread.BUSY, MANY - 1}
        until(complaint, lambda found: "contended" in str(found))
        release.set()
        until(read, lambda found: found == MANY - 1)
    source.close()
