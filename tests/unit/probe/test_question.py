# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which boundaries are asked about, and what counts as a change."""

from __future__ import annotations

from vmad.model.flags import SOFTDIRTY
from vmad.model.kernel import KernelInfo
from vmad.probe.question import Question, merged, pose, unexpected
from vmad.probe.sight import Seen
from vmad.rules.stock import StockRules

NEW, OLD = (
    StockRules(KernelInfo("6.18.0", page_shift=12)),
    StockRules(KernelInfo("6.1.0", page_shift=12)),
)
IO = 1 << 14


def vma(
    start: int, end: int, *, flags: int = 0x73, anonymous: bool = True, anon_vma: int | None = None
) -> Seen:
    pgoff = None if anon_vma is None else start
    return Seen(start << 12, end << 12, flags, anonymous, None, anon_vma, pgoff)


def why(seen: list[Seen], room: int | None = 100) -> str:
    posed = pose(seen, 2 << 12, NEW, room)
    assert isinstance(posed, str)
    return posed


def test_a_pair_is_asked_by_the_upper_side() -> None:
    posed = pose([vma(1, 2), vma(2, 3)], 2 << 12, NEW, 100)

    assert isinstance(posed, Question)
    assert [(step.side, step.start) for step in posed.steps] == [("b", 2 << 12)]


def test_before_6_16_both_sides_are_tried() -> None:
    posed = pose([vma(1, 2), vma(2, 3)], 2 << 12, OLD, 100)

    assert isinstance(posed, Question)
    assert [step.side for step in posed.steps] == ["b", "a"]


def test_special_memory_is_refused() -> None:
    assert "VM_SPECIAL" in why([vma(1, 2, flags=0x73 | IO), vma(2, 3)])


def test_soft_dirty_on_one_side_is_refused() -> None:
    assert "soft-dirty" in why([vma(1, 2), vma(2, 3, flags=0x73 | SOFTDIRTY)])


def test_no_room_below_the_limit_is_refused() -> None:
    assert "room" in why([vma(1, 2), vma(2, 3)], room=0)


def test_the_inside_of_a_vma_is_no_boundary() -> None:
    assert "inside" in why([vma(1, 3)])


def test_a_hole_below_is_no_pair() -> None:
    assert "nothing ends" in why([vma(0, 1), vma(2, 3)])


def test_a_file_beside_anonymous_memory_is_no_pair() -> None:
    assert "private and anonymous" in why([vma(1, 2, anonymous=False), vma(2, 3)])


def test_an_unmapped_address_is_no_boundary() -> None:
    assert "no VMA begins" in why([vma(4, 5)])


def test_a_merge_is_no_change() -> None:
    before = [vma(1, 2, anon_vma=7), vma(2, 3, anon_vma=0)]
    after = [vma(1, 3, anon_vma=7)]

    assert unexpected(before, after, 0) == []
    assert merged(after, 2 << 12)


def test_other_flags_afterwards_are_a_change() -> None:
    before = [vma(1, 2), vma(2, 3)]
    after = [vma(1, 2), vma(2, 3, flags=0x73 | 1 << 16)]

    assert len(unexpected(before, after, 0)) == 1


def test_another_anon_vma_afterwards_is_a_change() -> None:
    assert unexpected([vma(1, 2, anon_vma=7)], [vma(1, 2, anon_vma=8)], 0)


def test_a_split_that_stays_is_a_change() -> None:
    assert unexpected([vma(1, 3)], [vma(1, 2), vma(2, 3)], 0)


def test_a_vma_that_is_gone_is_a_change() -> None:
    assert unexpected([vma(1, 2), vma(2, 3)], [vma(1, 2)], 0)
