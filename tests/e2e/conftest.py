# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.targets import Target

LIMIT = Path("/proc/sys/vm/max_map_count")


@pytest.fixture
def victim() -> Iterator[Target]:
    """A child whose address space a test drives; its comm is ``vmad-victim``."""
    with Target("vmad-victim") as target:
        yield target


@pytest.fixture
def lowered_limit() -> Iterator[int]:
    """vm.max_map_count a little lower than it was: nobody else on the machine is near it."""
    before = int(LIMIT.read_text())
    lowered = before - before // 50
    LIMIT.write_text(str(lowered))
    try:
        yield lowered
    finally:
        LIMIT.write_text(str(before))
