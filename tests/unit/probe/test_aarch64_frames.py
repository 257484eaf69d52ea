# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the frames on the stack of a 64-bit Arm thread would restore."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from vmad.architecture.aarch64_borrowing import BORROWING, FRAME_SIZE, RED_ZONE, build_chain
from vmad.architecture.aarch64_calls import CALLS
from vmad.architecture.borrowing import Chain

MASK, SP, PC = 0xABCD, 0xFFFF_F000_1000, 0x41_0000
BTYPE, ZERO_FLAG = 0xC00, 0x4000_0000
BACK = (CALLS.madvise, 0x5000, 0x3000, 1)
VECTORS = bytes(range(256)) * 2 + struct.pack("<IIQ", 7, 9, 0)
#: offsets in struct rt_sigframe: the signal mask; its sigcontext's fault address; the records
SIGMASK, SIGCONTEXT, RECORDS = 168, 304, 592
SVC, RET = 0xD4000001, 0xD65F03C0
CMN_X0_4095, B_CS_OVER_ONE = 0xB13FFC1F, 0x54000042
MOV_X8_139 = 0xD2801168


@dataclass(frozen=True)
class Places:
    call: int = 0x1000
    sigreturn: int = 0x2000


def registers(**changed: int) -> SimpleNamespace:
    values = {f"r{number}": 100 + number for number in range(31)}
    values |= {"sp": SP, "pc": PC, "pstate": ZERO_FLAG | BTYPE}
    return SimpleNamespace(**values | changed)


def chain(policy: int | None = None) -> Chain:
    return build_chain(registers(), MASK, VECTORS, Places(), BACK, policy=policy)


def restored(content: bytes, frame: int) -> dict[str, int]:
    names = [*(f"r{number}" for number in range(31)), "sp", "pc", "pstate"]
    at = frame * FRAME_SIZE + SIGCONTEXT + 8
    return dict(zip(names, struct.unpack_from("<34Q", content, at), strict=True))


def words(*instructions: int) -> bytes:
    return struct.pack(f"<{len(instructions)}I", *instructions)


def test_the_first_frame_takes_the_hint_back_and_leads_into_the_second() -> None:
    laid = chain()
    first = restored(laid.content, 0)

    assert (first["r8"], first["r0"], first["r1"], first["r2"]) == BACK
    assert (first["pc"], first["r30"]) == (Places.call, Places.sigreturn)
    assert first["sp"] == laid.address + FRAME_SIZE
    assert first["pstate"] == ZERO_FLAG, "nothing is expected of the instruction at the call"


def test_the_last_frame_is_the_thread_as_it_was() -> None:
    for policy, last in ((None, 1), (3, 2)):
        assert restored(chain(policy).content, last) == vars(registers())


def test_a_frame_between_them_gives_back_the_scheduling_policy() -> None:
    laid = chain(policy=3)
    second = restored(laid.content, 1)
    parameter = second["r2"] - laid.address

    assert (second["r8"], second["r0"], second["r1"]) == (CALLS.sched_setscheduler, 0, 3)
    assert laid.content[parameter : parameter + 4] == bytes(4)
    assert (second["pc"], second["sp"]) == (Places.call, laid.address + 2 * FRAME_SIZE)


def test_every_frame_has_a_mask_the_vectors_and_an_end() -> None:
    laid = chain()

    for frame, mask in ((0, (1 << 64) - 1), (1, MASK)):
        at = frame * FRAME_SIZE
        assert struct.unpack_from("<Q", laid.content, at + SIGMASK) == (mask,)
        record = struct.unpack_from("<IIII", laid.content, at + RECORDS)
        assert record == (0x46508001, 528, 7, 9)
        vectors = at + RECORDS + 16
        assert laid.content[vectors : vectors + 512] == VECTORS[:512]
        assert laid.content[vectors + 512 : vectors + 528] == bytes(16)


def test_frames_are_aligned_as_the_kernel_wants_and_below_the_stack() -> None:
    laid = chain()

    assert laid.address % 16 == 0
    assert FRAME_SIZE % 16 == 0
    assert RECORDS % 16 == 0
    assert laid.address + len(laid.content) <= SP - RED_ZONE


def test_the_arguments_of_the_first_frame_can_be_laid_anew() -> None:
    content = bytearray(chain().content)
    for at, value in zip(BORROWING.arguments_at, (1, 2, 3), strict=True):
        struct.pack_into("<Q", content, at, value)
    first = restored(bytes(content), 0)

    assert (first["r0"], first["r1"], first["r2"]) == (1, 2, 3)


@pytest.mark.parametrize(
    ("code", "there"),
    [
        (words(SVC, RET), True),
        (words(SVC, CMN_X0_4095, B_CS_OVER_ONE, RET), True),
        (words(SVC, CMN_X0_4095, RET), False),
        (words(SVC), False),
    ],
)
def test_a_call_is_one_that_comes_back(code: bytes, there: bool) -> None:
    assert bool(BORROWING.call.match(code)) is there


def test_the_way_back_is_the_call_of_rt_sigreturn() -> None:
    assert BORROWING.sigreturn.match(words(MOV_X8_139, SVC))


@pytest.mark.parametrize(
    ("regset", "content", "unfit"),
    [
        (0x405, struct.pack("<IIHHHH", 16, 528, 16, 16, 0, 0), False),
        (0x405, struct.pack("<IIHHHH", 528, 528, 16, 16, 1, 0) + bytes(512), True),
        (0x40C, bytes(16), False),
        (0x40C, bytes(16 + 256), True),
        (0x410, struct.pack("<QQQ", 0, 0, 0), False),
        (0x410, struct.pack("<QQQ", 1, 0, 0), True),
    ],
)
def test_what_no_frame_keeps_makes_a_thread_unfit(regset: int, content: bytes, unfit: bool) -> None:
    (state,) = (state for state in BORROWING.unfit if state.regset == regset)

    assert state.applies(content) is unfit
    assert not state.applies(b""), "a processor without it"


def test_the_way_back_and_the_own_state_can_be_entered_by_rt_sigreturn() -> None:
    """It takes the frame at the stack pointer; the call there may wait for so long."""
    laid = build_chain(
        registers(), MASK, VECTORS, Places(), (CALLS.futex, 0x5000, 128, 1), patience=1.25
    )
    timeout = restored(laid.content, 0)["r3"]

    assert (laid.back, laid.own) == (laid.address, laid.address + FRAME_SIZE)
    assert struct.unpack_from("<2Q", laid.content, timeout - laid.address) == (1, 250_000_000)
