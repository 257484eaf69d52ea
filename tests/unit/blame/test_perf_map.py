# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names of code made at run time, as a process writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmad.blame.perf_map import PerfMap


@pytest.fixture
def written() -> Iterator[Path]:
    """The perf map of this process."""
    path = Path(f"/tmp/perf-{os.getpid()}.map")
    path.write_text("1000 40 first\n2000 80 second\nnot a line\n3000 zz\n", "utf-8")
    yield path
    path.unlink()


def test_a_function_has_its_addresses_and_no_more(written: Path) -> None:
    known = PerfMap(os.getpid())

    assert [known.name_at(place) for place in (0xFFF, 0x1000, 0x103F, 0x1040, 0x2000)] == [
        None,
        "first",
        "first",
        None,
        "second",
    ]


def test_what_is_written_later_is_known_and_counts_as_news(written: Path) -> None:
    known = PerfMap(os.getpid())
    known.read_news()
    known.read_news()
    assert known.readings == 1

    with written.open("a", encoding="utf-8") as file:
        file.write("1020 100 in its place\n")

    assert known.name_at(0x1030) == "in its place"
    assert known.readings == 2
    assert list(known.functions(0x1000, 0x2000)) == [
        (0x1000, 0x1020, "first"),
        (0x1020, 0x1120, "in its place"),
    ]


def test_code_made_over_older_code_is_the_newer_s_and_what_is_left_of_the_older_keeps_its_name(
    written: Path,
) -> None:
    written.write_text("1000 400 old\n1100 80 within\nf00 180 below\n1380 100 behind\n", "utf-8")
    known = PerfMap(os.getpid())

    assert [known.name_at(place) for place in (0xF00, 0x1000, 0x1080, 0x1100, 0x1180, 0x1380)] == [
        "below",
        "below",
        "old",
        "within",
        "old",
        "behind",
    ]
    assert known.name_at(0x1480) is None
    # old code of which the beginning is gone can no longer be looked at
    assert [name for _, _, name in known.functions(0, 0x2000)] == ["below", "within", "behind"]


def test_without_a_map_nothing_has_a_name() -> None:
    known = PerfMap(os.getpid())

    assert known.name_at(0x1000) is None
    assert known.readings == 0
