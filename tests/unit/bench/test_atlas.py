# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The atlas says what was measured, and records of advice say what the atlas says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.atlas.page import PAGE, PICTURE, page
from bench.atlas.picture import GROUPS, WIDTH, picture
from bench.atlas.row import Needs
from bench.atlas.rows import ROWS
from bench.atlas.run import KNOWN, known_row, read_results
from vmad.advice.catalogue import ADVICE
from vmad.advice.pattern import Pattern
from vmad.advice.record import Measured

RESULTS = read_results()
MEASURED = {name: result for name, result in RESULTS.items() if "vmas" in result}
PAIRS = {
    record.name: record.proof for record in ADVICE.values() if isinstance(record.proof, Measured)
}
#: VMAs of a record and of its rows differ by this much at most: one run each, threads race
TIMES = 1.5
ROOT = Path(__file__).parents[3]


def test_page_and_picture_are_what_the_results_give() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(RESULTS)
    assert PICTURE.read_text(encoding="utf-8") == picture(RESULTS)


def test_explain_compares_with_the_rows_that_were_measured() -> None:
    known = json.loads(KNOWN.read_text(encoding="utf-8"))

    assert known == [
        known_row(row, MEASURED[row.name]) for row in ROWS.values() if row.name in MEASURED
    ]


def test_at_least_eighty_rows_were_measured() -> None:
    assert len(MEASURED) >= 80


@pytest.mark.parametrize("name", PAIRS)
def test_a_record_that_names_rows_says_what_they_showed(name: str) -> None:
    proof = PAIRS[name]
    before, after = (MEASURED[row]["vmas"] for row in proof.atlas)

    assert after < before
    for said, shown in ((proof.before, before), (proof.after, after)):
        assert 1 / TIMES < said / shown < TIMES


def test_results_are_of_rows_that_exist() -> None:
    assert RESULTS.keys() <= ROWS.keys()
    assert len({row.load + row.program for row in ROWS.values()}) > len(ROWS) * 0.9


def test_each_pattern_has_one_colour_and_each_bar_is_full() -> None:
    patterns = [pattern for _, _, members in GROUPS for pattern in members]

    assert sorted(patterns) == sorted(Pattern)
    root = ElementTree.fromstring(picture(RESULTS))
    bars = [each for each in root if each.tag.endswith("rect") and list(each)]
    by_line: dict[str, float] = {}
    for bar in bars:
        by_line[bar.attrib["y"]] = by_line.get(bar.attrib["y"], 0) + float(bar.attrib["width"])
    assert len(by_line) > 40
    assert all(abs(width - WIDTH) < 2 for width in by_line.values())


def lines_of(name: str) -> list[str]:
    """Of a list of packages, without comments; there are some."""
    lines = (ROOT / "bench/atlas" / name).read_text().splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert packages
    return packages


def test_what_is_fetched_is_pinned() -> None:
    for line in lines_of("python.txt"):
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line)
    for line in lines_of("npm.txt"):
        assert re.fullmatch(r"@?[\w/-]+@[\d.]+", line)


def test_rows_of_the_slice_need_nothing_that_is_fetched() -> None:
    machine = [row for row in ROWS.values() if row.needs is Needs.MACHINE]

    assert len(machine) >= 10
    assert all("{build}/" in row.argv[0] or row.argv[0] == "python3" for row in machine)
