# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""docs/threat-model.md: every line of what somebody tries names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fuzz.parsers import PARSERS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")


def test_every_line_names_its_test_and_every_test_is_there() -> None:
    files = [*(ROOT / "tests").rglob("*.py")]
    written = {
        name
        for file in files
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    names = {file.name for file in files}
    for table in re.findall(
        r"^\| (?:tries|if it is).*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE
    ):
        for line in table.splitlines():
            told = line.rsplit(" | ", 1)[1]
            cited = re.findall(r"`([\w/.]+)`", told)
            assert cited, line
            for one in cited:
                known = one in written | PARSERS.keys() or one.rpartition("/")[2] in names
                assert known or (ROOT / one).exists(), f"{one} is not there: {line}"


def test_page_is_one_page() -> None:
    assert len(PAGE.splitlines()) < 90
