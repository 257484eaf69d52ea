# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every document is what its golden says; a wanted change is taken over by ``make goldens``."""

from __future__ import annotations

import pytest

from tests.unit.goldens.documents import DOCUMENTS, WIDTHS, explanation
from tests.unit.goldens.renew import EXPECTED
from tests.unit.goldens.terminal import picture


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_is_as_its_golden(name: str) -> None:
    expected = (EXPECTED / name).read_text(encoding="utf-8").splitlines()
    assert DOCUMENTS[name]().splitlines() == expected, "wanted? make goldens, and read git diff"


def test_every_golden_belongs_to_a_document() -> None:
    assert {path.name for path in EXPECTED.iterdir()} == set(DOCUMENTS)


def test_picture_shows_what_a_terminal_does_with_a_long_line() -> None:
    drawn = picture(["\x1b[1mabcdefghijklmnop\x1b[0m", ""], 15).splitlines()
    assert drawn == [
        "┌── 15 columns ─┐",
        "│abcdefghijklmno│",
        "│p              │ goes on",
        "│               │",
        "└───────────────┘",
        "line 1, bold: abcdefghijklmnop",
    ]


@pytest.mark.parametrize("columns", [columns for columns in WIDTHS if columns >= 80])
def test_prose_fits_the_terminal(columns: int) -> None:
    assert "goes on" not in explanation(columns)
