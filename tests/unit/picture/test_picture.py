# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every VMA comes out of the picture's bytes as it went in, in few of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.explain.tables import (
    ACCESS,
    BASE,
    DIFFERENT,
    KIB,
    LATENT,
    Area,
    alternating,
    table_of,
)
from tests.unit.picture.reading import read_picture
from vmad.export.picture.names import LEAST_ROOM, name_numbers, names_within
from vmad.export.picture.picture import picture_of
from vmad.export.picture.regions import MOST, PARTING, dense_regions
from vmad.export.picture.varints import varints
from vmad.model.facts import AV_SAME, PGOFF
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import Kind
from vmad.model.table import VmaTable
from vmad.scan.explain import Explanation, explain

TIB = 1 << 40
#: one anon_vma that is theirs alone, and a page offset that breaks
MOVED = DIFFERENT | AV_SAME | PGOFF
LIBRARY = "/usr/lib/x86_64-linux-gnu/libc.so.6"
MIXED = [
    Area("r-xp", 100 * KIB, kind=Kind.FILE, path="/usr/bin/redis-server"),
    Area("rw-p", 132 * KIB, kind=Kind.HEAP, path="[heap]", gap=8 * KIB),
    Area("rw-p", 128 * KIB, gap=40 * TIB),
    Area("rw-p", 4 * KIB, DIFFERENT),
    Area("rw-p", 64 * KIB, MOVED),
    Area("---p", 4 * KIB, ACCESS),
    Area("r--p", 8 * KIB, kind=Kind.FILE, path=LIBRARY),
    Area("r-xp", 1600 * KIB, kind=Kind.FILE, path=LIBRARY),
    Area("r--p", 12 * KIB, kind=Kind.FILE, path="/usr/bin/redis-server"),
    Area("rw-p", 132 * KIB, kind=Kind.STACK, path="[stack]", gap=TIB),
]


def explained(table: VmaTable) -> Explanation:
    return explain(table, KernelInfo("6.12.9", "x86_64", page_shift=12), 65530)


def test_every_vma_comes_back_as_it_was() -> None:
    table = table_of(MIXED)
    _, blocks = read_picture(picture_of(explained(table)).encoded())

    assert [(block.start, block.end) for block in blocks] == [
        (int(row["start"]), int(row["end"])) for row in table.rows
    ]
    assert [block.rights for block in blocks] == table.rows["perms"].tolist()
    assert [block.name for block in blocks] == [table.paths.get(n) for n in range(len(MIXED))]
    assert [block.flags for block in blocks][:2] == ["rd ex", "rd wr"]


def test_each_pair_has_its_verdict_and_the_reasons_sentence() -> None:
    head, blocks = read_picture(picture_of(explained(table_of(MIXED))).encoded())

    decisive = [block.case and block.case["decisive"] for block in blocks[2:6]]
    assert decisive == [None, "anon_vma_differs", "vm_pgoff", "vm_flags:access"]
    assert [block.case and block.case["patched"] for block in blocks[3:6]] == [
        "mergeable",
        "mergeable",
        "blocked",
    ]
    assert "moved by mremap" in head["reasons"]["vm_pgoff"]


def test_causes_are_those_that_explain_tells_and_count_every_vma() -> None:
    explanation = explained(table_of(MIXED))
    head, blocks = read_picture(picture_of(explanation).encoded())

    why, kind = head["modes"]
    assert [mode["key"] for mode in (why, kind)] == ["why", "kind"]
    assert [entry["vmas"] for entry in why["entries"]] == [c.vmas for c in explanation.causes]
    for index, mode in enumerate((why, kind)):
        counts = np.bincount([block.entries[index] for block in blocks])
        assert counts.tolist() == [entry["vmas"] for entry in mode["entries"]]
    anon = next(entry for entry in why["entries"] if "anon_vma_differs" in entry["title"])
    assert anon["apart"]
    assert "The patched kernel merges all" in anon["sentence"]


def test_without_addresses_nothing_tells_where_it_lies_or_what_it_maps() -> None:
    message = picture_of(explained(table_of(MIXED)), addresses=False).encoded()
    moved = [replace(area, gap=area.gap * 2 if area.gap > TIB else area.gap) for area in MIXED]
    head, blocks = read_picture(message)

    assert b"libc" not in message
    assert [block.start for block in blocks[:3]] == [0, 108 * KIB, 0]
    assert head["first"] == 0
    assert {block.name for block in blocks} == {None}
    # another place of the same regions is the same picture
    assert picture_of(explained(table_of(moved)), addresses=False).encoded() == message


