# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The procfs evidence of real processes: kinds, pairs, facts, and what stays unknown."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from tests.live.targets import LayoutRefused, Made, Target
from vmad.errors import ProcessGone
from vmad.model import facts as f
from vmad.model.flags import CANONICAL_CODES
from vmad.model.kinds import Kind
from vmad.model.process import ProcessId, ProcessSummary, Unread, Unreadable
from vmad.sources.procfs import source as source_module
from vmad.sources.procfs.reader import MapsReader, new_buffer
from vmad.sources.procfs.source import ProcfsSource
from vmad.sources.source import Source

LOW = 0xFFFF_FFFF


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture
def source() -> Iterator[ProcfsSource]:
    source = ProcfsSource()
    yield source
    source.close()


def identity(pid: int) -> ProcessId:
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return ProcessId(pid, int(stat[stat.rindex(b")") + 2 :].split()[19]))


def summary(source: Source, process: ProcessId) -> ProcessSummary:
    (result,) = source.summarise([process])
    assert isinstance(result, ProcessSummary)
    return result


def unread(source: Source, process: ProcessId) -> Unreadable:
    (result,) = source.summarise([process])
    assert isinstance(result, Unreadable)
    return result


def table_facts(source: Source, made: Made) -> list[int]:
    """Facts of the pairs inside a layout, in order."""
    rows = source.table(identity(made.pid)).rows
    inside = rows[(rows["start"] > made.start) & (rows["end"] <= made.end) & (rows["pair"] == 1)]
    return [int(value) for value in inside["facts"]]


def codes(facts: int) -> set[str]:
    return {code for bit, code in CANONICAL_CODES.items() if f.flags_differing(facts) >> bit & 1}


def counted(source: Source, process: ProcessId) -> dict[int, int]:
    return dict(summary(source, process).facts)


def added(source: Source, target: Target, layout: str) -> dict[int, int]:
    """What a layout adds to its process's histogram of facts."""
    process = identity(target.pid)
    before = counted(source, process)
    target.build(layout)
    after = counted(source, process)
    return {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}


def hidden(source: ProcfsSource) -> int:
    """What maps leaves open on this kernel: without NUMA there are no policies."""
    numa = Path("/proc/self/numa_maps").exists()
    return f.MAPS_UNKNOWN if numa else f.MAPS_UNKNOWN & ~f.UNKNOWN_POLICY


def test_map_count_is_the_lines_of_maps_without_the_gate(
    source: ProcfsSource, target: Target
) -> None:
    target.build("guard_pages", pairs=3000)
    lines = Path(f"/proc/{target.pid}/maps").read_bytes().splitlines()
    expected = sum(not line.endswith(b"[vsyscall]") for line in lines)
    result = summary(source, identity(target.pid))
    assert result.map_count == result.vmas == expected
    assert sum(count for _, count in result.facts) == result.pairs >= 5999


