# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The mark from which the kernel holds a control group up (memory.high), a tenth below what it has
and nothing to swap to: each 256 KiB that the daemon touches anew cost it up to two seconds
(mm/memcontrol.c, MEMCG_MAX_HIGH_DELAY_JIFFIES). Scans stall then; it answers, late, and is what it
was once the mark is gone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.daemons import Daemon, wait_for
from tests.memory_group import memory_group
from tests.other_users import open_to_everybody
from tests.siege.test_faults import QUICK, wait_for_scans

#: of the unit
MEMORY_MAX = 256 << 20
NO_LIMIT = 1 << 40


@pytest.mark.memory_high
@pytest.mark.root
def test_a_daemon_that_is_held_up_for_its_memory_answers_and_scans(tmp_path: Path) -> None:
    open_to_everybody(tmp_path)
    with (
        memory_group(MEMORY_MAX) as group,
        Daemon(tmp_path, QUICK, prefix=group.enter).ready() as daemon,
    ):
        wait_for_scans(daemon)
        before = group.held_up
        group.limit(group.used * 9 // 10, "memory.high")
        wait_for("it is held up", lambda: group.held_up > before)
        for path in ("/metrics", "/-/healthy", "/metrics"):
            wait_for(f"an answer of {path}", lambda path=path: answers(daemon, path))  # type: ignore[misc]
        group.limit(NO_LIMIT, "memory.high")
        wait_for_scans(daemon, 2)
        # put off while web.budget is used up
        wait_for("the page", lambda: daemon.status("/") == 200)
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


def answers(daemon: Daemon, path: str) -> bool:
    """False: not in time."""
    try:
        return daemon.status(path) == 200
    except TimeoutError:
        return False
