# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The walk that takes no lock reads every tree as it is, and believes none that was written to."""

from __future__ import annotations

import mmap
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.live.kernel_walks import open_kernel_source
from tests.live.renamed_fields import renamed_programs
from tests.live.test_kernel_changing import identity, in_the_middle, large
from tests.live.test_kernel_never_still import MANY, changing
from tests.live.zygote import ForkedTarget
from vmad.errors import EvidenceUnavailable
from vmad.model.table import Rows
from vmad.sources.bpf import queued, source
from vmad.sources.bpf.layout import Status, Steady
from vmad.sources.bpf.source import BpfSource, _wanted
from vmad.sources.bpf.waiting import is_exact, is_whole

pytestmark = [pytest.mark.bpf, pytest.mark.open_coded]

PAGE = mmap.PAGESIZE
BASE = 0x2000_0000_0000

#: VMAs of a page each: how many, pages from one to the next, how many of a hundred go again
SHAPES = {
    "a row": (2_000, 1, 0),
    "one by one": (2_000, 2, 0),
    "far apart": (700, 1 << 18, 0),
    "thinned out": (3_000, 2, 60),
    "hardly any left": (3_000, 1, 99),
}


@pytest.fixture
def target() -> Iterator[ForkedTarget]:
    with ForkedTarget() as child:
        yield child


def wanted_of(source: BpfSource, target: ForkedTarget) -> npt.NDArray[np.void]:
    census = source.census()
    return _wanted(census[census["pid"] == target.pid])


def lines_of_maps(pid: int) -> list[tuple[int, int, int]]:
    """(start, end, access and sharing as rows have them)"""
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, end, access = re.match(r"(\w+)-(\w+) (\S+)", line).groups()  # type: ignore[union-attr]
        if not line.endswith("[vsyscall]"):
            perms = sum(1 << bit for bit, letter in enumerate("rwxs") if access[bit] == letter)
            found.append((int(start, 16), int(end, 16), perms))
    return found


