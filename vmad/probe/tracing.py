# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Stopping all threads of a process by PTRACE_SEIZE, and letting them go as they were.

PTRACE_SEIZE stops nothing and sends no signal; PTRACE_INTERRUPT stops a thread as a stop signal
would, without one (ptrace(2)). PTRACE_O_EXITKILL is never set: when this process dies, the kernel
detaches and the target lives. Only this module and inject.py call ptrace.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ptrace.binding.func import PTRACE_CONT, PTRACE_DETACH
from ptrace.binding.linux_struct import user_regs_struct
from ptrace.error import PtraceError

from vmad.architecture.borrowing import signed
from vmad.probe.calls import call, get_registers, set_registers
from vmad.probe.gadget import read_memory
from vmad.probe.pending_call import PendingCall, read_pending
from vmad.probe.processor import borrowing_here
from vmad.probe.refusals import DidNotStop, Refused, TargetGone
from vmad.probe.target import Target, may_not_trace

# python-ptrace 0.9.9 has no names for these (include/uapi/linux/ptrace.h)
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
PTRACE_EVENT_STOP = 128
PTRACE_O_TRACESYSGOOD = 1

_WALL = 0x4000_0000
_EPERM, _EINTR, _ESRCH = 1, 4, 3
_ERESTARTNOHAND = -514
#: seconds between two rings of an alarm, but at most that share of the time, and rings that end a
#: wait
_RING_EVERY, _RING_SHARE, _RINGS = 0.004, 0.1, 4
#: seconds to wait for threads that did not stop in time, the others running again: in all, and
#: until the next look whether those that are left are in an uninterruptible sleep
_LATE, _LATE_ROUND = 30.0, 0.5


@dataclass(frozen=True, slots=True)
class Stopped:
    """A thread in a ptrace stop, with its registers as they were."""

    tid: int
    registers: user_regs_struct

    @property
    def in_system_call(self) -> bool:
        """Whether it was stopped on the way out of a system call that will be begun again."""
        here = borrowing_here()
        if here.call_again is None:
            return signed(here.read(self.registers, "begun")) >= 0
        try:
            at = here.read(self.registers, "instruction")
            return read_memory(self.tid, at, len(here.call_again)) == here.call_again
        except OSError:
            return False

    @property
    def is_prolonged(self) -> bool:
        """Whether its call begins with the whole timeout if it is borrowed."""
        here = borrowing_here()
        return here.read(self.registers, "number") in here.prolonged


class Deadline:
    """A timer that makes waitpid() give up; a context for one stop."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._waiting = False
        self._rings = 0
        self._old = signal.signal(signal.SIGALRM, self._ring)
        # again and again: one that rings just before waitpid() begins to sleep is lost
        every = min(_RING_EVERY, seconds * _RING_SHARE)
        signal.setitimer(signal.ITIMER_REAL, seconds, every)

    def _ring(self, *_: object) -> None:
        if self._waiting and time.monotonic() >= self._ends:
            # a virtual machine may itself have stood still, and the thread with it
            self._rings += 1
            if self._rings >= _RINGS:
                self._waiting = False
                raise TimeoutError

    def wait(self, tid: int) -> int:
        """Status of the next stop or end of a thread. Raises TimeoutError, ChildProcessError."""
        self._waiting = True
        try:
            # looked at first and taken afterwards: a ring between the kernel's answer and ours
            # would lose the status, and with it the thread
            os.waitid(os.P_PID, tid, os.WEXITED | os.WSTOPPED | os.WNOWAIT | _WALL)
        finally:
            self._waiting = False
        return os.waitpid(tid, _WALL)[1]

    def extend(self, seconds: float) -> None:
        """Give more time, to put things back."""
        self._ends = max(self._ends, time.monotonic() + seconds)
        self._rings = 0

    def close(self) -> None:
        """Stop the timer."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._old)


