# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One scan adds up address spaces, each once, and says what it does not know."""

from __future__ import annotations

from tests.unit.capture.recorded import TablesSource
from tests.unit.explain.tables import DIFFERENT, Area, alternating, table_of
from vmad.export.scan_text import scan_text
from vmad.export.style import Style
from vmad.model import facts as f
from vmad.model.kernel import KernelInfo
from vmad.model.process import Unread
from vmad.model.verdict import PairKey
from vmad.scan.once import scan_once

#: A faulted, B never written to, all else equal: one-sided before 6.16 (879bca0a2c4f)
ONE_SIDED = 1 << f.A_AV_SHIFT | f.A_EXCLUSIVE
UNSEEN = [Area(), *[Area(facts=f.MAPS_UNKNOWN)] * 3]


def test_an_address_space_that_processes_share_is_added_up_once() -> None:
    tables = [table_of(alternating(10), pid=pid, mm=mm) for pid, mm in ((1, 7), (2, 7), (3, 8))]
    scan = scan_once(TablesSource(tables))

    assert len(scan.processes) == 3
    assert scan.vmas == 22
    assert scan.pairs[PairKey("stock", "blocked", "vm_flags:access")] == 20


def test_address_spaces_without_a_known_mm_are_all_added_up() -> None:
    tables = [table_of(alternating(10), pid=pid, mm=0) for pid in (1, 2)]

    assert scan_once(TablesSource(tables)).vmas == 22


def test_what_the_evidence_leaves_open_is_none_and_never_zero() -> None:
    tables = [table_of(UNSEEN, pid=1, mm=1), table_of(alternating(4), pid=2, mm=2)]
    scan = scan_once(TablesSource(tables))
    by_pid = {process.id.pid: process for process in scan.processes}

    assert by_pid[1].recoverable == {"stock": None, "relaxed": None, "rebuild": 0}
    assert by_pid[2].recoverable == {"stock": 0, "relaxed": 0, "rebuild": 0}
    assert (scan.recoverable, scan.undecided) == (
        {"stock": 0, "relaxed": 0, "rebuild": 0},
        {"stock": 1, "relaxed": 1, "rebuild": 0},
    )
    text = "\n".join(scan_text(scan, Style(), 15))
    assert "0 VMAs would vanish on the stock kernel, without 1 process that" in text
    assert "It leaves 3 pairs undecided." in text


def test_every_verdict_follows_the_kernel_that_is_named() -> None:
    source = TablesSource(
        [table_of([Area(), Area(facts=ONE_SIDED)])], KernelInfo("6.12.0", page_shift=12)
    )
    here = scan_once(source)
    there = scan_once(source, KernelInfo("6.16", page_shift=12))

    assert PairKey("stock", "mergeable", "latent_one_sided") in here.pairs
    assert PairKey("stock", "mergeable", "latent") in there.pairs
    assert (there.kernel.release, there.judged_as.release) == ("6.12.0", "6.16")


def test_the_worst_comes_first() -> None:
    tables = [table_of(alternating(count), pid=count, mm=count) for count in (4, 30, 12)]

    assert [process.id.pid for process in scan_once(TablesSource(tables)).processes] == [30, 12, 4]


def test_pids_that_are_not_there_are_unreadable() -> None:
    scan = scan_once(TablesSource([table_of([Area(), Area(facts=DIFFERENT)], pid=5)]), pids=[5, 6])

    assert [process.id.pid for process in scan.processes] == [5]
    assert [(missed.id.pid, missed.why) for missed in scan.unreadable] == [(6, Unread.GONE)]


def test_a_process_that_exits_between_census_and_walk_is_gone() -> None:
    scan = scan_once(TablesSource([], gone=[9]), KernelInfo("6.16", page_shift=12))

    assert [(missed.id.pid, missed.why) for missed in scan.unreadable] == [(9, Unread.GONE)]


def test_progress_is_told_for_every_process() -> None:
    steps: list[tuple[int, int]] = []
    tables = [table_of(alternating(4), pid=pid, mm=pid) for pid in (1, 2)]
    scan_once(TablesSource(tables), step=lambda done, total: steps.append((done, total)))

    assert steps == [(1, 2), (2, 2)]
