# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table of a scan's instructions: each round is compared with itself."""

from __future__ import annotations

from bench.instructions import told


def test_a_row_has_the_medians_and_the_ratio_of_the_rounds() -> None:
    counted = {"scan": [2.0, 3.0, 4.0], "cat": [4.0, 4.0, 10.0]}
    row, ratio = told("6.12", {**counted, "vmas": [22488], "processes": [63]})

    assert row == "| 6.12 | 63 | 22,488 | 3.0 | 4.0 | 0.500 (0.450 to 0.625) |"
    assert ratio.median == 0.5
