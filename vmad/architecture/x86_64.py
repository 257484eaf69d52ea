# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""64-bit x86."""

from __future__ import annotations

from vmad.architecture.architecture import Architecture, Emulator
from vmad.architecture.page_table import Entry, PageTableFormat
from vmad.architecture.x86_64_calls import CALLS

_ADDRESS = 0x000F_FFFF_FFFF_F000
_PRESENT, _LARGE = 1, 0x80


def decode(entry: int, level: int) -> Entry | None:
    """Intel's manual, volume 3, chapter 4: pages of 4 KiB, 2 MiB and 1 GiB."""
    if not entry & _PRESENT:
        return None
    return Entry(entry & _ADDRESS, level == 0 or (level < 3 and bool(entry & _LARGE)))


FOUR_LEVELS, FIVE_LEVELS = (PageTableFormat(12, bits, decode) for bits in (48, 57))

X86_64 = Architecture(
    machine="x86_64",
    title="x86-64",
    page_shifts=(12,),
    calls=CALLS,
    call_prefix="__x64_sys_",
    page_tables=(FOUR_LEVELS, FIVE_LEVELS),
    debian="amd64",
    bpf="x86",
    kernel_flavours=("cloud-amd64",),
    kernel_image="bzImage",
    unwound_registers=17,
    pc_apart=False,
    borrowed_by="vmad.architecture.x86_64_borrowing",
    emulator=Emulator(
        program="qemu-system-x86_64",
        package="qemu-system-x86",
        machine="q35",
        # Emulated AVX2 (seen with QEMU 7.2) makes numpy's argsort of 64-bit numbers leave some
        # out of order, and np.unique with them; the same code on a real processor sorts them.
        processor="max,avx2=off",
        console="ttyS0",
        parameters=("no5lvl", "mitigations=off"),
    ),
)  # fmt: skip
