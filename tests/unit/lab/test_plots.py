# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Plots: scales that hold everything, one mark per value, text that cannot break the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmad.lab.compare.plots import Bar, Line, bar_plot, line_plot, number, ticks

SVG = "{http://www.w3.org/2000/svg}"


@given(st.floats(1e-6, 1e9))
def test_scale_reaches_the_highest_value_in_few_even_steps(highest: float) -> None:
    found = ticks(highest)
    assert found[0] == 0
    assert found[-1] >= highest * 0.999
    assert found[-1] <= highest * 2
    assert 3 <= len(found) <= 7


def test_scale_of_nothing_is_still_a_scale() -> None:
    assert ticks(0) == [0, 1]


@pytest.mark.parametrize(
    ("value", "text"), [(1234.4, "1,234"), (0.5, "0.5"), (12.345, "12.3"), (7.0, "7"), (0, "0")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_each_run_is_a_line_within_the_picture() -> None:
    lines = [Line(0, [(0, 1), (10, 65530)]), Line(1, [(0, 3), (4, 5)])]
    picture = ET.fromstring(line_plot(["a", "b"], lines, label="x"))
    drawn = picture.findall(f"{SVG}polyline")
    assert len(drawn) == 2
    assert drawn[0].get("stroke") != drawn[1].get("stroke")
    _, _, wide, high = (float(word) for word in picture.attrib["viewBox"].split())
    for line in drawn:
        for point in line.attrib["points"].split():
            x, y = (float(word) for word in point.split(","))
            assert 0 <= x <= wide
            assert 0 <= y <= high


def test_no_samples_make_an_empty_plot() -> None:
    ET.fromstring(line_plot(["a"], [Line(0, [])], label="x"))


def test_bars_show_median_and_spread_and_what_is_not_known() -> None:
    rows = {"peak": [Bar(50, 40, 100), None]}
    picture = ET.fromstring(bar_plot(["a", "b"], rows, label="x"))
    texts = [each.text for each in picture.iter(f"{SVG}text")]
    assert "50" in texts
    assert "not known" in texts
    (spread,) = [each for each in picture.iter(f"{SVG}line") if each.get("class") == "spread"]
    bar = next(each for each in picture.iter(f"{SVG}rect") if each.get("height") == "12")
    ends = float(bar.attrib["x"]) + float(bar.attrib["width"])
    assert float(spread.attrib["x1"]) < ends < float(spread.attrib["x2"])


def test_names_are_escaped() -> None:
    picture = bar_plot(["<k>"], {"a<b&c": [Bar(1, 1, 1)]}, label='"<')
    ET.fromstring(picture)
    assert not re.search(r"<k>|a<b", picture)
