# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the kernel programs count is what their rows say, and what maps shows; whatever the size."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.live.kernel_walks import KERNEL
from tests.live.targets import Target, start_time_of
from tests.live.zygote import ForkedTarget
from vmad.model import facts as f
from vmad.model.kinds import KIND_COUNT, Kind
from vmad.model.process import Evidence, ProcessId, ProcessSummary
from vmad.model.table import VmaTable
from vmad.rules.relaxed import RelaxedRules
from vmad.rules.runs import recoverable
from vmad.rules.stock import StockRules
from vmad.sources.bpf.queued import BUDGET, CHUNK
from vmad.sources.bpf.source import BpfSource
from vmad.sources.procfs.source import ProcfsSource
from vmad.sources.source import Source

pytestmark = pytest.mark.bpf

STOCK, RELAXED = StockRules(KERNEL), RelaxedRules(KERNEL)
#: letters of kernel_targets.run_of; o needs PR_SET_MEMORY_MERGE (6.4)
RUNS = ["f.f", ".f.", "ff.f", "f.m", "m.f", "mm", "fmf", ".m.m.", "i.f", "if", ".i.", "f.i", "ffff",
        "i.m.f", "....", "fm.mf"]  # fmt: skip
RUNS_6_4 = ["oo", "o.o", ".o.o.", "ffo", "o.ff", "omo", "ooo.m", "ioi", "fo.of", "o"]


def summary(source: Source, process: ProcessId) -> ProcessSummary:
    (result,) = source.summarise([process])
    assert isinstance(result, ProcessSummary)
    return result


def identity(target: Target) -> ProcessId:
    return ProcessId(target.pid, target.start_time)


def histogram(table: VmaTable) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(Counter(table.rows["facts"][table.rows["pair"] == 1].tolist()).items()))


def assert_alike(counted: ProcessSummary, table: VmaTable) -> None:
    assert counted.id == table.id
    assert counted.comm == table.comm
    assert counted.mm == table.mm
    assert counted.map_count == table.map_count == counted.vmas == len(table.rows)
    kinds = np.bincount(table.rows["kind"], minlength=KIND_COUNT)
    assert counted.kinds == tuple(kinds.tolist())
    assert counted.facts == histogram(table)
    assert counted.recoverable["stock"] == recoverable(table, STOCK)
    assert counted.recoverable["relaxed"] == recoverable(table, RELAXED)


def assert_sound(table: VmaTable) -> None:
    """Rows that no kernel could contradict."""
    rows = table.rows
    assert (rows["start"] < rows["end"]).all()
    assert (rows["end"][:-1] <= rows["start"][1:]).all()
    assert (rows["pair"][1:][rows["end"][:-1] != rows["start"][1:]] == 0).all()
    assert (rows["facts"][rows["pair"] == 0] == 0).all()
    assert ((rows["anon_vma"] != 0) == (rows["chain"] != 0)).all()
    assert int(rows["anon_vma"].max()) < len(rows)


def test_the_source_says_what_it_is(kernel_source: BpfSource) -> None:
    assert kernel_source.evidence is Evidence.KERNEL
    assert kernel_source.kernel == KERNEL
    assert kernel_source.max_map_count == int(Path("/proc/sys/vm/max_map_count").read_text())
    assert kernel_source.health().walk in ("lockless", "open-coded", "task_vma")


def test_kinds_and_counts_are_those_of_maps(kernel_source: BpfSource, tmp_path: Path) -> None:
    with Target() as target:
        target.build("guard_pages", pairs=30)
        target.build("shared")
        target.build("memfd")
        target.build("dev_zero")
        target.build("file", path=str(tmp_path / "kept"))
        target.build("file", path=str(tmp_path / "gone"), deleted=True)
        target.run("brk = libc.sbrk; brk(1 << 20)")
        by_kernel = kernel_source.table(identity(target))
        by_maps = ProcfsSource().table(identity(target))
        counted = summary(kernel_source, identity(target))
    for column in ("start", "end", "perms", "kind", "pair"):
        assert by_kernel.rows[column].tolist() == by_maps.rows[column].tolist()
    assert by_kernel.consistent
    assert_alike(counted, by_kernel)
    assert {Kind.HEAP, Kind.STACK, Kind.SHARED_MEMORY, Kind.SPECIAL} <= {
        Kind(kind) for kind in by_kernel.rows["kind"]
    }


