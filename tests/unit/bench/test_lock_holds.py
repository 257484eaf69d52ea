# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Holds of mmap_lock out of the text of a trace, as trace events of 6.18 are printed."""

import pytest

from bench.lock_holds import Hold, holds

ACQUIRED = "mmap_lock_acquire_returned: mm=00000000{mm} memcg_id=7 write={write} success={success}"
RELEASED = "mmap_lock_released: mm=00000000{mm} memcg_id=7 write={write}"
SWITCH = (
    "sched_switch: prev_comm=a-b prev_pid={a} prev_prio=120 prev_state=R ==> "
    "next_comm=x next_pid={b} next_prio=120"
)


def event(tid: int, time: str, text: str) -> str:
    return f"       vmad-scan-{tid:<7} [001] d..2.  {time}: {text}\n"


def acquired(tid: int, time: str, mm: str, write: str = "false", success: str = "true") -> str:
    return event(tid, time, ACQUIRED.format(mm=mm, write=write, success=success))


def released(tid: int, time: str, mm: str, write: str = "false") -> str:
    return event(tid, time, RELEASED.format(mm=mm, write=write))


def test_a_hold_lasts_from_its_acquisition_to_its_release() -> None:
    trace = acquired(7, "10.000", "aa") + released(7, "10.250", "aa")
    assert holds("# tracer: nop\n" + trace) == [Hold(7, "00000000aa", False, 0.25, 0.0)]


def test_holds_of_two_threads_and_two_locks_do_not_mix() -> None:
    trace = (
        acquired(7, "1.000000", "aa")
        + acquired(8, "1.000001", "aa")
        + acquired(7, "1.000002", "bb")
        + released(8, "1.000003", "aa")
        + released(7, "1.000005", "bb")
        + released(7, "1.000009", "aa")
    )
    found = [(hold.tid, hold.mm[-2:], round(hold.seconds * 1e6)) for hold in holds(trace)]
    assert found == [(8, "aa", 2), (7, "bb", 3), (7, "aa", 9)]


def test_time_off_the_core_is_told_apart() -> None:
    trace = (
        acquired(7, "1.000000", "aa")
        + event(7, "1.000010", SWITCH.format(a=7, b=99))
        + event(99, "1.000060", SWITCH.format(a=99, b=7))
        + released(7, "1.000070", "aa")
    )
    (hold,) = holds(trace)
    assert hold.seconds == pytest.approx(70e-6)
    assert hold.switched_off == pytest.approx(50e-6)


def test_a_lock_that_was_only_tried_for_is_no_hold() -> None:
    assert holds(acquired(7, "1.0", "aa", success="false") + released(7, "2.0", "aa")) == []


def test_a_half_outside_the_trace_is_left_out() -> None:
    assert holds(released(7, "1.0", "aa") + acquired(7, "2.0", "aa")) == []
