# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The different values of a column."""

from __future__ import annotations

import numpy as np
import pytest

from vmad.model.distinct import distinct


@pytest.mark.parametrize("values", [[], [3], [3, 1, 3, 2, 1], [2**64 - 1, 0, 2**63]])
def test_each_value_comes_once_and_ascending(values: list[int]) -> None:
    found = distinct(np.array(values, np.uint64))

    assert found.dtype == np.uint64
    assert found.tolist() == sorted(set(values))
