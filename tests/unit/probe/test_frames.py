# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the frames on the target's stack would restore."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from vmad.architecture.borrowing import Chain
from vmad.architecture.x86_64_borrowing import FRAME_SIZE, RED_ZONE, build_chain
from vmad.architecture.x86_64_calls import CALLS

RIP, RSP = 0x401000, 0x7FFF_0000_1000
#: offsets in struct rt_sigframe: pretcode, ucontext up to its sigcontext
SIGCONTEXT = 8 + 40
#: what a frame ends with, and nobody reads
SIGINFO = 128
ORDER = [*(f"r{number}" for number in range(8, 16)), "rdi", "rsi", "rbp", "rbx", "rdx", "rax"]
ORDER += ["rcx", "rsp", "rip", "eflags"]


@dataclass(frozen=True)
class Places:
    call: int = 0x1000
    sigreturn: int = 0x2000


def registers(**changed: int) -> SimpleNamespace:
    values = {name: number for number, name in enumerate(ORDER, 1)}
    values |= {"rip": RIP, "rsp": RSP, "cs": 0x33, "ss": 0x2B, "orig_rax": (1 << 64) - 1}
    return SimpleNamespace(**values | changed)


def chain(thread: SimpleNamespace) -> Chain:
    return build_chain(thread, 0xABCD, bytes(2696), Places(), (CALLS.madvise, 0x5000, 0x3000, 0))


def restored(content: bytes, frame: int) -> dict[str, int]:
    values = struct.unpack_from("<18Q", content, frame * FRAME_SIZE + SIGCONTEXT)
    return dict(zip(ORDER, values, strict=True))


def test_the_first_frame_takes_the_hint_back() -> None:
    laid = chain(registers())
    first = restored(laid.content, 0)

    assert (first["rdi"], first["rsi"], first["rdx"]) == (0x5000, 0x3000, 0)
    assert (first["rax"], first["rip"]) == (CALLS.madvise, Places.call)
    assert first["rsp"] == laid.address + FRAME_SIZE


def test_the_second_frame_is_the_thread_as_it_was() -> None:
    thread = registers()

    assert restored(chain(thread).content, 1) == {name: getattr(thread, name) for name in ORDER}


def test_a_frame_between_them_gives_back_the_scheduling_policy() -> None:
    thread, back = registers(), (CALLS.madvise, 0x5000, 0x3000, 0)
    laid = build_chain(thread, 0, bytes(2696), Places(), back, policy=3)
    second = restored(laid.content, 1)
    parameter = second["rdx"] - laid.address

    assert (second["rax"], second["rdi"], second["rsi"]) == (144, 0, 3)
    assert laid.content[parameter : parameter + 4] == bytes(4)
    assert (second["rip"], second["rsp"]) == (Places.call, laid.address + 2 * FRAME_SIZE)
    assert restored(laid.content, 2) == {name: getattr(thread, name) for name in ORDER}


@pytest.mark.parametrize("result", [-512, -513, -514, -516])
def test_an_interrupted_system_call_is_begun_again(result: int) -> None:
    second = restored(chain(registers(rax=result + (1 << 64), orig_rax=230)).content, 1)

    assert (second["rax"], second["rip"]) == (230, RIP - 2)


def test_the_result_of_a_finished_system_call_stays() -> None:
    second = restored(chain(registers(rax=5, orig_rax=0)).content, 1)

    assert (second["rax"], second["rip"]) == (5, RIP)


def test_the_red_zone_is_left_alone() -> None:
    laid = chain(registers())

    assert laid.address % 64 == 0
    assert laid.address + len(laid.content) <= RSP - RED_ZONE


def test_every_frame_returns_through_rt_sigreturn() -> None:
    content = chain(registers()).content

    for frame in (0, 1):
        assert struct.unpack_from("<Q", content, frame * FRAME_SIZE)[0] == Places.sigreturn


def mask_of(content: bytes, frame: int) -> int:
    """The signal mask that a frame gives."""
    (mask,) = struct.unpack_from("<Q", content, (frame + 1) * FRAME_SIZE - SIGINFO - 8)
    return int(mask)


def test_signals_wait_until_the_thread_has_its_own_state() -> None:
    content = chain(registers()).content

    assert [mask_of(content, frame) for frame in (0, 1)] == [(1 << 64) - 1, 0xABCD]


def test_the_way_back_and_the_own_state_can_be_entered_by_rt_sigreturn() -> None:
    """It takes the frame that begins a word below the stack pointer."""
    laid = build_chain(
        registers(), 0, bytes(2696), Places(), (CALLS.munmap, 0x5000, 0x3000, 0), policy=0
    )

    assert laid.back - 8 == laid.address
    assert laid.own - 8 == laid.address + 2 * FRAME_SIZE


def test_the_call_back_may_wait_for_so_long() -> None:
    thread = registers()
    laid = build_chain(
        thread, 0, bytes(2696), Places(), (CALLS.futex, 0x5000, 128, 1), patience=1.25
    )
    words = struct.unpack_from("<18Q", laid.content, SIGCONTEXT)
    at = dict(zip(ORDER, words, strict=True))["r10"] - laid.address

    assert struct.unpack_from("<2Q", laid.content, at) == (1, 250_000_000)
    assert restored(laid.content, 1) == {name: getattr(thread, name) for name in ORDER}
