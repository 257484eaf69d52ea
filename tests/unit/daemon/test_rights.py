# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Rights are given up when reading works without them, and kept when it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import threading, time
import numpy as np
from vmad.daemon.rights import give_up_after_start
from vmad.errors import CannotRead
from vmad.model.process import Evidence
from vmad.sources.rights import effective_capabilities
from vmad.sources.source import CENSUS_ROW, SourceBase


class Imagined(SourceBase):
    evidence = Evidence.{evidence}

    def census(self):
        {census}
        rows = np.zeros(1, dtype=CENSUS_ROW)
        rows["pid"], rows["start_time"] = 7, 9
        return rows

    def summarise(self, processes):
        assert processes == [(7, 9)]
        return iter(())

    def table(self, process):
        assert process == (7, 9)


left = give_up_after_start(Imagined(), 0.5)
inherited = []
thread = threading.Thread(target=lambda: inherited.append(effective_capabilities()))
thread.start(); thread.join()
assert inherited == [left]
print(*left)
"""

LASTING = {"CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_DAC_OVERRIDE"}
LOADING = {"CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN"}


def _left(evidence: str, census: str) -> set[str]:
    """What a process of its own keeps: rights that are given up do not come back."""
    script = _SCRIPT.format(evidence=evidence, census=census)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_what_works_without_is_given_up() -> None:
    left = _left("KERNEL", "pass")

    assert not left & LOADING
    assert left <= LASTING


@pytest.mark.parametrize(
    "census", ["raise CannotRead('bpf(2): Operation not permitted')", "time.sleep(30)"]
)
def test_what_is_refused_or_hangs_without_is_kept(census: str) -> None:
    """As on kernels before 5.18 with kernel.unprivileged_bpf_disabled."""
    had = _left("KERNEL", "raise OSError(1, 'no')")

    assert _left("KERNEL", census) == had
    assert had >= {"CAP_BPF", "CAP_PERFMON"}


def test_procfs_evidence_keeps_the_right_that_opens_maps() -> None:
    assert _left("PROCFS", "pass") & LOADING == {"CAP_PERFMON"}
