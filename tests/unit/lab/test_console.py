# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What on a guest's console fails a run, and what does not."""

from __future__ import annotations

import pytest

from vmad.lab.guest.console import first_alarm, last_lines, lines_of, report_from

REPORTS = [
    "[    7.533586] Kernel panic - not syncing: sysrq triggered crash",
    "[   12.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "[   12.000000] Oops: 0002 [#1] PREEMPT SMP NOPTI",
    "[   12.000000] Oops: general protection fault, probably for non-canonical address: 0000 [#1]",
    "[   12.000000] kernel BUG at mm/vma.c:332!",
    "[   12.000000] general protection fault, probably for non-canonical address 0xdead: 0000",
    "[   12.000000] BUG: KASAN: slab-use-after-free in vma_merge+0x1/0x2",
    "[   12.000000] BUG: sleeping function called from invalid context at mm/mmap.c:1",
    "[   12.000000] UBSAN: array-index-out-of-bounds in mm/vma.c:12:3",
    "[   12.000000][  T123] WARNING: possible circular locking dependency detected",
    "[   12.000000] WARNING: suspicious RCU usage",
    "[   12.000000] WARNING: inconsistent lock state",
    "[   12.000000] WARNING: CPU: 1 PID: 77 at mm/vma.c:1137 vma_merge+0x10/0x20",
    "[   12.000000] WARNING: mm/vma.c:1137 at vma_merge+0x10/0x20, CPU#1: python3/77",
]
HARMLESS = [
    '[    2.300516] Unstable clock detected, switching default tracing clock to "global"',
    "[   60.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [python3:77]",
    "[   60.000000] rcu: INFO: rcu_preempt self-detected stall on CPU",
    "[   60.000000] python3[77]: segfault at 8 ip 0000 sp 0000 error 4 in libc.so.6",
    "[   60.000000] traps: a.out[9] general protection fault ip:1 sp:2 error:0",
    "[   60.000000] Out of memory: Killed process 77 (python3)",
    "[    1.000000] MDS CPU bug present and SMT on, data leak possible.",
]


@pytest.mark.parametrize("line", REPORTS)
def test_kernel_fault_reports_are_recognised(line: str) -> None:
    assert first_alarm(["[    0.0] quiet", line]) == 1


@pytest.mark.parametrize("line", HARMLESS)
def test_what_a_healthy_kernel_may_say_is_no_fault(line: str) -> None:
    assert first_alarm([line]) is None


def test_control_sequences_and_empty_lines_vanish() -> None:
    console = b"\x1bc\x1b[?7l\x1b[2J[    1.0] one\r\n\r\n[    2.0] two \xff\r\n"
    assert lines_of(console) == ["[    1.0] one", "[    2.0] two \ufffd"]


def test_report_begins_with_what_was_said_before_it_and_has_an_end() -> None:
    """The panic for the end of PID 1 does not name the cause; PID 1 does, a few lines above."""
    lines = [*map(str, range(20)), "can't open agent.py", "Kernel panic", *["trace"] * 99]
    shown = report_from(lines, 21, before=3, count=2).splitlines()
    assert shown == ["18", "19", "can't open agent.py", "Kernel panic", "trace"]
    assert report_from(["BUG: x", "trace"], 0) == "BUG: x\ntrace"


def test_last_lines_are_the_end_of_the_console() -> None:
    assert last_lines([str(n) for n in range(100)], 2) == "98\n99"
