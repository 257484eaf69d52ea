# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is kept is written by one thread at a time, and by nobody after the last time."""

from __future__ import annotations

import threading

from vmad.daemon.keeping import Keeping


def test_what_is_written_between_scans_and_at_the_end_is_told_apart() -> None:
    written: list[tuple[bool, bool]] = []
    keeping = Keeping(lambda everything, last: written.append((everything, last)))

    keeping.now(False)
    keeping.now()
    keeping.last()

    assert written == [(False, False), (True, False), (True, True)]


def test_nothing_is_begun_after_the_last_time() -> None:
    written: list[bool] = []
    keeping = Keeping(lambda everything, last: written.append(last))

    keeping.last()
    keeping.now()

    assert written == [True]


def test_the_last_time_waits_for_who_is_writing() -> None:
    begun, go_on = threading.Event(), threading.Event()
    steps: list[str] = []

    def write(everything: bool, last: bool) -> None:
        name = "last" if last else "scan"
        steps.append(f"{name} begins")
        begun.set()
        assert go_on.wait(60)
        steps.append(f"{name} ends")

    keeping = Keeping(write)
    scan = threading.Thread(target=keeping.now)
    scan.start()
    assert begun.wait(60)
    end = threading.Thread(target=keeping.last)
    end.start()
    end.join(0.2)
    assert steps == ["scan begins"]
    go_on.set()
    scan.join(60)
    end.join(60)

    assert steps == ["scan begins", "scan ends", "last begins", "last ends"]
