# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Failures at the limit are counted, and bursts seen, on every kernel, by each way that it allows:
tests/live/test_limit_failures.py and test_bursts.py at a lowered limit.

VMAD_TEST_KERNELS names other kernels than these.
"""

from __future__ import annotations

import os
import re

import pytest

from vmad.lab.run import run_in_guest

SERIES = os.environ.get("VMAD_TEST_KERNELS", "5.10 6.1 6.12 6.18 newest").split()
#: how bursts can be seen
BURSTS = {
    "5.10": set(),
    "6.1": {"fexit"},
    "6.12": {"fexit"},
    "6.18": {"lock", "fexit"},
    "newest": {"lock", "fexit"},
}
AT_A_LOWERED_LIMIT = """
echo 2000 >/proc/sys/vm/max_map_count
exec python3 -m pytest -q -p no:cacheprovider -rA \\
    tests/live/test_limit_failures.py tests/live/test_bursts.py
"""


@pytest.mark.parametrize("series", SERIES)
def test_failures_are_counted(series: str) -> None:
    done = run_in_guest(series, ["sh", "-c", AT_A_LOWERED_LIMIT])
    text = done.stdout.decode()

    assert done.status == 0, text[-8000:]
    passed = re.findall(r"^PASSED \S+::test_failure_at_the_limit_is_counted\[(\S+)\]", text, re.M)
    ways = {"sys_exit"} if series == "5.10" else {"sys_exit", "fexit"}
    assert {way for name in passed for way in name.split("-") if way in ways} == ways
    # 18 calls on 5.10, 21 on the newest
    assert len(passed) >= 18 * len(ways)
    seen = re.findall(r"^PASSED \S+::test_highest_count_is_exact_after_the_end\[(\w+)-", text, re.M)
    assert set(seen) == BURSTS[series]
