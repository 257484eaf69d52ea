# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Evidence that is lost and comes back is told, at a pace; so is a rhythm that is stretched."""

from __future__ import annotations

import pytest

from vmad.daemon.evidence_log import EvidenceLog
from vmad.daemon.messages import ATTRIBUTE


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(record, ATTRIBUTE)["VMAD_EVENT"] for record in caplog.records]


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def test_what_is_lost_and_back_is_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = EvidenceLog(clock)
    for why in (None, "it hangs", "it hangs", "otherwise", None, None):
        clock.now += 100
        log.are({"kernel": why})

    assert [record.getMessage() for record in caplog.records] == [
        "evidence is lost: kernel: it hangs",
        "evidence is back: kernel",
    ]
    assert getattr(caplog.records[0], ATTRIBUTE)["VMAD_WHY"] == "it hangs"


def test_what_comes_and_goes_each_second_is_told_once_a_minute_and_rightly_in_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    log = EvidenceLog(clock)
    for second in range(600):
        clock.now += 1
        log.is_("samples", "no memory" if second % 2 else None)
    assert 5 <= len(events(caplog)) <= 11

    clock.now += 60
    log.is_("samples", None)
    assert events(caplog)[-1] == "evidence-back"


def test_what_was_missing_from_the_start_is_told_when_it_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = EvidenceLog(Clock())
    log.begin({"bursts": "no BTF", "kernel": None})
    log.are({"bursts": "no BTF", "kernel": None})
    assert events(caplog) == []

    log.are({"bursts": None, "kernel": None})
    assert events(caplog) == ["evidence-back"]


def test_what_nobody_wants_is_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    EvidenceLog(Clock()).are(
        {"bursts": "switched off (scan.bursts)", "events": "process events: not started yet"}
    )

    assert events(caplog) == []


def test_a_stretched_interval_is_told_when_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    log = EvidenceLog(Clock())
    for interval in (15, 60, 15, 60, 60, 60, 60, 20, 15, 25, 15, 15, 15, 15):
        log.rhythm(interval, 15)

    assert events(caplog) == ["stretched", "rhythm-back"]
    assert caplog.records[0].getMessage().startswith(
        "scans take more than scan.budget: one in 1 min 0 s instead of 15 s"
    )  # fmt: skip
