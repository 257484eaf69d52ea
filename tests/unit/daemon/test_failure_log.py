# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Failures at the limit are logged as they come, and cannot flood the log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vmad.daemon.failures import FailureLog
from vmad.daemon.line_bound import LINES
from vmad.daemon.messages import ATTRIBUTE
from vmad.model.failures import LimitFailure
from vmad.model.process import ProcessId

FAILURE = LimitFailure(
    ProcessId(1712, 1), "java", "search.service", "mmap", "ENOMEM", 1, 100.0, 65_531, 65_530
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_line_says_who_failed_by_what_and_where(caplog: pytest.LogCaptureFixture) -> None:
    FailureLog()(replace(FAILURE, comm="ja\nva", count=1_203))

    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "at the limit: ja\\x0ava (pid 1712, search.service): mmap failed with ENOMEM at "
        "65,531 VMAs of 65,530, 1,203 times; vmad explain 1712"
    )
    fields = getattr(caplog.records[0], ATTRIBUTE)
    assert (fields["VMAD_EVENT"], fields["VMAD_CALL"]) == ("failed", "mmap")
    assert (fields["VMAD_ERROR"], fields["VMAD_COUNT"]) == ("ENOMEM", "1203")


def test_who_is_gone_cannot_be_explained(caplog: pytest.LogCaptureFixture) -> None:
    FailureLog(runs=lambda process: False)(FAILURE)

    assert caplog.records[0].getMessage().endswith("of 65,530; vmad scan")


def test_the_same_failure_is_told_again_after_five_minutes_with_what_was_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    log = FailureLog(clock)
    log(FAILURE)
    for _ in range(100):
        clock.now += 1
        log(FAILURE)
    assert len(caplog.records) == 1
    clock.now += 300
    log(FAILURE)
    assert caplog.records[-1].getMessage().endswith("(100 other failures were not logged)")
    clock.now += 300
    log(FAILURE)
    assert caplog.records[-1].getMessage().endswith("of 65,530; vmad explain 1712")


def test_a_host_that_fails_everywhere_writes_ten_lines_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    log = FailureLog(clock)
    for number in range(1000):
        log(replace(FAILURE, process=ProcessId(number, 1)))
    assert len(caplog.records) == LINES
    clock.now += 60
    log(replace(FAILURE, process=ProcessId(5000, 1)))
    assert "990 other failures" in caplog.records[-1].getMessage()
