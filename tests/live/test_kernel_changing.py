# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Targets that change, exec or exit while they are walked: nothing breaks, nothing is made up."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.live.kernel_walks import open_kernel_source
from tests.live.targets import Made
from tests.live.zygote import ForkedTarget
from vmad.errors import CannotRead, ProcessGone, StillChanging
from vmad.model.process import ProcessId, ProcessSummary, Unread, Unreadable
from vmad.sources.bpf import queued
from vmad.sources.bpf.layout import Status
from vmad.sources.bpf.queued import CHUNK
from vmad.sources.bpf.source import BpfSource, _wanted

pytestmark = pytest.mark.bpf

PAGE = mmap.PAGESIZE
LARGE = 6 * CHUNK

#: the kernel keeps the other walk's place, and waits for the lock
only_open_coded = pytest.mark.open_coded


@pytest.fixture
def target() -> Iterator[ForkedTarget]:
    with ForkedTarget() as child:
        yield child


def identity(target: ForkedTarget) -> ProcessId:
    return ProcessId(target.pid, target.start_time)


def large(target: ForkedTarget) -> Made:
    return target.build("alternating", vmas=LARGE)


def in_the_middle(
    monkeypatch: pytest.MonkeyPatch, source: BpfSource, act: Callable[[], Any]
) -> None:
    """Do something once, when the next walk of a large process is under way."""
    left = [2]

    def before(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                act()
            return call(*arguments)

        return called

    if source.health().walk != "task_vma":
        monkeypatch.setattr(queued, "BUDGET", CHUNK)
        program = source._walk._program  # type: ignore[attr-defined]
        monkeypatch.setattr(program, "run", before(program.run))
    else:
        monkeypatch.setattr(os, "read", before(os.read))


def exec_sleep(target: ForkedTarget) -> None:
    target.send("os.execv('/bin/sleep', ['sleep', '1000'])")
    # asleep: until then its loader maps libraries
    while "nanosleep" not in Path(f"/proc/{target.pid}/wchan").read_text():
        pass


def result_of(source: BpfSource, process: ProcessId) -> ProcessSummary | Unreadable:
    (result,) = source.summarise([process])
    return result


def test_a_change_in_the_middle_is_noticed_and_the_walk_repeated(
    kernel_source: BpfSource, target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = large(target)
    # a page less at one end, one more at the other: the number of VMAs tells nothing
    target.run(f"mapped({made.end + 8 * PAGE}, PAGE)")
    kernel_source.census()
    change = f"libc.munmap({made.end + 8 * PAGE}, PAGE); mapped({made.start - PAGE}, PAGE, NONE)"
    in_the_middle(monkeypatch, kernel_source, lambda: target.run(change))
    table = kernel_source.table(identity(target))
    assert table.consistent
    assert made.start - PAGE in table.rows["start"]
    assert made.end + 8 * PAGE not in table.rows["start"]
    assert len(table.rows) == table.map_count


def test_what_never_stands_still_is_read_as_it_was_or_not_at_all(
    kernel_source: BpfSource, target: ForkedTarget
) -> None:
    """One VMA goes to and fro between the ends: a torn walk sees it twice or not at all."""
    made = large(target)
    low, high = made.start - 4 * PAGE, made.end + 4 * PAGE
    target.run(
        "import threading\n"
        "def churn():\n"
        "    while True:\n"
        f"        mapped({low}, PAGE); libc.munmap({high}, PAGE)\n"
        f"        mapped({high}, PAGE); libc.munmap({low}, PAGE)\n"
        f"mapped({high}, PAGE)\n"
        "threading.Thread(target=churn, daemon=True).start()"
    )
    for _ in range(20):
        result = result_of(kernel_source, identity(target))
        if isinstance(result, Unreadable):
            assert result.why in (Unread.BUSY, Unread.CHANGING)
        else:
            assert LARGE <= result.vmas <= LARGE + 300
        try:
            table = kernel_source.table(identity(target))
        except CannotRead:
            continue
        starts = table.rows["start"]
        assert (starts[1:] > starts[:-1]).all()
        assert table.consistent
        assert len(starts) == table.map_count
        assert low in starts or high in starts
        inside = (starts >= made.start) & (starts < made.end)
        assert int(inside.sum()) == LARGE


@only_open_coded
def test_resuming_where_the_last_vma_has_gone_is_counted(
    kernel_sources: dict[str, BpfSource], target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = kernel_sources["open-coded"]
    made = large(target)
    census = source.census()
    member = census[census["pid"] == target.pid]
    in_the_middle(
        monkeypatch,
        source,
        lambda: target.run(f"libc.munmap({made.start}, {made.end - made.start - PAGE})"),
    )
    rows, header = source._walk.rows(_wanted(member))
    assert header["status"] == Status.OK
    assert header["resumed"] == 1
    assert (np.diff(rows["start"].astype(np.int64)) > 0).all()
    assert made.end - PAGE in rows["start"]


def test_exec_in_the_middle_is_gone(
    kernel_source: BpfSource, target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(target)
    kernel_source.census()
    in_the_middle(monkeypatch, kernel_source, lambda: exec_sleep(target))
    result = result_of(kernel_source, identity(target))
    monkeypatch.undo()
    if isinstance(result, Unreadable):
        assert result.why is Unread.GONE
    else:
        assert result.vmas > LARGE  # task_vma from 6.2 on holds on to the old address space
    after = kernel_source.table(identity(target))
    assert after.consistent
    assert len(after.rows) < 100


def test_exit_in_the_middle_is_gone(
    kernel_source: BpfSource, target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(target)
    kernel_source.census()
    in_the_middle(monkeypatch, kernel_source, target.stop)
    try:
        table = kernel_source.table(identity(target))
    except ProcessGone:
        pass
    else:  # task_vma holds on to the address space
        assert table.consistent
        assert len(table.rows) == table.map_count
    result = result_of(kernel_source, identity(target))
    assert isinstance(result, Unreadable)
    assert result.why is Unread.GONE


def test_a_walk_broken_off_leaves_nothing_behind(
    kernel_source: BpfSource, target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(target)
    expected = result_of(kernel_source, identity(target))
    assert isinstance(expected, ProcessSummary)

    def interrupt() -> None:
        raise KeyboardInterrupt

    for read in (
        lambda: result_of(kernel_source, identity(target)),
        lambda: kernel_source.table(identity(target)),
    ):
        with monkeypatch.context() as patch:
            in_the_middle(patch, kernel_source, interrupt)
            with pytest.raises(KeyboardInterrupt):
                read()
        assert result_of(kernel_source, identity(target)) == expected
        assert len(kernel_source.table(identity(target)).rows) == expected.vmas


def test_other_calls_may_come_between_two_results(
    kernel_source: BpfSource, target: ForkedTarget
) -> None:
    large(target)
    with ForkedTarget() as other:
        asked = [identity(target), identity(other)] * 2
        seen = []
        for result in kernel_source.summarise(asked):
            seen.append(result.id)
            assert kernel_source.table(result.id).consistent
        assert seen == asked


def test_threads_may_share_one_source(kernel_source: BpfSource, target: ForkedTarget) -> None:
    large(target)
    expected = result_of(kernel_source, identity(target))
    wrong: list[object] = []

    def work() -> None:
        for _ in range(10):
            if result_of(kernel_source, identity(target)) != expected:
                wrong.append("summary")
            if not kernel_source.table(identity(target)).consistent:
                wrong.append("table")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@only_open_coded
def test_a_contended_process_is_read_by_a_walk_that_waits(
    target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_kernel_source("open-coded")
    program, control = source._walk._program, source._walk._control  # type: ignore[attr-defined]
    run = program.run

    def contended() -> None:
        """As the program does when mmap_lock of the first process cannot be had."""
        if control.position == 0 and not control.abandon:
            control.status = Status.BUSY
        else:
            run()

    monkeypatch.setattr(program, "run", contended)
    with ForkedTarget() as other:
        asked = [identity(target), identity(other)]
        found = {one.id: one for one in source.summarise(asked)}
        assert all(isinstance(found[process], ProcessSummary) for process in asked)
        assert source.table(identity(target)).consistent
        monkeypatch.setattr(source._waiting, "_walks", [])
        found = {one.id: one for one in source.summarise(asked)}
        assert isinstance(found[identity(other)], ProcessSummary)
        unread = found[identity(target)]
        assert isinstance(unread, Unreadable)
        assert unread.why is Unread.CHANGING
        with pytest.raises(StillChanging):
            source.table(identity(target))
    source.close()