class Threads:
    """The seized threads of one target."""

    def __init__(self, target: Target, proc: str = "/proc") -> None:
        self.target = target
        self._tasks = f"{proc}/{target.pid}/task"
        self._seized: set[int] = set()
        self.stopped: dict[int, Stopped] = {}
        self._pending: dict[int, PendingCall | None] = {}
        self.began = self.took = 0.0  #: seconds; of the last stop
        self.gave_up = False  #: a thread did not stop: only our end sets it free

    def seize(self) -> None:
        """Attach to all threads without stopping any. Raises MayNotTrace, Refused, TargetGone."""
        tried: set[int] = set()  # a leader that has exited stays listed, and cannot be seized
        while new := set(self._listed()) - tried:
            for tid in new:
                self._seize_one(tid)
            tried |= new

    def _listed(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir(self._tasks)]
        except (FileNotFoundError, ProcessLookupError) as error:
            raise TargetGone(f"process {self.target.pid} is gone") from error

    def _seize_one(self, tid: int) -> bool:
        try:
            call(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD)
        except PtraceError as error:
            if error.errno == _ESRCH:
                return False  # it has exited
            if error.errno == _EPERM and self._exiting(tid):
                return False
            if error.errno == _EPERM and self._seized and not self._traced(tid):
                return False
            if error.errno == _EPERM and self._traced(tid):
                raise Refused(
                    f"thread {tid} of process {self.target.pid} is traced already"
                ) from error
            raise may_not_trace(self.target.pid) from error
        self._seized.add(tid)
        return True

    def _status(self, tid: int, name: str) -> str:
        try:
            with open(f"{self._tasks}/{tid}/status", encoding="utf-8", errors="replace") as file:
                for line in file:
                    if line.startswith(name):
                        return line.split()[1]
        except OSError:
            pass
        return ""

    def _exiting(self, tid: int) -> bool:
        return self._status(tid, "State:") in ("Z", "X", "")

    def _traced(self, tid: int) -> bool:
        return self._status(tid, "TracerPid:") not in ("0", "")

    @contextmanager
    def all_stopped(self, seconds: float) -> Iterator[Deadline]:
        """Stop every thread, also those that start meanwhile; all go on afterwards.

        Raises DidNotStop after ``seconds``, TargetGone.
        """
        deadline = Deadline(seconds)
        self.stopped.clear()
        self._pending.clear()
        self.began = time.perf_counter()
        self.took = 0.0
        try:
            try:
                self._stop_all(deadline)
            except TimeoutError as error:
                late = min(self._seized - self.stopped.keys(), default=self.target.pid)
                asleep = self._status(late, "State:") == "D"
                self._let_go()
                self.took = time.perf_counter() - self.began
                self._collect_late()
                why = "is in an uninterruptible sleep" if asleep else "was not given a processor"
                raise DidNotStop(
                    f"process {self.target.pid} did not stop within {seconds * 1000:.0f} ms: "
                    f"thread {late} {why}",
                    "try again later, or allow a longer stop",
                ) from error
            yield deadline
        finally:
            self._let_go()
            self.took = self.took or time.perf_counter() - self.began
            deadline.close()

    def _stop_all(self, deadline: Deadline) -> None:
        asked: set[int] = set()
        while True:
            for tid in self._seized - asked:
                self._interrupt(tid)
            for tid in sorted(self._seized - asked):
                asked.add(tid)
                self._await_stop(tid, deadline)
            new = [tid for tid in self._listed() if tid not in asked]
            if sum(map(self._seize_one, new)) == 0:
                break
        if not self.stopped:
            raise TargetGone(f"process {self.target.pid} has exited")

    def _interrupt(self, tid: int) -> None:
        if borrowing_here().begun is None:
            self._pending[tid] = read_pending(f"{self._tasks}/{tid}")
        try:
            call(PTRACE_INTERRUPT, tid)
        except PtraceError as error:
            if error.errno != _ESRCH:
                raise

    def _await_stop(self, tid: int, deadline: Deadline) -> None:
        """Wait for the interrupt's stop; a signal that comes first is delivered on the way."""
        while True:
            try:
                status = deadline.wait(tid)
            except ChildProcessError:
                self._seized.discard(tid)
                return
            if not os.WIFSTOPPED(status):
                self._seized.discard(tid)
                return
            if status >> 16 == PTRACE_EVENT_STOP:
                break
            try:
                call(PTRACE_CONT, tid, 0, status >> 8 & 0xFF)
            except PtraceError as error:
                if error.errno != _ESRCH:
                    raise
        try:
            registers = get_registers(tid)
            if self._begin_again(tid, registers):
                set_registers(tid, registers)
        except PtraceError as error:
            if error.errno != _ESRCH:
                raise
            return  # SIGKILL
        self.stopped[tid] = Stopped(tid, registers)

    def _begin_again(self, tid: int, registers: user_regs_struct) -> bool:
        """A stop without a signal must not be seen: change the registers so that a call which gave
        EINTR is begun again, unless a handler is to run; whether they were changed.
        """
        here = borrowing_here()
        if signed(here.read(registers, "result")) != -_EINTR:
            return False
        if here.begun is not None:
            if here.read(registers, "begun") not in here.begun_again:
                return False
            here.write(registers, "result", _ERESTARTNOHAND)
            return True
        pending, again = self._pending.get(tid), here.call_again
        at = here.read(registers, "instruction")
        same = pending is not None and (pending.number, pending.instruction, pending.stack) == (
            here.read(registers, "number"), at, here.read(registers, "stack")
        )  # fmt: skip
        if not same or pending is None or again is None or pending.number not in here.begun_again:
            return False
        # back to the call; a handler that is to run ends it at once
        here.write(registers, here.arguments[0], pending.first)
        here.write(registers, "instruction", at - len(again))
        return True

    def _collect_late(self) -> None:
        """Set free those that stop after all; the rest is freed by the end of this process."""
        ends = time.monotonic() + _LATE
        while self._seized and not self.gave_up:
            late = Deadline(_LATE_ROUND)
            try:
                for tid in sorted(self._seized):
                    self._await_stop(tid, late)
            except TimeoutError:
                asleep = all(self._status(tid, "State:") == "D" for tid in self._seized)
                self.gave_up = asleep or time.monotonic() > ends
            finally:
                late.close()
                self._let_go()

    def _let_go(self) -> None:
        """Detach from all that are stopped; the rest is freed when this process ends."""
        for tid in self.stopped:
            try:
                call(PTRACE_DETACH, tid)
            except PtraceError as error:
                if error.errno != _ESRCH:
                    raise
            self._seized.discard(tid)
        self.stopped.clear()
