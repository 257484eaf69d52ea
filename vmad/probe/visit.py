# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A borrowed thread that runs code of ours, in an area of its own that goes away with it.

Driving a rebuild call by call from outside would leave pages on their way if the tracer died
between two calls. So the target gets the whole sequence as code (payload/rebuild.c) and runs it by
itself; from its first instruction on it does not matter to it whether we live.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib import resources

from ptrace.binding.func import PTRACE_CONT

from vmad.architecture.known import needed
from vmad.probe.calls import call, get_registers
from vmad.probe.gadget import read_memory, write_memory
from vmad.probe.inject import Borrowed
from vmad.probe.processor import borrowing_here, calls_here
from vmad.probe.refusals import LeftChanged, Refused, TargetGone
from vmad.probe.tracing import PTRACE_EVENT_STOP, PTRACE_INTERRUPT
from vmad.rules.carried import Carried

_READ_WRITE, _READ_EXEC = 3, 5
_PRIVATE_ANONYMOUS_NEW = 0x100022  #: with MAP_FIXED_NOREPLACE
_WALL = 0x4000_0000
_POLL = 50e-6
#: seconds after which code of ours that does not end is a defect
_FOR_EVER = 60.0

#: VMAs of one plan: their beginnings lie in the area
MAX_CUTS = 4096
_ADVICE = 8
#: struct visit of payload/rebuild.c: the plan, the stack pointer to leave with, done, running
_PLAN = struct.Struct("<7Q4I8I2I2QiI2Q")
_TAIL = struct.Struct("<Q2I")
_ANSWER = struct.Struct("<QiI2Q")
_END = struct.Struct("<8xQ")
_ANSWER_AT, _DONE_AT = _PLAN.size - _ANSWER.size, _PLAN.size + 8
_RUNNING_AT, _RUNS = _DONE_AT + 4, struct.pack("<I", 1)
_PAGEMAP = b"/proc/self/pagemap\0"
_STACK = 16 << 10


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


