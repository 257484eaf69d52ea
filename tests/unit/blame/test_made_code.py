# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How code made at run time begins, and what is told of its frames. Unwound: tests/live/blame."""

from __future__ import annotations

import pytest

from vmad.blame.made_code import FixedFrame, fixed_frame, tables

BANG = "89842400c0feff"  # mov [rsp - 0x14000], eax
CHECK = "448b56084d3bd00f85110000006690"  # the receiver's class


@pytest.mark.parametrize(
    ("name", "code", "frame"),
    [
        ("py::f:/a.py", "4883ec08ffd14883c408c3", FixedFrame(16, saves=False)),
        ("py::f:/a.py", "f30f1efa4883ec08ffd1", FixedFrame(16, saves=False)),
        # CPython 3.14 keeps a frame pointer
        ("py::f:/a.py", "554889e5ffd15dc3", None),
        ("int a.B.c()", BANG + "554883ec20", FixedFrame(48, saves=True)),
        ("int a.B.c()", CHECK + BANG + "554881ec20010000", FixedFrame(0x130, saves=True)),
        # -XX:+PreserveFramePointer
        ("int a.B.c()", BANG + "55488bec4883ec20", None),
        ("int a.B.leaf()", "4881ec1800000048896c2410", FixedFrame(32, saves=True)),
        ("_new_array_Java", "4881ec1801000048" + "89ac2410010000", FixedFrame(288, saves=True)),
        ("Interpreter", BANG + "554883ec20", None),
        ("StubRoutines (1)", BANG + "554883ec20", None),
        ("I2C/C2I adapters", "4883ec08", None),
        ("short", "55", None),
        ("nothing", "", None),
    ],
)
def test_a_frame_is_known_by_its_first_instructions(
    name: str, code: str, frame: FixedFrame | None
) -> None:
    assert fixed_frame(name, bytes.fromhex(code)) == frame


def test_tables_are_an_elf_file_with_one_entry_for_each_function() -> None:
    frames = [
        (0x7000 + 64 * number, 0x7040 + 64 * number, FixedFrame(304, True)) for number in range(9)
    ]

    elf = tables(0x7000, 0x9000, frames)

    assert elf.startswith(b"\x7fELF")
    assert all(start.to_bytes(8, "little") in elf for start, _, _ in frames)
    # DW_CFA_def_cfa_offset 304, DW_CFA_offset rbp
    assert elf.count(b"\x0e\xb0\x02\x86\x02") == len(frames)
