# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The log tells who comes near the limit: once, with what to run, and within bounds."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from vmad.daemon.limit_log import LimitLog, PeakSeen
from vmad.daemon.line_bound import LINES
from vmad.daemon.messages import ATTRIBUTE
from vmad.model.process import ProcessId
from vmad.scan.crossings import Near

LIMIT = 65_530


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def near(count: int, pid: int = 1712, **more: Any) -> Near:
    return Near(ProcessId(pid, 1), "java", "search.service", count, **more)


def peak(count: int, pid: int = 1712) -> PeakSeen:
    return PeakSeen(ProcessId(pid, 1), "java", "search.service", count)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def fields(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    found: dict[str, str] = getattr(caplog.records[-1], ATTRIBUTE)
    return found


def test_a_threshold_says_who_how_fast_and_what_to_run(caplog: pytest.LogCaptureFixture) -> None:
    LimitLog().look([near(58_977, rate=212.0, left=30.9)], LIMIT)

    assert lines(caplog) == [
        "java (pid 1712, search.service) has 58,977 of 65,530 VMAs (90.0 %), +212/s, at the limit "
        "in 30.9 s; vmad explain 1712"
    ]
    told = fields(caplog)
    told.pop("MESSAGE_ID")
    assert told == {
        "VMAD_EVENT": "near-limit",
        "VMAD_PID": "1712",
        "VMAD_COMM": "java",
        "VMAD_GROUP": "search.service",
        "VMAD_AREAS": "58977",
        "VMAD_LIMIT": "65530",
        "VMAD_PERCENT": "90",
        "VMAD_RATE": "212.000",
        "VMAD_SECONDS_TO_LIMIT": "31",
        "VMAD_COMMAND": "vmad explain 1712",
    }


def test_at_the_limit_it_says_what_fails_and_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    LimitLog().look([near(LIMIT, rate=0.0, left=0.0)], LIMIT)

    assert lines(caplog) == [
        "at the limit: java (pid 1712, search.service) has 65,530 of 65,530 VMAs (100.0 %), +0/s: "
        "mmap, munmap, mprotect and new threads fail; vmad explain 1712"
    ]
    assert caplog.records[0].levelno == logging.ERROR
    assert fields(caplog)["VMAD_EVENT"] == "at-limit"
    assert fields(caplog)["VMAD_PERCENT"] == "100"


def test_what_is_unknown_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    LimitLog().look([near(60_000)], LIMIT)

    assert "/s" not in lines(caplog)[0]
    assert "VMAD_RATE" not in fields(caplog)


def test_a_process_that_stays_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    log = LimitLog()
    for count in (60_000, 60_001, 58_900, 60_000):
        log.look([near(count)], LIMIT)

    assert len(lines(caplog)) == 1


def test_a_guest_is_named_and_read_by_its_socket(caplog: pytest.LogCaptureFixture) -> None:
    LimitLog("web-1", " --target qemu:/run/web-1.sock").look([near(60_000)], LIMIT)

    assert lines(caplog)[0].endswith("; vmad explain 1712 --target qemu:/run/web-1.sock")
    assert fields(caplog)["VMAD_TARGET"] == "web-1"


def test_a_name_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    LimitLog().look([Near(ProcessId(1, 1), "ja\nva", "a\x1bb", 60_000)], LIMIT)

    assert lines(caplog)[0].startswith("ja\\x0ava (pid 1, a\\x1bb) has")


def test_a_burst_that_no_count_saw_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = LimitLog(clock=clock)
    log.look([], LIMIT, [peak(64_000)])
    log.look([], LIMIT, [peak(65_000)])

    assert lines(caplog) == [
        "burst: java (pid 1712, search.service) had 64,000 of 65,530 VMAs (97.7 %) between two "
        "counts; vmad scan"
    ]
    assert fields(caplog)["VMAD_EVENT"] == "burst"
    assert fields(caplog)["VMAD_AREAS"] == "64000"

    clock.now += 301
    log.look([], LIMIT, [peak(65_000)])
    assert len(lines(caplog)) == 2


def test_a_peak_of_a_process_that_is_there_to_be_seen_is_no_burst(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = LimitLog()
    log.look([near(60_000)], LIMIT, [peak(64_000)])
    log.look([near(60_000)], LIMIT, [peak(64_500)])
    log.look([near(50_000)], LIMIT, [peak(58_000)])  # less than nine tenths

    assert len(lines(caplog)) == 1


def test_a_host_where_everybody_is_near_writes_ten_lines_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    log = LimitLog(clock=clock)
    everybody = [near(60_000, pid) for pid in range(500)]
    log.look(everybody, LIMIT)
    assert len(lines(caplog)) == LINES

    clock.now += 60
    log.look([*everybody, near(65_530, 777)], LIMIT)
    assert lines(caplog)[-1].endswith("(490 other lines were left out)")
    assert len(lines(caplog)) == LINES + 1