@pytest.mark.parametrize(
    ("areas", "most"),
    [
        (alternating(65_000), 3),
        ([Area("rw-p", n % 90 * 4 * KIB + 4 * KIB, DIFFERENT) for n in range(65_000)], 3),
        ([Area("r--p", 64 << 20, kind=Kind.FILE, path=f"/data/segments/{n:06}.dat", gap=4 * KIB)
          for n in range(30_000)], 8),
        ([Area("rw-s", 8 * KIB, kind=Kind.SHARED_MEMORY, path=f"/memfd:{'x' * 90}{n} (deleted)",
               gap=80 << 20) for n in range(30_000)], 8),
    ],
    ids=["guards", "pieces", "files", "long names"],
)  # fmt: skip
def test_vma_takes_few_bytes(areas: list[Area], most: int) -> None:
    message = picture_of(explained(table_of(areas))).encoded()

    assert len(message) <= most * len(areas) + 4096


def test_names_beyond_the_room_become_their_directory() -> None:
    paths = {n: f"/var/lib/segments/{n:08}" for n in range(4000)}
    paths |= {4000: "/usr/bin/a", 4001: "/usr/bin/a"}
    names, of_row = names_within(paths, 0)

    assert names[of_row[4001]] == names[of_row[4000]] == "/usr/bin/a"
    assert names[of_row[3999]] == "/var/lib/segments/*"
    assert names[of_row[0]] == "/var/lib/segments/00000000"
    assert sum(len(name) + 3 for name in names) <= LEAST_ROOM


def test_names_are_printable() -> None:
    (name,), _ = names_within({0: "/tmp/\x1b[31m\udcff\u202e</script>"}, 0)

    assert name == "/tmp/\\x1b[31m\\xff\\u202e</script>"


@given(st.lists(st.integers(0, 1 << 52)))
def test_numbers_come_back(numbers: list[int]) -> None:
    value = shift = 0
    read = []
    for byte in varints(np.array(numbers, np.int64)):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            read.append(value)
            value = shift = 0
    assert read == numbers


def test_name_seen_before_is_named_by_its_index() -> None:
    assert name_numbers([0, 0, 1, 0, 2]) == [1, 0, 1, 2, 1]


def test_regions_part_at_wide_gaps_and_say_what_they_are() -> None:
    regions = dense_regions(table_of(MIXED).rows)

    assert [(one.first, one.stop, one.label) for one in regions] == [
        (0, 2, "program and heap"),
        (2, 9, "anonymous memory"),
        (9, 10, "stack"),
    ]


def test_of_many_gaps_the_widest_part() -> None:
    gaps = [PARTING + n * 4096 for n in range(100)]
    regions = dense_regions(table_of(Area("rw-p", gap=gap) for gap in gaps).rows)

    assert len(regions) == MOST
    assert [one.first for one in regions[1:]] == list(range(101 - MOST, 100))


def test_one_vma_and_none_are_pictures_too() -> None:
    for number in (0, 1):
        table = table_of([Area("rw-p")] * number)
        head, blocks = read_picture(picture_of(explained(table)).encoded())
        assert (head["vmas"], len(blocks)) == (number, number)
        assert [block.start for block in blocks] == [BASE] * number


@given(
    st.lists(
        st.builds(
            Area,
            st.sampled_from(["rw-p", "---p", "r-xp"]),
            st.integers(1, 1 << 30).map(lambda pages: pages * 4096),
            st.sampled_from([None, ACCESS, DIFFERENT, MOVED, LATENT]),
            gap=st.sampled_from([0, 0, 4096, 1 << 30, 1 << 42]),
            path=st.sampled_from([None, None, "/a", "/b/c"]),
        ),
        max_size=40,
    )
)
def test_any_address_space_comes_back(areas: list[Area]) -> None:
    table = table_of(areas)
    _, blocks = read_picture(picture_of(explained(table)).encoded())

    assert [(block.start, block.end, block.name) for block in blocks] == [
        (int(row["start"]), int(row["end"]), table.paths.get(n)) for n, row in enumerate(table.rows)
    ]
