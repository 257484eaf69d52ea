# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Readings that an execve interrupts."""

from __future__ import annotations

import numpy as np
import pytest

from vmad.errors import ProcessGone, StillChanging
from vmad.model.process import Evidence, ProcessId
from vmad.model.table import VMA_ROW, VmaTable
from vmad.sources.another_program import through_exec

PROCESS = ProcessId(7, 1)
TABLE = VmaTable(PROCESS, "late", Evidence.KERNEL, 0, np.empty(0, VMA_ROW))


class Reading:
    """One that says ``times`` that the process is gone, then what there is."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self) -> VmaTable:
        if self.times == 0:
            return TABLE
        self.times -= 1
        raise ProcessGone("process 7: it exited or started another program in the middle")


def test_a_process_that_lives_is_read_again() -> None:
    assert through_exec(PROCESS, Reading(3), lambda: True) is TABLE


def test_one_that_does_not_is_told_as_gone_at_once() -> None:
    reading = Reading(3)
    with pytest.raises(ProcessGone):
        through_exec(PROCESS, reading, lambda: False)
    assert reading.times == 2


def test_one_that_starts_programs_without_a_pause_is_told_as_changing() -> None:
    with pytest.raises(StillChanging, match="process 7: it started another program"):
        through_exec(PROCESS, Reading(1000), lambda: True)