def test_every_process_of_the_host_is_counted_as_its_rows_say(kernel_source: BpfSource) -> None:
    maps = ProcfsSource()
    agreed = 0
    for row in kernel_source.census():
        process = ProcessId(int(row["pid"]), int(row["start_time"]))
        if process.pid == os.getpid():
            continue  # rows take memory, which a table of ourselves shows and neither count does
        # what changes meanwhile says nothing: before and after must agree
        before = list(kernel_source.summarise([process]))
        if not before or not isinstance(before[0], ProcessSummary):
            continue
        table, text = kernel_source.table(process), maps.table(process)
        if [before[0]] != list(kernel_source.summarise([process])) or not table.consistent:
            continue
        assert_sound(table)
        assert_alike(before[0], table)
        assert table.rows["kind"].tolist() == text.rows["kind"].tolist()
        agreed += 1
    assert agreed >= 2


@pytest.mark.parametrize("faults", RUNS + (RUNS_6_4 if KERNEL.version >= (6, 4) else []))
def test_recoverable_over_runs_is_what_the_rules_count(
    kernel_sources: dict[str, BpfSource], faults: str
) -> None:
    with ForkedTarget() as target:
        made = target.build("run_of", faults=faults)
        process = ProcessId(made.pid, start_time_of(made.pid))
        for source in kernel_sources.values():
            table = source.table(process)
            inside = (table.rows["start"] >= made.start) & (table.rows["end"] <= made.end)
            assert int(inside.sum()) == len(faults)
            assert table.consistent
            assert_alike(summary(source, process), table)


def test_more_distinct_facts_than_the_histogram_holds_are_counted_exactly(
    kernel_source: BpfSource,
) -> None:
    with ForkedTarget() as target, ForkedTarget() as other:
        target.build("distinct_facts", pairs=255)
        other.build("guard_pages", pairs=5)
        asked = [identity(other), identity(target)] * 3
        results = list(kernel_source.summarise(asked))
        assert Counter(result.id for result in results) == Counter(asked)
        for result in results:
            assert isinstance(result, ProcessSummary)
            assert_alike(result, kernel_source.table(result.id))
        assert len(summary(kernel_source, identity(target)).facts) > 240


@pytest.mark.parametrize(
    "vmas", [1, CHUNK - 60, CHUNK, CHUNK + 1, 2 * CHUNK, 4095, 4097, BUDGET, 3 * BUDGET + 5]
)
def test_address_spaces_of_any_size_are_walked_whole(
    kernel_sources: dict[str, BpfSource], vmas: int
) -> None:
    with ForkedTarget() as target:
        for source in kernel_sources.values():
            source.census()
        made = target.build("alternating", vmas=vmas, written=True)
        for source in kernel_sources.values():
            table = source.table(identity(target))
            inside = table.rows[
                (table.rows["start"] >= made.start) & (table.rows["end"] <= made.end)
            ]
            assert len(inside) == vmas
            assert table.consistent
            assert_sound(table)
            assert_alike(summary(source, identity(target)), table)
            same = f.AV_SAME | f.A_EXCLUSIVE | f.B_EXCLUSIVE
            assert (inside["facts"][1:] & same == same).all()


def test_addresses_of_the_kernel_do_not_leave_the_source(kernel_source: BpfSource) -> None:
    with ForkedTarget() as target:
        target.build("faulted_apart")
        rows = kernel_source.table(identity(target)).rows
    assert int(rows["anon_vma"].max()) <= len(rows)
    assert int(rows["file"].max()) <= len(rows)
