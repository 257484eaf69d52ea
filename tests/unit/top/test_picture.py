# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""An address space in characters."""

from __future__ import annotations

import pytest

from tests.unit.explain.tables import DIFFERENT, Area, alternating, table_of
from tests.unit.goldens.documents import KERNEL, LIMIT, explained
from vmad.model.kinds import Kind
from vmad.scan.explain import Explanation, explain
from vmad.top.inside import Inside, inside
from vmad.top.picture import picture, symbols
from vmad.top.text import plain


def of(*areas: Area) -> Explanation:
    return explain(table_of(list(areas)), KERNEL, LIMIT)


@pytest.mark.parametrize("height", [1, 5, 12])
def test_it_takes_about_the_lines_that_it_is_given(height: int) -> None:
    assert height - 1 <= len(picture(explained(), 80, height)) <= height


def test_what_keeps_areas_apart_is_drawn_where_it_is() -> None:
    drawn = "".join(plain(line)[30:] for line in picture(explained(), 80, 10)).rstrip()

    # guard pages, then pieces written apart, then latent ones, then deleted files
    assert drawn == "".join(sorted(drawn))
    assert set(drawn) == {"1", "2", "3", "d"}


def test_each_cause_has_a_symbol_of_the_list_below() -> None:
    explanation = explained()

    assert symbols(explanation) == ["1", "2", "d", "3", "w"]
    text = "\n".join(map(plain, inside(None, Inside(explanation), 0, 100, 60)))
    for mark in symbols(explanation):
        assert f"\n  {mark} " in text


def test_regions_that_lie_far_apart_have_lines_of_their_own() -> None:
    far = of(Area(), Area(facts=DIFFERENT), Area(kind=Kind.FILE, gap=1 << 40, path="/lib/x.so"))

    lines = [plain(line) for line in picture(far, 80, 10)]

    assert len(lines) == 2
    assert set(lines[0].split()[-1]) == {"w", "1"}
    assert set(lines[1].split()[-1]) == {"f"}


def test_one_area_is_seen() -> None:
    (line,) = picture(of(Area()), 80, 5)

    assert "w" in plain(line)[30:]


def test_no_area_is_no_picture() -> None:
    assert picture(of(), 80, 5) == []


def test_many_areas_are_drawn() -> None:
    many = explain(table_of(alternating(100_000)), KERNEL, LIMIT)

    assert len(picture(many, 120, 10)) <= 10
