# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Pairs and their facts as far as maps shows them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.procfs.maps_lines import Line, columns_of, text_of
from vmad.model import facts as f
from vmad.sources.procfs.pairs import KEYS, alike, facts_of_keys, find_pairs

P = 0x1000
A = 0x7F00_0000_0000


def facts_between(*lines: Line, names_exist: bool = False) -> list[int]:
    """Facts of every pair of a text, in order."""
    columns = columns_of(text_of(*lines))
    _, keys = find_pairs(columns, np.ones(len(columns), np.bool_), names_exist)
    return [int(value) for value in facts_of_keys()[keys]]


def side_by_side(a: bytes, b: bytes) -> tuple[Line, Line]:
    return Line(A, A + P, name=a), Line(A + P, A + 2 * P, name=b)


def test_alike_neighbours_leave_open_all_that_maps_does_not_show() -> None:
    assert facts_between(*side_by_side(b"", b"")) == [f.MAPS_UNKNOWN]


def test_access_that_differs_stands_in_the_high_half() -> None:
    (facts,) = facts_between(Line(A, A + P, "rw-p"), Line(A + P, A + 2 * P, "---p"))
    assert f.flags_differing(facts) == 0b011
    assert facts & 0xFFFF_FFFF == f.MAPS_UNKNOWN


def test_a_hole_a_shared_side_or_a_file_side_makes_no_pair() -> None:
    below = Line(A, A + P)
    assert facts_between(below, Line(A + 2 * P, A + 3 * P)) == []
    assert facts_between(below, Line(A + P, A + 2 * P, "rw-s")) == []
    assert facts_between(below, Line(A + P, A + 2 * P, device=(8, 1), inode=1, name=b"/x")) == []
    assert facts_between(below, Line(A + P, A + 2 * P, name=b"[vdso]")) == []


def test_names_are_compared_by_content() -> None:
    long = b"[anon:" + b"x" * 79 + b"]"
    assert facts_between(*side_by_side(long, long)) == [f.MAPS_UNKNOWN]
    assert facts_between(*side_by_side(b"[anon:a]", b"[anon:b]")) == [f.MAPS_UNKNOWN | f.NAME]
    assert facts_between(*side_by_side(b"[anon:a]", b"")) == [f.MAPS_UNKNOWN | f.NAME]
    other = long[:-2] + b"y]"
    assert facts_between(*side_by_side(long, other)) == [f.MAPS_UNKNOWN | f.NAME]


def test_a_label_hides_a_name_only_where_names_exist() -> None:
    pair = side_by_side(b"[heap]", b"")
    assert facts_between(*pair) == [f.MAPS_UNKNOWN]
    assert facts_between(*pair, names_exist=True) == [f.MAPS_UNKNOWN | f.UNKNOWN_NAME]
    hidden = side_by_side(b"[heap]", b"[anon:x]")
    assert facts_between(*hidden, names_exist=True) == [f.MAPS_UNKNOWN | f.UNKNOWN_NAME]


def test_dev_zero_beside_plain_memory_differs_by_file() -> None:
    zero = Line(A + P, A + 2 * P, device=(0, 6), inode=4, name=b"/dev/zero")
    assert facts_between(Line(A, A + P), zero) == [f.MAPS_UNKNOWN | f.FILE]


def test_dev_zero_neighbours_show_whether_their_offsets_are_contiguous() -> None:
    def zero(start: int, offset: int) -> Line:
        return Line(start, start + P, offset=offset, device=(0, 6), inode=4, name=b"/dev/zero")

    assert facts_between(zero(A, 0), zero(A + P, P)) == [f.MAPS_UNKNOWN]
    assert facts_between(zero(A, 0), zero(A + P, 0)) == [f.MAPS_UNKNOWN | f.PGOFF]


def test_neighbours_of_two_processes_make_no_pair() -> None:
    columns = columns_of(text_of(Line(A, A + P), Line(A + P, A + 2 * P)))
    b, _ = find_pairs(columns, np.array([False, False]), False)
    assert len(b) == 0


names = st.one_of(
    st.just(b""),
    st.binary(min_size=0, max_size=20)
    .map(lambda b: bytes(c for c in b if 32 <= c < 127))
    .map(lambda b: b"[anon:" + b + b"]"),
)


@settings(deadline=None)
@given(st.lists(names, min_size=2, max_size=6))
def test_name_fact_is_set_exactly_when_names_differ(given_names: list[bytes]) -> None:
    lines = [Line(A + i * P, A + (i + 1) * P, name=name) for i, name in enumerate(given_names)]
    differ = [bool(facts & f.NAME) for facts in facts_between(*lines)]
    assert differ == [a != b for a, b in pairwise(given_names)]


def test_keys_and_facts_correspond_one_to_one() -> None:
    assert len(set(facts_of_keys().tolist())) == KEYS
    assert alike(np.array([0, 1, 1 << 5])).tolist() == [True, False, False]
