# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Stopped threads that stay where they are even if we die, until a word of their memory says so.

When a tracer is killed, the kernel sets all its tracees free at once. Code of ours that one of them
runs must not meet the others then: they could map, unmap or fork what is on its way. So each other
thread gets frames like the borrowed one's (vmad/architecture): set free, it waits in futex(2) until
the word has another value, and only then has its own state again. Its signals wait with it.

On the ordinary way none of them runs: its registers and the bytes below its stack are put back.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from ptrace.binding.linux_struct import user_regs_struct
from ptrace.error import PtraceError

from vmad.probe.calls import set_registers
from vmad.probe.fitness import IN_SEQUENCE, NO_ROOM, unfit
from vmad.probe.frames import aimed, frames_of, signal_mask
from vmad.probe.gadget import Gadgets, read_memory, write_memory
from vmad.probe.processor import borrowing_here, calls_here
from vmad.probe.refusals import DidNotStop, Refused
from vmad.probe.tracing import Stopped

_FUTEX_WAIT_PRIVATE = 128


@dataclass(frozen=True, slots=True)
class _Held:
    thread: Stopped
    address: int
    was_there: bytes


class Holds:
    """A context; the threads are stopped before and after it.

    ``word`` is an address in the target: they wait while it holds 1, ``patience`` seconds at most.
    Raises Refused, or DidNotStop where a thread can be held another time.
    """

    def __init__(
        self, threads: Iterable[Stopped], gadgets: Gadgets, word: int, patience: float
    ) -> None:
        self._threads, self._gadgets, self._patience = threads, gadgets, patience
        self._wait = (calls_here().futex, word, _FUTEX_WAIT_PRIVATE, 1)
        self._held: list[_Held] = []

    def __enter__(self) -> Self:
        try:
            for thread in self._threads:
                self._hold(thread)
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def _hold(self, thread: Stopped) -> None:
        here = borrowing_here()
        if not here.read(thread.registers, "instruction"):
            return  # a worker of io_uring, which never runs code of the program
        if here.read(thread.registers, "stack") in here.go_memory:
            raise Refused(
                f"thread {thread.tid} runs on a stack of the Go runtime, which may be too small "
                "for what would hold it if vmad died in the middle"
            )
        why = unfit(thread, self._gadgets)
        if why is not None:
            raise (DidNotStop if why == IN_SEQUENCE else Refused)(f"thread {thread.tid} {why}")
        try:
            mask = signal_mask(thread.tid)
            chain = frames_of(thread, self._gadgets, self._wait, mask, patience=self._patience)
            was_there = read_memory(thread.tid, chain.address, len(chain.content))
            write_memory(thread.tid, chain.address, chain.content)
            self._held.append(_Held(thread, chain.address, was_there))
            there = (self._gadgets.sigreturn, chain.back)
            set_registers(
                thread.tid, aimed(user_regs_struct(), thread.registers, self._gadgets, *there)
            )
        except (PtraceError, OSError) as error:
            if error.errno == errno.EFAULT:
                raise Refused(f"thread {thread.tid} {NO_ROOM}") from error
            if error.errno != errno.ESRCH:
                raise

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for each in held:
            try:
                set_registers(each.thread.tid, each.thread.registers)
                write_memory(each.thread.tid, each.address, each.was_there)
            except (PtraceError, OSError) as error:
                if error.errno != errno.ESRCH:
                    raise
