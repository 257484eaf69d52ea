# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reads that block: real ones, of a FIFO that nobody writes to."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import pytest

from tests.unit.procfs.maps_lines import Line, text_of
from vmad.errors import CannotRead
from vmad.model.process import ProcessId, ProcessSummary, Unread, Unreadable
from vmad.sources.bounded import BoundedReads, Stuck, Tick
from vmad.sources.procfs.source import ProcfsSource


def wait_until(condition: Callable[[], bool]) -> None:
    """Until another thread has noticed; the test fails by its own assertion after 10 seconds."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.001)
    assert condition()


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    yield path
    release(path)


def release(fifo: Path) -> None:
    """Let every reader that blocks in open(2) or read(2) go on, with nothing to read."""
    fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    os.close(fd)


def reading(path: Path, key: Hashable) -> Callable[[Tick], bytes]:
    def work(tick: Tick) -> bytes:
        tick(key)
        return path.read_bytes()

    return work


def test_result_and_error_of_the_work_come_back(tmp_path: Path) -> None:
    reads = BoundedReads()
    (tmp_path / "file").write_bytes(b"text")
    assert reads.run(reading(tmp_path / "file", "file")) == b"text"
    with pytest.raises(FileNotFoundError):
        reads.run(reading(tmp_path / "none", "none"))
    reads.close()


def test_one_worker_serves_one_piece_of_work_after_the_other() -> None:
    reads = BoundedReads(workers=1)
    threads = {reads.run(lambda _: threading.get_ident()) for _ in range(200)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    reads.close()


def working(seconds: float) -> Callable[[Tick], str]:
    """So much processor time, without a word of how far it is."""

    def work(_: Tick) -> str:
        ends = time.thread_time() + seconds
        while time.thread_time() < ends:
            pass
        return "done"

    return work


def test_what_works_is_granted_more_time_than_what_waits(fifo: Path) -> None:
    reads = BoundedReads(workers=2, deadline=0.05, patience=1000)

    assert reads.run(working(0.3)) == "done"
    with pytest.raises(Stuck) as stuck:
        reads.run(reading(fifo, "fifo"))
    assert not stuck.value.working
    release(fifo)
    reads.close()


def test_what_works_for_ever_is_given_up_and_said_to_work() -> None:
    reads = BoundedReads(workers=1, deadline=0.02, patience=3)

    with pytest.raises(Stuck) as stuck:
        reads.run(working(1.0))
    assert stuck.value.working
    reads.close()


def test_a_blocked_read_is_given_up_remembered_and_forgotten_when_it_comes_back(
    fifo: Path,
) -> None:
    reads = BoundedReads(workers=2, deadline=0.05)
    with pytest.raises(Stuck) as stuck:
        reads.run(reading(fifo, "fifo"))
    assert stuck.value.key == "fifo"
    assert reads.is_stuck("fifo")
    assert reads.run(lambda _: "another worker") == "another worker"
    release(fifo)
    wait_until(lambda: not reads.is_stuck("fifo"))
    assert reads.stuck == 0
    reads.close()


def test_work_is_refused_at_once_when_every_worker_is_stuck(fifo: Path) -> None:
    reads = BoundedReads(workers=1, deadline=0.05)
    with pytest.raises(Stuck):
        reads.run(reading(fifo, "fifo"))
    with pytest.raises(Stuck) as refused:
        reads.run(lambda _: "never")
    assert refused.value.key is None
    release(fifo)
    wait_until(lambda: not reads.stuck)
    assert reads.run(lambda _: "again") == "again"
    reads.close()


def test_work_that_makes_progress_may_take_longer_than_the_deadline() -> None:
    # long enough for a busy machine to let the worker run at least once
    reads = BoundedReads(workers=1, deadline=1.0)

    def work(tick: Tick) -> str:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            tick("busy")
        return "done"

    assert reads.run(work) == "done"
    reads.close()


def test_given_up_work_ends_at_its_next_tick(fifo: Path) -> None:
    reads = BoundedReads(workers=1, deadline=0.05)
    went_on = []

    def work(tick: Tick) -> None:
        tick("fifo")
        fifo.read_bytes()
        tick("next")
        went_on.append(True)

    with pytest.raises(Stuck):
        reads.run(work)
    release(fifo)
    wait_until(lambda: not reads.stuck)
    assert went_on == []
    reads.close()


class FakeProc:
    """A proc root whose processes' files are ours; self and sys are the real ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("self", "sys"):
            (root / name).symlink_to(f"/proc/{name}")

    def add(self, pid: int, maps: bytes | None) -> ProcessId:
        """A process; without ``maps`` its maps is a FIFO, so reading it blocks."""
        directory = self.root / str(pid)
        directory.mkdir()
        fields = ["S", "1", *["0"] * 17, "77", "409600", "0"]
        (directory / "stat").write_text(f"{pid} (fake) {' '.join(fields)}\n")
        if maps is None:
            os.mkfifo(directory / "maps")
        else:
            (directory / "maps").write_bytes(maps)
        return ProcessId(pid, 77)


