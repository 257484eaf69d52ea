# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""docs/threat-model.md: every line of what somebody tries names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fuzz.parsers import PARSERS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")


FILES = [*(ROOT / "tests").rglob("*.py")]
#: of tests, files and parsers
NAMES = {
    *(
        name
        for file in FILES
        for name in re.findall(r"(?m)^def (test_\w+)", file.read_text("utf-8"))
    ),
    *(file.name for file in FILES),
    *PARSERS,
}


def test_every_line_names_its_test() -> None:
    tables = re.findall(r"(?m)^\|.*\| test \|\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    assert len(tables) == len(re.findall(r"(?m)^\|[-|]+$", PAGE)) > 6
    for line in "".join(tables).splitlines():
        assert re.search(r"`(tests/|test_)\w+", line.rpartition(" | ")[2]), line


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/.]+|test_[\w.]+|guest_memory)`", PAGE)
    assert len(named) > 40
    for one in named:
        assert one in NAMES or (ROOT / one).exists(), one


def test_page_is_one_page() -> None:
    assert len(PAGE.splitlines()) < 90
