# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Causes account for every VMA once; names and advice are those that help."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.explain.tables import (
    ACCESS,
    DIFFERENT,
    KIB,
    LATENT,
    MOVED,
    Area,
    alternating,
    table_of,
)
from vmad.model import facts as f
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.table import VmaTable
from vmad.model.verdict import Verdict
from vmad.scan.explain import Explanation, explain, main_causes, repeats_of
from vmad.sources.names import named_ranges

KERNEL = KernelInfo("6.1.0", page_shift=12)
DELETED = Area("r--s", kind=Kind.FILE_DELETED, gap=4 * KIB)


def explained(table: VmaTable) -> Explanation:
    return explain(table, KERNEL, 65530)


_areas = st.builds(
    Area,
    facts=st.sampled_from([None, ACCESS, DIFFERENT, MOVED, LATENT, f.MAPS_UNKNOWN]),
    kind=st.sampled_from(Kind),
    gap=st.sampled_from([0, 4 * KIB]),
).filter(lambda area: area.facts is None or not area.gap)


@given(st.lists(_areas, min_size=1, max_size=60))
def test_causes_account_for_every_vma_once(areas: list[Area]) -> None:
    explanation = explained(table_of([Area(), *areas]))
    rows = sorted(row for cause in explanation.causes for row in cause.rows.tolist())

    assert rows == list(range(len(areas) + 1))
    assert [len(cause.rows) for cause in explanation.causes] == [
        cause.vmas for cause in explanation.causes
    ]


def test_the_largest_causes_are_the_main_ones() -> None:
    areas = [*alternating(200), *[DELETED] * 90, *[Area(facts=DIFFERENT)] * 50, *[DELETED] * 1]
    explanation = explained(table_of([*areas, Area(facts=LATENT)]))

    first, second, third = main_causes(explanation.causes)
    assert (first.reason, first.vmas, first.relaxed) == ("vm_flags:access", 200, 0)
    assert (second.kind, second.vmas) == (Kind.FILE_DELETED, 91)
    assert (third.reason, third.relaxed, third.verdict) == (
        "anon_vma_differs", 50, Verdict.BLOCKED,
    )  # fmt: skip


def test_further_reasons_are_counted_with_the_decisive_one() -> None:
    explanation = explained(table_of([Area(), *[Area(facts=MOVED)] * 8, Area(facts=DIFFERENT)]))

    assert explanation.causes[0].reason == "anon_vma_differs"
    assert explanation.causes[0].also == (("vm_pgoff", 8),)


def test_a_cause_knows_the_runs_it_lies_in() -> None:
    explanation = explained(table_of([*alternating(200), *[DELETED] * 90]))
    (cause, *_) = explanation.causes

    ((repeat, vmas),) = repeats_of(cause, explanation.repeats)
    assert vmas == 200
    assert len(repeat.steps) == 2


def test_files_that_are_mapped_often_are_named() -> None:
    libc = [Area("r--p", kind=Kind.FILE, path="/lib/libc.so.6")] * 5
    once = [Area("r--p", kind=Kind.FILE, path=f"/lib/{number}.so") for number in range(5)]
    names = explained(table_of([*libc, *once])).names

    assert (names[0].name, names[0].vmas) == ("/lib/libc.so.6", 5)


def test_files_with_a_name_each_are_counted_by_directory() -> None:
    paths = [f"/data/{number}.dvd (deleted)" for number in range(60)]
    paths += [f"/memfd:buffer-{number} (deleted)" for number in range(40)]
    areas = [Area("r--s", kind=Kind.FILE_DELETED, gap=4096, path=path) for path in paths]
    names = explained(table_of(areas)).names

    assert [(name.name, name.vmas) for name in names] == [
        ("/data/* (deleted)", 60),
        ("/memfd:* (deleted)", 40),
    ]


def test_names_are_read_from_lines_of_maps() -> None:
    lines = [
        b"00400000-00401000 r--p 00000000 fe:00 7                          /a b\\012c (deleted)\n",
        b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n",
        b"7f0000001000-7f0000002000 rw-p 00000000 00:00 0                  [anon: x ]\n",
        b"7f0000002000-7f0000003000 rw-p 00000000 00:00 0",
        b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          \xff\n",
    ]

    assert named_ranges(lines) == {
        (0x400000, 0x401000): "/a b\nc (deleted)",
        (0x7F0000001000, 0x7F0000002000): "[anon: x ]",
        (0xFFFFFFFFFF600000, 0xFFFFFFFFFF601000): "\udcff",
    }
