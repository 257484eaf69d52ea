# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What makes a stop of a target short: done before it, or to ourselves."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vmad.probe.refusals import Refused, TargetGone
from vmad.probe.target import Target, uninterruptible

#: seconds to wait, without having stopped anything, for threads in uninterruptible sleeps
_WAIT_FOR_SLEEPERS = 0.5
_SELINUX = "/sys/fs/selinux/enforce"


@contextmanager
def coming_first() -> Iterator[None]:
    """Run before whatever else wants a processor, where we may: for one stop, which is bounded.

    The target waits for us, and a thread of it that we have let go must not run before the others
    are let go too. What is done before and after a stop takes its turn with everybody else.
    """
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    first = make_first(0)
    try:
        yield
    finally:
        if first:
            os.sched_setscheduler(0, policy, parameter)


def ordinary_policy(tid: int) -> int | None:
    """The scheduling policy of a thread that may be made to run first for a moment.

    None for one that has a right of its own already, and one that could be punished for it
    (RLIMIT_RTTIME) or forbidden by a security module to go back by itself.
    """
    try:
        policy = os.sched_getscheduler(tid)
        limited = resource.prlimit(tid, resource.RLIMIT_RTTIME)[0] != resource.RLIM_INFINITY
    except OSError:
        return None
    if policy not in (os.SCHED_OTHER, os.SCHED_BATCH) or limited or os.path.exists(_SELINUX):
        return None
    return policy


def make_first(tid: int) -> bool:
    """Have a thread run before whatever shares its processor; whether that was allowed."""
    try:
        os.sched_setscheduler(tid, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    return True


def move_near(pid: int) -> None:
    """Run on the processor of the thread that will most likely be borrowed.

    Each call in the target is a change from us to it and back: on one processor that takes a few
    µs, between two of a virtual machine an interrupt each way (measured: 93 µs).
    """
    with suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
        processor = int(text[text.rindex(b")") + 2 :].split()[36])
        os.sched_setaffinity(0, {processor})


def await_sleepers(target: Target) -> None:
    """Wait a little for threads in uninterruptible sleep. Raises Refused, TargetGone."""
    ends = time.monotonic() + _WAIT_FOR_SLEEPERS
    while sleepers := _sleepers(target.pid):
        if time.monotonic() > ends:
            raise Refused(
                f"process {target.pid}: thread {sleepers[0]} is in an uninterruptible sleep and "
                "cannot be stopped",
                "try again later",
            )
        time.sleep(0.01)


def _sleepers(pid: int) -> list[int]:
    try:
        return uninterruptible(pid)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise TargetGone(f"process {pid} is gone") from error
