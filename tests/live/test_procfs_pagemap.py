# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""pagemap of real processes, and who may read what."""

from __future__ import annotations

import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import other_users
from tests.live.targets import Made, Target
from vmad.errors import ProcessGone
from vmad.model.process import ProcessId, Unread
from vmad.sources.procfs import pagemap
from vmad.sources.procfs.pagemap import PAGE_COUNTS, page_counts, zero_frame


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


def test_a_range_larger_than_one_read_is_counted_whole(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads are smaller here: what one takes else is 4 GiB of pages of 64 KiB."""
    monkeypatch.setattr(pagemap, "_ENTRIES_PER_READ", 4096)
    made = target.build("one", pages=9_000, written=5_000, small=True)
    ranges = np.array([[made.start, made.end]], np.uint64)
    assert page_counts(ProcessId(made.pid, 0), ranges)["present"].tolist() == [5_000]


def test_no_range_asks_nothing_of_a_process_that_is_there(target: Target) -> None:
    nothing = np.zeros((0, 2), np.uint64)
    assert len(page_counts(ProcessId(target.pid, 0), nothing)) == 0


def test_pages_of_a_process_that_is_gone_raise(target: Target) -> None:
    target.stop()
    with pytest.raises(ProcessGone):
        page_counts(ProcessId(target.pid, 0), np.array([[0, mmap.PAGESIZE]], np.uint64))


def test_the_zero_page_has_one_frame_for_whoever_may_see_frames() -> None:
    zero_frame.cache_clear()
    assert zero_frame() == zero_frame()
    assert zero_frame() != 0


READ_ANOTHERS = """
import mmap, sys
import numpy as np
from vmad.errors import CannotRead
from vmad.model.process import ProcessId
from vmad.sources.procfs import pagemap
from vmad.sources.procfs.pagemap import page_counts
from vmad.sources.procfs.source import ProcfsSource
process = ProcessId(int(sys.argv[1]), int(sys.argv[2]))
(result,) = ProcfsSource().summarise([process])
print(f"{result.why.value}: {result.detail}")
try:
    print(page_counts(process, np.array([[0, mmap.PAGESIZE]], np.uint64)))
except CannotRead as error:
    print(error)
"""


def as_nobody(pid: int) -> list[str]:
    """Without any right: why maps was unread, pagemap's error."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    start = stat[stat.rindex(b")") + 2 :].split()[19].decode()
    ran = subprocess.run(
        [*other_users.as_nobody(), other_users.python(), "-c", READ_ANOTHERS, str(pid), start],
        env=os.environ | {"PYTHONPATH": str(other_users.packages())},
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return ran.stdout.splitlines()


def test_another_users_process_is_unreadable_with_its_remedy(target: Target) -> None:
    maps, pages = as_nobody(target.pid)
    assert maps.startswith(f"{Unread.PERMISSION.value}: Permission denied; needs CAP_SYS_PTRACE")
    needed = "needs CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"
    assert pages.startswith(f"/proc/{target.pid}/pagemap: permission denied; {needed}")
