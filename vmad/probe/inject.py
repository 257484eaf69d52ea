# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Making a stopped thread make calls with its own code, and putting it back exactly.

No text is written: the registers point at a ``syscall`` of the target's own. Signals are held
back meanwhile by the thread's mask, so that no handler runs on borrowed registers. The thread is
restored in the same kind of stop that it was found in, where the kernel still decides about
beginning an interrupted system call again: restored after a system call instead, it would return
-ERESTARTSYS to the program (arch/x86/kernel/signal.c, arch_do_signal_or_restart).
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from typing import Self

from ptrace.binding.func import PTRACE_CONT, PTRACE_SETOPTIONS, PTRACE_SYSCALL
from ptrace.binding.linux_struct import user_regs_struct
from ptrace.error import PtraceError

from vmad.architecture.borrowing import Call, Chain, signed
from vmad.probe.calls import call, get_registers, set_registers
from vmad.probe.fitness import lacks_room, unfit
from vmad.probe.frames import aimed, frames_of, signal_mask
from vmad.probe.gadget import Gadgets, read_memory, write_memory
from vmad.probe.processor import borrowing_here, calls_here
from vmad.probe.promptness import make_first, ordinary_policy
from vmad.probe.refusals import LeftChanged, Refused, TargetGone
from vmad.probe.toggle import Toggle
from vmad.probe.tracing import (
    PTRACE_EVENT_STOP,
    PTRACE_INTERRUPT,
    PTRACE_O_TRACESYSGOOD,
    Deadline,
    Stopped,
    Threads,
)

# include/uapi/linux/ptrace.h
_SETSIGMASK = 0x420B
_O_SUSPEND_SECCOMP = 1 << 21
_EPERM, _EINVAL, _ESRCH, _EAGAIN, _ENOMEM = 1, 22, 3, 11, 12
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_ALL_SIGNALS = (1 << 64) - 1
#: seconds that putting things back may take beyond the deadline
_GRACE = 5.0
_TRIES = 100


class Borrowed:
    """One stopped thread that makes calls; a context. All raise PtraceError on SIGKILL."""

    def __init__(
        self, thread: Stopped, gadgets: Gadgets, deadline: Deadline, seccomp: bool
    ) -> None:
        self.tid = thread.tid
        self._thread, self._registers = thread, thread.registers
        self._gadgets, self._deadline, self._seccomp = gadgets, deadline, seccomp
        self._chain: Chain | None = None
        self._was_there = b""
        self._mask = ctypes.c_uint64()
        self._working = user_regs_struct()
        self._late_stop = False
        self._held_back = False
        self._hurried = False
        self._policy: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()

    def prepare(self, back: Call, hurry: bool = False) -> None:
        """Lay the frames, of which the first makes the call ``back`` if we die. Raises Refused.

        With ``hurry`` the thread runs before those that share its processor, where we may give it
        that right, until it is restored.
        """
        if self._seccomp:
            suspend_seccomp(self.tid)
        self._mask.value = signal_mask(self.tid)
        self._policy = ordinary_policy(self.tid) if hurry else None
        chain = frames_of(self._thread, self._gadgets, back, self._mask.value, policy=self._policy)
        self._was_there = read_memory(self.tid, chain.address, len(chain.content))
        write_memory(self.tid, chain.address, chain.content)
        self._chain = chain

    def make(self, number: int, *arguments: int, last: bool = False) -> int:
        """One system call; returns its result, or its error as a negative number.

        If we die in it, the thread goes on with the call that :meth:`prepare` was given, or, where
        this is that call (``last``), with its own business.
        """
        assert self._chain is not None
        here = borrowing_here()
        self.aim(self._gadgets.call, self._chain.address + (here.frame_size if last else 0))
        working = self._working
        for name, value in zip(here.arguments, arguments, strict=False):
            here.write(working, name, value)
        here.write(working, "number", number)
        self.release()
        self._to_system_call_stop()  # its beginning
        self._to_system_call_stop()  # its end
        return signed(here.read(get_registers(self.tid), "result"))

    def aim(self, instruction: int, stack: int) -> user_regs_struct:
        """Working registers that go on at an instruction; changed by the caller, then released."""
        return aimed(self._working, self._registers, self._gadgets, instruction, stack)

    def release(self) -> None:
        """Give the thread the working registers, with all signals held back; it stays stopped."""
        if not self._held_back:
            self._hold_back()
        set_registers(self.tid, self._working)
        if self._policy is not None and not self._hurried:
            # only now: its registers lead to the frame that takes it back
            self._hurried = make_first(self.tid)

    def _hold_back(self) -> None:
        """Hold all signals back.

        If we die before that, a handler must not run on a stack of ours, nor jump out of what we
        have begun; if we die afterwards, the thread must get its mask back: so its registers lead
        to its own state meanwhile, by rt_sigreturn.
        """
        assert self._chain is not None
        own = (self._gadgets.sigreturn, self._chain.own)
        set_registers(self.tid, aimed(user_regs_struct(), self._registers, self._gadgets, *own))
        held_back = ctypes.c_uint64(_ALL_SIGNALS)
        call(_SETSIGMASK, self.tid, 8, ctypes.addressof(held_back))
        self._held_back = True

    def _to_system_call_stop(self) -> None:
        while True:
            call(PTRACE_SYSCALL, self.tid)
            status = self._wait()
            if status >> 8 & 0xFF == _SYSCALL_STOP and not status >> 16:
                return
            self._note(status)

    def _wait(self) -> int:
        while True:
            try:
                status = self._deadline.wait(self.tid)
            except TimeoutError:
                # in the middle there is no way but forward; a call of ours takes microseconds,
                # unless the machine is starved
                self._deadline.extend(_GRACE)
                continue
            if not os.WIFSTOPPED(status):
                raise ProcessLookupError(_ESRCH, "killed")
            return status

    def _note(self, status: int) -> None:
        """A stop that is not ours: SIGSTOP cannot be held back, so it is sent again later."""
        if not status >> 16 and status >> 8 & 0xFF == signal.SIGSTOP:
            self._late_stop = True

    def restore(self) -> None:
        """Everything as it was, in the order in which a death in between does no harm."""
        if self._chain is None:
            return
        chain, self._chain = self._chain, None
        self._held_back = False
        self._deadline.extend(_GRACE)
        try:
            call(PTRACE_INTERRUPT, self.tid)
            call(PTRACE_CONT, self.tid)
            while (status := self._wait()) >> 16 != PTRACE_EVENT_STOP:
                self._note(status)
                call(PTRACE_CONT, self.tid)
            if self._hurried and self._policy is not None:
                os.sched_setscheduler(self.tid, self._policy, os.sched_param(0))
            call(_SETSIGMASK, self.tid, 8, ctypes.addressof(self._mask))
            set_registers(self.tid, self._registers)
            write_memory(self.tid, chain.address, self._was_there)
            if self._seccomp:
                call(PTRACE_SETOPTIONS, self.tid, 0, PTRACE_O_TRACESYSGOOD)
            if self._late_stop:
                os.kill(self.tid, signal.SIGSTOP)
        except (PtraceError, OSError) as error:
            if getattr(error, "errno", None) != _ESRCH:
                raise
            # SIGKILL: nothing is left to restore