_PATH_AT = _PLAN.size + _TAIL.size
_CUTS_AT = -(-(_PATH_AT + len(_PAGEMAP)) // 8) * 8
_DATA = _pages(_CUTS_AT + 8 * MAX_CUTS + _STACK)
_CODE = _pages(1 << 13)
#: bytes of the area
AREA = _CODE + _DATA


class Step(IntEnum):
    """enum plan_step of examples/rebuild/core.h: where a rebuild ended."""

    DONE = 0
    SEED = 2
    REGISTER = 3
    ZERO = 4
    MOVE = 5
    COMMIT = 6


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run [start, end): ``cuts`` are where its VMAs begin, but for the first.

    ``seed``: a free page below with free pages around it, or 0. ``below``: where the VMA begins
    that the run is to become a part of, or 0. ``zero_pages``: pages that may stop being the zero
    page, since each takes a frame then.
    """

    start: int
    end: int
    cuts: Sequence[int]
    carried: Carried
    seed: int
    below: int
    zero_pages: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """[start of the run, ``end``) is rebuilt if ``moved``, which are bytes, is not 0.

    ``error``: errno or 0; ``at``: the page that was not moved; ``zero_pages``: what is left.
    """

    error: int
    step: Step
    at: int
    end: int
    moved: int
    zero_pages: int


def payload() -> bytes:
    """The code. Raises Refused where it was not built."""
    name = f"rebuild.{needed(os.uname().machine, 'rebuilding').machine}.bin"
    try:
        code = resources.files("vmad.probe.payload").joinpath(name).read_bytes()
    except FileNotFoundError as error:
        raise Refused(
            f"vmad/probe/payload/{name} is missing", "run `make setup` to build it"
        ) from error
    assert len(code) <= _CODE
    return code


class Visit(Borrowed):
    """Enter, rebuild any number of runs, leave. Raises TargetGone on SIGKILL (as PtraceError)."""

    _area = 0

    @property
    def running(self) -> int:
        """The address of a word that holds 1 while code of ours runs."""
        return self._area + _CODE + _RUNNING_AT

    def enter(self, area: int, code: bytes) -> None:
        """Make the area at a free address. Raises Refused; nothing has changed then."""
        self.prepare((calls_here().munmap, area, AREA, 0), hurry=True)
        assert self._chain is not None
        got = self.make(calls_here().mmap, area, AREA, _READ_WRITE, _PRIVATE_ANONYMOUS_NEW, -1, 0)
        if got != area:
            why = os.strerror(-got).lower() if got < 0 else "another place was given"
            self.restore()
            raise Refused(
                f"no room for {AREA >> 10} KiB of code in the target: {why}",
                "it needs 10 VMAs below vm.max_map_count (`vmad heal PID --apply` needs none)",
            )
        self._area = area
        write_memory(self.tid, area, code)
        error = self.make(calls_here().mprotect, area, _CODE, _READ_EXEC)
        if error:
            self.leave()
            raise Refused(
                f"the target may not run new code: {os.strerror(-error).lower()}",
                "a security module, or prctl(PR_SET_MDWE), forbids it",
            )

    def rebuild(self, plan: RunPlan, deadline: int) -> Outcome:
        """Have a run rebuilt, or as much of it as is moved by ``deadline``, ns of CLOCK_MONOTONIC.

        Raises LeftChanged when the code does not come back.
        """
        assert self._chain is not None
        data = self._area + _CODE
        advice = plan.carried.advice + (0,) * (_ADVICE - len(plan.carried.advice))
        content = _PLAN.pack(
            plan.start, plan.end, mmap.PAGESIZE, plan.seed, plan.below, data + _CUTS_AT,
            data + _PATH_AT, len(plan.cuts), plan.carried.protection, plan.carried.mapping,
            len(plan.carried.advice), *advice, plan.carried.lock, 1, deadline, plan.zero_pages,
            0, 0, 0, 0,
        ) + _TAIL.pack(self._chain.address, 0, 0) + _PAGEMAP  # fmt: skip
        content += bytes(_CUTS_AT - len(content)) + struct.pack(f"<{len(plan.cuts)}Q", *plan.cuts)
        write_memory(self.tid, data, content)
        working = self.aim(self._area, data + _DATA - 256)
        here = borrowing_here()
        here.write(working, here.arguments[0], data)
        self.release()
        # last: from here on it runs even if we die, and the others wait for it
        write_memory(self.tid, self.running, _RUNS)
        call(PTRACE_CONT, self.tid)
        self._await_done(data + _DONE_AT)
        call(PTRACE_INTERRUPT, self.tid)
        while (status := self._wait()) >> 16 != PTRACE_EVENT_STOP:
            self._note(status)
            call(PTRACE_CONT, self.tid)
        at = here.read(get_registers(self.tid), "instruction")
        if not self._area <= at < self._area + _CODE:
            # we were not given a processor for a second, and it has gone its way
            self._chain = None
            raise Refused("the borrowed thread did not wait long enough", "try again")
        answer = read_memory(self.tid, data, _PLAN.size)
        (end,) = _END.unpack_from(answer)
        zero_pages, error, step, at, moved = _ANSWER.unpack_from(answer, _ANSWER_AT)
        return Outcome(error, Step(step) if error else Step.DONE, at, end, moved, zero_pages)

    def _await_done(self, flag: int) -> None:
        ends = time.monotonic() + _FOR_EVER
        while read_memory(self.tid, flag, 4) == bytes(4):
            found, status = os.waitpid(self.tid, _WALL | os.WNOHANG)
            if found:
                if not os.WIFSTOPPED(status):
                    raise TargetGone(f"thread {self.tid} was killed in the middle")
                self._note(status)
                call(PTRACE_CONT, self.tid)
            elif time.monotonic() > ends:
                self._chain = None  # it runs, and will leave by itself
                raise LeftChanged(f"thread {self.tid} has not ended its rebuild")
            else:
                time.sleep(_POLL)

    def leave(self) -> None:
        """Unmap the area and restore the thread."""
        if self._chain is not None and self._area:
            self.make(calls_here().munmap, self._area, AREA, last=True)
            self._area = 0
        self.restore()
