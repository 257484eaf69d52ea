# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""pagemap of real processes, and who may read what."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from targets import Made, Target

from vmad.errors import CannotRead, ProcessGone
from vmad.model.process import ProcessId, Unread, Unreadable
from vmad.sources.procfs.pagemap import PAGE_COUNTS, page_counts, zero_frame
from vmad.sources.procfs.source import ProcfsSource

NOBODY = 65534


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


def halves(made: Made) -> list[tuple[int, ...]]:
    """(present, swapped, shared, zero) of A and of B."""
    ranges = np.array([[made.start, made.boundary], [made.boundary, made.end]], np.uint64)
    counts = page_counts(ProcessId(made.pid, 0), ranges)
    assert counts.dtype == PAGE_COUNTS
    return [tuple(row) for row in counts.tolist()]


def test_written_pages_are_present_and_untouched_ones_are_not(target: Target) -> None:
    assert halves(target.build("moved_beside_unfaulted")) == [(0, 0, 0, 0), (4, 0, 0, 0)]


def test_zero_pages_are_told_from_written_ones(target: Target) -> None:
    assert halves(target.build("read_faulted")) == [(4, 0, 0, 0), (4, 0, 0, 4)]


def test_pages_shared_with_a_fork_child_are_counted(target: Target) -> None:
    assert halves(target.build("faulted_apart_forked")) == [(4, 0, 4, 0), (4, 0, 4, 0)]


def test_a_range_larger_than_one_read_is_counted_whole(target: Target) -> None:
    made = target.build("one", pages=150_000, written=70_000, small=True)
    ranges = np.array([[made.start, made.end]], np.uint64)
    assert page_counts(ProcessId(made.pid, 0), ranges)["present"].tolist() == [70_000]


def test_no_range_asks_nothing_of_a_process_that_is_there(target: Target) -> None:
    nothing = np.zeros((0, 2), np.uint64)
    assert len(page_counts(ProcessId(target.pid, 0), nothing)) == 0


def test_pages_of_a_process_that_is_gone_raise(target: Target) -> None:
    target.stop()
    with pytest.raises(ProcessGone):
        page_counts(ProcessId(target.pid, 0), np.array([[0, 4096]], np.uint64))


def test_the_zero_page_has_one_frame_for_whoever_may_see_frames() -> None:
    zero_frame.cache_clear()
    assert zero_frame() == zero_frame()
    assert zero_frame() != 0


def as_nobody(pid: int) -> tuple[str, str]:
    """In a fork of ourselves without any right: (why maps was unread, pagemap's error)."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/self is ours again
        source = ProcfsSource()
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        start = int(stat[stat.rindex(b")") + 2 :].split()[19])
        (result,) = source.summarise([ProcessId(pid, start)])
        assert isinstance(result, Unreadable)
        try:
            page_counts(ProcessId(pid, start), np.array([[0, 4096]], np.uint64))
            pages = "read"
        except CannotRead as error:
            pages = str(error)
        os.write(write, f"{result.why.value}: {result.detail}\n{pages}".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        first, second = answers.read().split("\n")
    os.waitpid(child, 0)
    return first, second


def test_another_users_process_is_unreadable_with_its_remedy(target: Target) -> None:
    maps, pages = as_nobody(target.pid)
    assert maps.startswith(f"{Unread.PERMISSION.value}: Permission denied; needs CAP_SYS_PTRACE")
    needed = "needs CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"
    assert pages.startswith(f"/proc/{target.pid}/pagemap: permission denied; {needed}")
