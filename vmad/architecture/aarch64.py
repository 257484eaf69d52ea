# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""64-bit Arm."""

from __future__ import annotations

from vmad.architecture.aarch64_calls import CALLS
from vmad.architecture.architecture import Architecture, Emulator
from vmad.architecture.page_table import Entry, PageTableFormat


def page_table_format(page_shift: int, address_bits: int) -> PageTableFormat:
    """The Arm Architecture Reference Manual, VMSAv8-64 translation table formats (D8.3).

    Where addresses have 52 bits, the upper ones of a physical address lie in bits that are
    otherwise zero (64 KiB pages: 12 to 15) or say who shares the memory (8 and 9, with FEAT_LPA2).
    """
    wide = address_bits == 52 and page_shift < 16
    low = (1 << (50 if wide else 48)) - (1 << page_shift)

    def decode(entry: int, level: int) -> Entry | None:
        if not entry & 1 or (level == 0 and not entry & 2):
            return None
        address = entry & low
        if wide:
            address |= (entry >> 8 & 3) << 50
        elif page_shift == 16:
            address |= (entry >> 12 & 15) << 48
        return Entry(address, level == 0 or not entry & 2)

    return PageTableFormat(page_shift, address_bits, decode)


#: bits of virtual addresses by page size, the more usual ones first (arch/arm64/Kconfig)
ADDRESS_BITS = {12: (48, 52, 39), 14: (48, 52, 47), 16: (48, 52, 42)}

AARCH64 = Architecture(
    machine="aarch64",
    title="64-bit Arm",
    page_shifts=(12, 14, 16),
    calls=CALLS,
    call_prefix="__arm64_sys_",
    page_tables=tuple(
        page_table_format(shift, bits) for shift, all_bits in ADDRESS_BITS.items()
        for bits in all_bits
    ),
    debian="arm64",
    bpf="arm64",
    kernel_flavours=("cloud-arm64", "arm64-16k"),
    kernel_image="Image",
    unwound_registers=33,
    pc_apart=True,
    borrowed_by="vmad.architecture.aarch64_borrowing",
    emulator=Emulator(
        program="qemu-system-aarch64",
        package="qemu-system-arm",
        machine="virt,gic-version=max,mte=on",
        # the architecture's own algorithm of pointer authentication takes most of the time of an
        # emulated kernel; this one is as good for a guest that nobody attacks
        processor="max,pauth-impdef=on",
        console="ttyAMA0",
        parameters=("mitigations=off",),
    ),
)  # fmt: skip
