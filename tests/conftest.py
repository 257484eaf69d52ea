# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Settings that every test shares."""

from __future__ import annotations

import pytest
from hypothesis import settings

from vmad.model.kernel import running_kernel
from vmad.rules.rebuild import SINCE as MOVES_SINCE

# A deadline per example says how busy the machine is, not whether the code is right.
settings.register_profile("vmad", deadline=None)
settings.load_profile("vmad")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this kernel cannot do, or what is for kernels that cannot: never a skip."""
    left_out = "moves_not" if running_kernel().version[:2] >= MOVES_SINCE else "moves"
    out = [item for item in items if item.get_closest_marker(left_out)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]
