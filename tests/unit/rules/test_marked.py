# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Counts that hurt nobody leave no mark."""

from __future__ import annotations

import pytest

from vmad.rules.marked import LEAST, marked_from


@pytest.mark.parametrize(
    ("limit", "least"),
    [(65_530, LEAST), (1_048_576, LEAST), (None, LEAST), (1_600, 100), (3, 1)],
)
def test_least_count_that_is_marked(limit: int | None, least: int) -> None:
    assert marked_from(limit) == least
