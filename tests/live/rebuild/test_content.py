# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A process that never rests, rebuilt and rebuilt: no byte is ever another. See content_load.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.emulated import EMULATED
from tests.live.rebuild.content_load import compiled, run, told

pytestmark = [pytest.mark.bpf, pytest.mark.moves]

SECONDS = 400 if EMULATED else 15


def test_no_byte_changes_while_all_of_them_change(tmp_path: Path) -> None:
    load = run(compiled(tmp_path), SECONDS, seed=1)
    print(told(load))

    assert load.before is not None
    assert load.after is not None
    assert (load.after.wrong, load.after.wrong_children) == (0, 0)
    assert load.after.files == load.before.files
    assert not [outcome for outcome in load.parts if outcome.startswith("changed")]
    assert load.vmas["rebuilt"] > load.parts["rebuilt"] > 0