TWO_VMAS = text_of(Line(0x10000, 0x11000), Line(0x11000, 0x12000, "---p"))


@pytest.fixture
def proc(tmp_path: Path) -> Iterator[FakeProc]:
    root = tmp_path / "proc"
    root.mkdir()
    fake = FakeProc(root)
    yield fake
    for maps in root.glob("[0-9]*/maps"):
        if maps.is_fifo():
            release(maps)


def test_a_scan_reports_the_stuck_process_and_reads_all_others(proc: FakeProc) -> None:
    good = [proc.add(pid, TWO_VMAS) for pid in (10, 11)]
    blocked = proc.add(12, None)
    more = [proc.add(pid, TWO_VMAS) for pid in (13, 14)]
    source = ProcfsSource(str(proc.root), deadline=0.1)
    source.census()
    results = {r.id: r for r in source.summarise([*good, blocked, *more])}
    for process in (*good, *more):
        result = results[process]
        assert isinstance(result, ProcessSummary)
        assert result.map_count == 2
        assert result.pairs == 1
    stuck = results[blocked]
    assert isinstance(stuck, Unreadable)
    assert stuck.why is Unread.STUCK
    assert stuck.comm == "fake"
    source.close()


def test_a_stuck_process_is_skipped_until_its_read_comes_back(proc: FakeProc) -> None:
    blocked = proc.add(12, None)
    source = ProcfsSource(str(proc.root), deadline=0.05)
    list(source.summarise([blocked]))
    (second,) = source.summarise([blocked])
    assert isinstance(second, Unreadable)
    assert second.detail == "an earlier read of it has not come back"
    maps = proc.root / "12" / "maps"
    release(maps)
    wait_until(lambda: not source.stuck_reads)
    maps.unlink()
    maps.write_bytes(TWO_VMAS)
    (third,) = source.summarise([blocked])
    assert isinstance(third, ProcessSummary)
    source.close()


def test_with_every_worker_stuck_all_that_is_left_is_stuck_at_once(proc: FakeProc) -> None:
    blocked = [proc.add(pid, None) for pid in (10, 11)]
    good = proc.add(12, TWO_VMAS)
    source = ProcfsSource(str(proc.root), workers=2, deadline=0.05)
    results = list(source.summarise([*blocked, good]))
    assert [r.why for r in results if isinstance(r, Unreadable)] == [Unread.STUCK] * 3
    source.close()


def test_a_table_of_a_stuck_process_is_one_clear_line(proc: FakeProc) -> None:
    blocked = proc.add(12, None)
    source = ProcfsSource(str(proc.root), deadline=0.05)
    with pytest.raises(CannotRead, match=r"/proc/12/maps: no answer for 0\.05 s; .*try again$"):
        source.table(blocked)
    source.close()


def test_text_that_is_no_maps_is_an_error_of_that_process_only(proc: FakeProc) -> None:
    bad = proc.add(10, b"this is not maps\n")
    cut = proc.add(11, TWO_VMAS[:-1])
    good = proc.add(12, TWO_VMAS)
    source = ProcfsSource(str(proc.root))
    results = {r.id: r for r in source.summarise([bad, cut, good])}
    for process in (bad, cut):
        result = results[process]
        assert isinstance(result, Unreadable)
        assert result.why is Unread.ERROR
    assert isinstance(results[good], ProcessSummary)
    source.close()


def test_what_fills_several_buffers_is_counted_once(proc: FakeProc) -> None:
    lines = [Line(0x10000 + i * 0x1000, 0x11000 + i * 0x1000, "rw-p" if i % 2 else "r--p")
             for i in range(50_000)]  # fmt: skip
    large, small = proc.add(10, text_of(*lines)), proc.add(11, TWO_VMAS)
    source = ProcfsSource(str(proc.root))
    first, second = source.summarise([large, small])
    assert isinstance(first, ProcessSummary)
    assert isinstance(second, ProcessSummary)
    assert (first.map_count, first.pairs) == (50_000, 49_999)
    assert (second.map_count, second.pairs) == (2, 1)
    source.close()