class Injection(Borrowed):
    """A borrowed thread that toggles hints. All raise TargetGone on SIGKILL."""

    def toggle(self, toggle: Toggle, start: int, length: int) -> str | None:
        """Set the hint away and back on a whole VMA.

        Returns why the kernel refused the first call, which then has changed nothing. Raises
        Refused (no way to inject), LeftChanged (the second call failed).
        """
        back = (calls_here().madvise, start, length, toggle.back)
        try:
            if self._chain is None:
                self.prepare(back)
            else:
                self._lay_again(start, length, toggle.back)
            error = self._madvise(start, length, toggle.away)
            if error:
                return f"madvise in the target failed: {os.strerror(error).lower()}"
            # 6.12 and later may give EAGAIN for want of memory and leave the hint set
            for _ in range(_TRIES):
                error = self._madvise(start, length, toggle.back, last=True)
                if error not in (_EAGAIN, _ENOMEM):
                    break
            if error:
                raise LeftChanged(
                    f"the hint of {start:#x} could not be restored: {os.strerror(error)}"
                )
            return None
        except (PtraceError, ProcessLookupError, ChildProcessError) as error:
            if getattr(error, "errno", _ESRCH) in (None, _ESRCH):
                raise TargetGone(f"thread {self.tid} was killed in the middle") from error
            raise

    def _madvise(self, start: int, length: int, advice: int, last: bool = False) -> int:
        """Its errno or 0."""
        return -min(self.make(calls_here().madvise, start, length, advice, last=last), 0)

    def _lay_again(self, address: int, length: int, advice: int) -> None:
        """Change the arguments in the first frame to those of the next toggle."""
        assert self._chain is not None
        for at, value in zip(borrowing_here().arguments_at, (address, length, advice), strict=True):
            write_memory(self.tid, self._chain.address + at, struct.pack("<Q", value))


def suspend_seccomp(tid: int) -> None:
    """Switch a stopped thread's filters off until we detach (4.3). Raises Refused."""
    try:
        call(PTRACE_SETOPTIONS, tid, 0, PTRACE_O_TRACESYSGOOD | _O_SUSPEND_SECCOMP)
    except PtraceError as error:
        if error.errno not in (_EPERM, _EINVAL):
            raise
        raise Refused(
            "the target has a seccomp filter that cannot be suspended",
            "needs CAP_SYS_ADMIN and a kernel with CONFIG_CHECKPOINT_RESTORE",
        ) from error


def choose_thread(threads: Threads, gadgets: Gadgets) -> Stopped:
    """The stopped thread to borrow. Raises Refused, naming why none will do.

    Best is one that waits in a system call: its registers mean nothing to anybody else. Unfit are
    32-bit code, a thread in a restartable sequence (the kernel would see a foreign instruction
    pointer and forget the sequence, kernel/rseq.c), one whose system calls are dispatched to user
    space (Wine), one without room on its stack, one in a state that no signal frame keeps.
    """
    whys = []
    order = sorted(
        threads.stopped.values(),
        key=lambda thread: (
            not thread.in_system_call, thread.is_prolonged, thread.tid != threads.target.pid,
        ),
    )  # fmt: skip
    for thread in order:
        why = unfit(thread, gadgets) or lacks_room(thread)
        if why is None:
            return thread
        whys.append(f"thread {thread.tid} {why}")
    raise Refused(f"process {threads.target.pid}: no thread can be borrowed: {'; '.join(whys[:3])}")
