# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The stacks of programs that this machine has reach the beginning of their threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.blame.stacks import ASKED, EVERY, Load, recorded

pytestmark = pytest.mark.bpf


@pytest.mark.parametrize("load", [load for load in EVERY if load.there], ids=lambda load: load.name)
def test_nine_in_ten_stacks_are_whole(load: Load, tmp_path: Path) -> None:
    blamed = recorded(load, tmp_path, list)

    assert blamed.stacks >= 10
    assert blamed.complete_stacks is not None
    assert blamed.complete_stacks >= ASKED * blamed.stacks
    assert blamed.complete >= ASKED * blamed.told
    assert blamed.told > blamed.map_count / 2
