# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Numbers are written as a person reads them, and never round to a lie."""

from __future__ import annotations

import pytest

from vmad.export.quantities import count, counted, duration, percent, size
from vmad.export.text_table import aligned


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.0 %"),
        (0.00001, "<0.1 %"),
        (0.9161, "91.6 %"),
        (0.99999, "99.9 %"),
        (1.0, "100.0 %"),
        (1.00002, "100.0 %"),
        (None, "–"),
    ],
)
def test_shares(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(512, "512 B"), (8192, "8 KiB"), (1536, "1.5 KiB"), (8 << 20, "8 MiB"), (1 << 46, "64 TiB")],
)
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12 ms"),
        (1.5, "1.5 s"),
        (61, "1 min 1 s"),
        (7260, "2 h 1 min"),
        (1e6, "11 days 13 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts() -> None:
    assert (count(60012), count(None)) == ("60,012", "–")
    assert (counted(1, "process", "processes"), counted(2, "pair")) == ("1 process", "2 pairs")


def test_columns_line_up_whatever_is_in_them() -> None:
    assert aligned([("a", "1", "x"), ("漢", "10", "y")], "lrl") == ["a    1  x", "漢  10  y"]
