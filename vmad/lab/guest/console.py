# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Recognises in a guest's console what must fail a run: panics, oopses, debug tools' reports."""

from __future__ import annotations

import re

# The first words of each report, from the kernel's own sources. Stalls and soft lockups are left
# out: under software emulation on a busy host they say something about the host only.
_ALARMS = re.compile(
    r"Kernel panic - not syncing"  # kernel/panic.c
    r"|Oops: |Oops\[#"  # arch/*/kernel/{dumpstack,traps}.c
    r"|BUG: (?!workqueue lockup|soft lockup)"  # page faults, sleeping while atomic, KASAN, KFENCE
    r"|kernel BUG at "  # lib/bug.c
    r"|general protection fault, "  # arch/x86/kernel/traps.c: the kernel's own, not a program's
    r"|WARNING: (?:possible |suspicious |inconsistent |bad |lock held |Nested lock)"  # lockdep
    r"|WARNING: (?:CPU: \d+ PID: \d+ at |[\w/.-]+:\d+ at )"  # WARN_ON, lib/bug.c; 6.18 the latter
    r"|INFO: trying to register non-static key"  # kernel/locking/lockdep.c
    r"|UBSAN: "  # lib/ubsan.c
    r"|KCSAN: |KMSAN: "
    r"|Out of memory and no killable processes"  # mm/oom_kill.c
)
_TIMESTAMP = re.compile(r"^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
# Terminal control sequences that the firmware sends.
_CONTROL = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1bc|[\x00-\x08\x0b-\x1f\x7f]")


def lines_of(console: bytes) -> list[str]:
    """A console's text without control sequences and empty lines."""
    text = _CONTROL.sub("", console.decode(errors="replace"))
    return [line.rstrip() for line in text.split("\n") if line.strip()]


def first_alarm(lines: list[str]) -> int | None:
    """The index of the first line that begins a report which must fail the run."""
    for number, line in enumerate(lines):
        if _ALARMS.match(_TIMESTAMP.sub("", line)):
            return number
    return None


def last_lines(lines: list[str], count: int = 20) -> str:
    """The end of a console, for a message."""
    return "\n".join(lines[-count:])


def report_from(lines: list[str], start: int, before: int = 12, count: int = 60) -> str:
    """A report's text, with some lines from before its first one.

    A panic for the end of PID 1 tells nothing of the cause; what PID 1 said before does.
    """
    return "\n".join(lines[max(0, start - before) : start + count])