def lines_of(rows: Rows) -> list[tuple[int, int, int]]:
    lines: list[tuple[int, int, int]] = rows[["start", "end", "perms"]].tolist()
    return lines


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tree_of_any_shape_is_read_as_maps_and_as_the_iterator_show_it(
    kernel_sources: dict[str, BpfSource], target: ForkedTarget, shape: str
) -> None:
    number, stride, gone = SHAPES[shape]
    target.run(
        f"for n in range({number}): mapped({BASE} + n * {stride} * PAGE, PAGE, [NONE, RW][n & 1])"
    )
    chosen = random.Random(shape).sample(range(number), number * gone // 100)
    target.run(f"for n in {chosen}: libc.munmap({BASE} + n * {stride} * PAGE, PAGE)")
    lockless, iterator = kernel_sources["lockless"], kernel_sources["open-coded"]
    wanted = wanted_of(lockless, target)
    rows, header = lockless._walk.rows(wanted, digest=True)
    others, other = iterator._walk.rows(wanted, digest=True)
    assert is_exact(header)
    assert lines_of(rows) == lines_of_maps(target.pid)
    assert np.array_equal(rows, others)
    assert header["digest"] == other["digest"]
    ((headers, entries),) = lockless._walk.count(wanted)
    counted, facts = headers[0].copy(), entries.copy()
    ((headers, entries),) = iterator._walk.count(wanted)
    for field in ("walked", "kinds", "recoverable", "map_count", "lost"):
        assert np.array_equal(counted[field], headers[0][field])
    assert np.array_equal(facts, entries)


def test_many_processes_at_once_are_read_as_the_iterator_reads_them(
    kernel_sources: dict[str, BpfSource],
) -> None:
    lockless, iterator = kernel_sources["lockless"], kernel_sources["open-coded"]
    targets = [ForkedTarget() for _ in range(12)]
    try:
        for number, one in enumerate(targets):
            one.run(f"for n in range({number * 37}): mapped({BASE} + n * 2 * PAGE, PAGE)")
        wanted = np.concatenate([wanted_of(lockless, one) for one in targets])
        ((headers, entries),) = lockless._walk.count(wanted)
        found = headers.copy(), entries.copy()
        ((headers, entries),) = iterator._walk.count(wanted)
        assert is_exact(found[0]).all()
        assert np.array_equal(found[0]["walked"], headers["walked"])
        assert np.array_equal(found[0]["first_entry"], headers["first_entry"])
        assert np.array_equal(found[1], entries)
    finally:
        for one in targets:
            one.__exit__(None, None, None)


def test_what_is_told_as_exact_beside_a_writer_is_exact(
    never_still: Path, kernel_sources: dict[str, BpfSource]
) -> None:
    """Straight from the walk, which nothing tries again: not all readings are believed."""
    walk = kernel_sources["lockless"]._walk
    with changing(never_still, "map", MANY) as process:
        census = kernel_sources["lockless"].census()
        wanted = _wanted(census[census["pid"] == process.pid])
        believed = refused = 0
        while believed + refused < 100 or not refused:
            ((headers, entries),) = walk.count(wanted)
            if not is_exact(headers[0]):
                refused += 1
                continue
            believed += 1
            assert entries["count"].sum() == MANY - 1


def change_elsewhere(target: ForkedTarget) -> Callable[[], object]:
    """Below all that has been read by then."""
    return lambda: target.run(f"mapped({BASE - (1 << 30)}, PAGE)")


def test_a_reading_of_one_moment_ends_where_something_has_changed(
    kernel_sources: dict[str, BpfSource], target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = kernel_sources["lockless"]
    large(target)
    wanted = wanted_of(source, target)
    in_the_middle(monkeypatch, source, change_elsewhere(target))
    ((headers, _),) = source._walk.count(wanted)
    assert headers[0]["steady"] == Steady.NO
    assert headers[0]["walked"] < headers[0]["map_count"]
    assert not is_exact(headers[0])
    assert not is_whole(headers[0])


def test_a_reading_in_pieces_goes_on_where_it_was(
    kernel_sources: dict[str, BpfSource], target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = kernel_sources["lockless"]
    large(target)
    wanted = wanted_of(source, target)
    before = lines_of_maps(target.pid)
    in_the_middle(monkeypatch, source, change_elsewhere(target))
    rows, header = source._walk.rows(wanted, digest=True)
    assert lines_of(rows) == before
    assert header["steady"] == Steady.NO
    assert not is_exact(header)
    assert is_whole(header)


def test_a_reading_in_pieces_tells_where_its_last_vma_has_gone(
    kernel_sources: dict[str, BpfSource], target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = kernel_sources["lockless"]
    made = large(target)
    wanted = wanted_of(source, target)
    gone = f"libc.munmap({made.start}, {made.end - made.start - PAGE})"
    in_the_middle(monkeypatch, source, lambda: target.run(gone))
    rows, header = source._walk.rows(wanted, digest=True)
    assert header["status"] == Status.OK
    assert header["resumed"] == 1
    assert not is_whole(header)
    assert (np.diff(rows["start"].astype(np.int64)) > 0).all()
    assert made.end - PAGE in rows["start"]


def test_one_small_change_is_read_in_pieces_and_no_lock_is_waited_for(
    kernel_sources: dict[str, BpfSource], target: ForkedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once in each of the first readings; with nobody else to ask."""
    source = kernel_sources["lockless"]
    large(target)
    source.census()
    monkeypatch.setattr(source._waiting, "_walks", [])
    run = source._walk._program.run  # type: ignore[attr-defined]
    left = [12]

    def changing_run() -> None:
        run()
        if left[0]:
            left[0] -= 1
            target.run(f"mapped({BASE - (1 << 30)}, PAGE); libc.munmap({BASE - (1 << 30)}, PAGE)")

    monkeypatch.setattr(source._walk._program, "run", changing_run)  # type: ignore[attr-defined]
    monkeypatch.setattr(queued, "BUDGET", queued.CHUNK)
    table = source.table(identity(target))
    assert not left[0]
    assert lines_of(table.rows) == lines_of_maps(target.pid)


def test_a_tree_of_another_form_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"maple_leaf_64": "maple_dense"}  # another number
    renamed_programs(kinds, Path(source.__file__).parent, tmp_path)
    monkeypatch.setattr(queued, "HERE", tmp_path)
    with pytest.raises(EvidenceUnavailable, match="another tree of VMAs"):
        open_kernel_source("lockless")
