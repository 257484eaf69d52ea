# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is read of a stopped thread's registers is what they hold."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ptrace.binding.func import PTRACE_DETACH
from ptrace.error import PtraceError

from vmad.probe.calls import call, get_registers, get_regset
from vmad.probe.processor import borrowing_here
from vmad.probe.tracing import PTRACE_INTERRUPT, PTRACE_SEIZE

_WALL = 0x4000_0000
_NT_PRSTATUS = 1
#: control of rounding and exceptions as a program begins with it: MXCSR in fxsave, without the six
#: bits that tell what has happened (a program may have calculated before it slept); FPCR
CONTROL = {"x86_64": (24, 0x1F80, ~0x3F), "aarch64": (516, 0, ~0)}


@pytest.fixture
def stopped() -> Iterator[int]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        while "nanosleep" not in Path(f"/proc/{process.pid}/wchan").read_text():
            assert process.poll() is None
        call(PTRACE_SEIZE, process.pid)
        call(PTRACE_INTERRUPT, process.pid)
        os.waitpid(process.pid, _WALL)
        yield process.pid
        with suppress(PtraceError):
            call(PTRACE_DETACH, process.pid)
        process.kill()


def test_a_set_of_registers_is_what_the_thread_has(stopped: int) -> None:
    registers = get_registers(stopped)
    general = get_regset(stopped, _NT_PRSTATUS)
    assert general == ctypes.string_at(ctypes.addressof(registers), ctypes.sizeof(registers))
    assert any(general)


def test_vector_registers_come_with_their_control(stopped: int) -> None:
    vectors = get_regset(stopped, borrowing_here().vectors)
    at, value, of = CONTROL[os.uname().machine]
    assert struct.unpack_from("<I", vectors, at)[0] & of == value
    assert any(vectors)


def test_the_thread_pointer_leads_to_memory_of_the_thread(stopped: int) -> None:
    here, registers = borrowing_here(), get_registers(stopped)
    if here.thread_pointer is None:
        pointer = here.read(registers, "fs_base")
    else:
        pointer = int.from_bytes(get_regset(stopped, here.thread_pointer)[:8], "little")
    with open(f"/proc/{stopped}/maps", encoding="ascii") as file:
        ranges = [line.split()[:2] for line in file]
    held = [
        access
        for place, access in ranges
        if int(place.partition("-")[0], 16) <= pointer < int(place.partition("-")[2], 16)
    ]
    assert held == ["rw-p"]