def test_one_large_process_is_the_same_read_in_many_buffers(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.build("guard_pages", pairs=3000)
    target.build("faulted_apart")
    whole = ProcfsSource()
    expected = summary(whole, identity(target.pid))
    whole.close()
    monkeypatch.setattr(source_module, "new_buffer", lambda: new_buffer(40 << 10))
    pieces = ProcfsSource()
    assert summary(pieces, identity(target.pid)) == expected
    pieces.close()


def test_guard_pages_are_counted_by_kind_and_as_access_differs(
    source: ProcfsSource, target: Target
) -> None:
    before = summary(source, identity(target.pid))
    target.build("guard_pages", pairs=100)
    after = summary(source, identity(target.pid))
    more = [new - old for old, new in zip(before.kinds, after.kinds, strict=True)]
    assert more[Kind.ANON_WRITABLE] == more[Kind.ANON_NO_ACCESS] == 100
    assert sum(more) == 200
    facts = 0b011 << f.FLAGS_SHIFT | hidden(source)
    assert dict(after.facts)[facts] - dict(before.facts).get(facts, 0) == 199


def test_written_alike_pair_is_faulted_on_both_sides_and_otherwise_unknown(
    source: ProcfsSource, target: Target
) -> None:
    both = f.A_FAULTED | f.B_FAULTED
    assert added(source, target, "faulted_apart") == {hidden(source) | both: 1}


def test_read_faulted_side_is_not_taken_for_faulted(source: ProcfsSource, target: Target) -> None:
    assert added(source, target, "read_faulted") == {hidden(source) | f.A_FAULTED: 1}


def test_untouched_alike_pair_has_no_hints(source: ProcfsSource, target: Target) -> None:
    assert added(source, target, "hint_differs") == {hidden(source): 1}


def test_pages_shared_with_a_fork_child_are_seen_with_page_frames(
    source: ProcfsSource, target: Target
) -> None:
    hints = f.A_FAULTED | f.B_FAULTED | f.A_PAGES_SHARED | f.B_PAGES_SHARED
    assert hidden(source) | hints in added(source, target, "faulted_apart_forked")


def test_without_a_page_budget_no_hint_is_given(target: Target) -> None:
    target.build("faulted_apart")
    source = ProcfsSource(page_budget=0)
    hints = f.A_FAULTED | f.B_FAULTED
    assert not any(facts & hints for facts in counted(source, identity(target.pid)))
    source.close()


@pytest.mark.parametrize(
    ("layout", "differing", "bits"),
    [
        ("access_differs", {"wr"}, f.A_FAULTED | f.B_FAULTED),
        ("faulted_apart", set(), f.A_FAULTED | f.B_FAULTED),
        ("moved_beside_unfaulted", set(), f.B_FAULTED),
        ("hint_differs", {"dd"}, 0),
        ("read_faulted", {"rr"}, f.A_FAULTED),
        ("hugepage_hint", {"hg"}, 0),
        ("noreserve", {"nr", "ac"}, 0),
        ("mlock_forked", set(), 0),
        ("uffd", {"um"}, f.UFFD),
        ("mempolicy", set(), f.POLICY),
        ("dontunmap", set(), f.A_FAULTED),
        ("emptied", set(), 0),
    ],
)
def test_table_shows_flags_uffd_policy_and_faulted_sides(
    source: ProcfsSource, target: Target, layout: str, differing: set[str], bits: int
) -> None:
    (facts,) = table_facts(source, target.build(layout))
    unknown = f.UNKNOWN_AV | f.UNKNOWN_PGOFF | f.UNKNOWN_EXCLUSIVE
    assert codes(facts) == differing
    assert facts & LOW == unknown | bits


def test_two_userfaultfds_look_alike_so_the_context_stays_unknown(
    source: ProcfsSource, target: Target
) -> None:
    (facts,) = table_facts(source, target.build("uffd_two"))
    assert facts & (f.UFFD | f.UNKNOWN_UFFD) == f.UNKNOWN_UFFD


def test_a_task_policy_makes_equal_texts_prove_nothing(
    source: ProcfsSource, target: Target
) -> None:
    set_mempolicy = {"x86_64": 238, "aarch64": 237}[os.uname().machine]
    target.run(
        "mask = ctypes.c_ulong(1)\n"
        f"checked(libc.syscall({set_mempolicy}, MPOL_BIND, ctypes.addressof(mask), 64, 0, 0, 0),"
        "'set_mempolicy')"
    )
    (facts,) = table_facts(source, target.build("mempolicy"))
    assert facts & (f.POLICY | f.UNKNOWN_POLICY) == f.UNKNOWN_POLICY


def test_dev_zero_beside_anonymous_memory_differs_by_file(
    source: ProcfsSource, target: Target
) -> None:
    (facts,) = table_facts(source, target.build("dev_zero"))
    assert facts & f.FILE


def test_names_are_seen_or_cannot_exist(source: ProcfsSource, target: Target) -> None:
    try:
        made = target.build("named", a="one", b="two")
    except LayoutRefused:
        (facts,) = table_facts(source, target.build("hint_differs"))
        assert not facts & (f.NAME | f.UNKNOWN_NAME)
    else:
        assert table_facts(source, made)[0] & f.NAME


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """A directory where a file that is gone is no shared memory: /tmp is a tmpfs on Debian 13."""
    with TemporaryDirectory(dir="/var/tmp") as directory:
        yield Path(directory)


def test_kinds_and_paths_of_files_memfds_and_shared_memory(
    source: ProcfsSource, target: Target, on_disk: Path
) -> None:
    plain, gone = on_disk / "a\nb (deleted)", on_disk / "gone"
    made = {
        "shared": target.build("shared"),
        "memfd": target.build("memfd"),
        "file": target.build("file", path=str(plain)),
        "deleted": target.build("file", path=str(gone), deleted=True),
    }
    table = source.table(identity(target.pid))
    seen = {}
    for name, layout in made.items():
        (row,) = np.flatnonzero(table.rows["start"] == layout.start)
        seen[name] = (Kind(table.rows["kind"][row]), table.paths[int(row)])
    assert seen["shared"] == (Kind.SHARED_MEMORY, "/dev/zero (deleted)")
    assert seen["memfd"] == (Kind.SHARED_MEMORY, "/memfd:target (deleted)")
    assert seen["deleted"] == (Kind.FILE_DELETED, f"{gone} (deleted)")
    # a file that is called so looks like a deleted one: maps has no mark of its own
    assert seen["file"] == (Kind.FILE_DELETED, str(plain))


def test_table_and_summary_agree(source: ProcfsSource, target: Target) -> None:
    for layout in ("guard_pages", "faulted_apart", "dev_zero", "shared", "memfd"):
        target.build(layout)
    process = identity(target.pid)
    table, counted = source.table(process), summary(source, process)
    kinds = np.bincount(table.rows["kind"], minlength=len(counted.kinds))
    assert table.consistent
    assert tuple(kinds.tolist()) == counted.kinds
    assert int(table.rows["pair"].sum()) == counted.pairs
    assert table.map_count == counted.map_count


def test_census_holds_processes_and_neither_kernel_threads_nor_zombies(
    source: ProcfsSource,
) -> None:
    with Target(comm="a) R (\nb") as target:
        child = subprocess.Popen(["true"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        rows = {int(row["pid"]): row for row in source.census()}
        assert child.pid not in rows
        assert 2 not in rows
        row = rows[target.pid]
        assert row["comm"] == b"a) R (\nb"
        assert row["start_time"] == target.start_time
        assert row["map_count"] == -1
        assert row["lock_seq"] >= 0
        assert row["total_vm"] > 1000
        zombie = identity(child.pid)
        assert unread(source, zombie).why is Unread.GONE
        with pytest.raises(ProcessGone):
            source.table(zombie)
        child.wait()
        assert sorted(rows) == list(rows)


def test_an_exited_process_and_a_reused_pid_are_gone(source: ProcfsSource, target: Target) -> None:
    process = identity(target.pid)
    reused = ProcessId(process.pid, process.start_time - 1)
    source.census()
    assert unread(source, reused).why is Unread.GONE
    with pytest.raises(ProcessGone):
        source.table(reused)
    target.stop()
    assert unread(source, process).why is Unread.GONE
    with pytest.raises(ProcessGone):
        source.table(process)


def test_a_kernel_thread_has_no_address_space(source: ProcfsSource) -> None:
    stat = Path("/proc/2/stat").read_bytes()
    assert b"(kthreadd)" in stat
    assert unread(source, identity(2)).why is Unread.GONE


def test_max_map_count_is_the_sysctl(source: ProcfsSource) -> None:
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    source.census()
    assert source.max_map_count == limit


def test_a_process_that_executes_another_program_in_the_middle_is_gone(target: Target) -> None:
    target.build("guard_pages", pairs=3000)
    process = identity(target.pid)
    reader = MapsReader([process])
    buffer = new_buffer(40 << 10)
    first = reader.fill(buffer, lambda _: None)
    assert first.segments
    assert first.more
    target.run("os.execv('/bin/sh', ['sh', '-c', 'echo {}; exec cat'])")
    rest = reader.fill(buffer, lambda _: None)
    detail = "exited or executed another program while it was read"
    assert rest.unread == [(0, Unread.GONE, detail)]
    assert not rest.more
