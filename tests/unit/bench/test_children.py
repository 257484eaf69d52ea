# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What one part of the benchmark leaves behind is not there in the next."""

import subprocess
import sys

import pytest

#: a child that ends, or stays, of which nobody knows
LEFT = """
import os, sys, time
from bench.children import CannotMeasure, wait_for_all
if not (child := os.fork()):
    time.sleep({sleeps})
    os._exit(0)
try:
    wait_for_all({seconds})
except CannotMeasure:
    os.kill(child, 9)
    sys.exit(3)
try:
    os.waitpid(child, os.WNOHANG)
except ChildProcessError:
    sys.exit(0)
sys.exit(1)
"""


@pytest.mark.parametrize(("sleeps", "seconds", "status"), [(0.1, 60, 0), (60, 0.1, 3)])
def test_the_next_part_waits_for_every_process_of_the_one_before(
    sleeps: float, seconds: float, status: int
) -> None:
    program = LEFT.format(sleeps=sleeps, seconds=seconds)
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == status
