# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""/proc/PID/smaps of one process: the maps lines again, with VmFlags and what is faulted.

It walks the page tables under mmap_lock and costs seven times maps, so only a person asks for it.
The file exists with CONFIG_PROC_PAGE_MONITOR only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.model.flags import flag_masks
from vmad.model.kernel import KernelInfo
from vmad.model.kernel_flags import KERNEL_FLAGS

#: raw bit that stands for a code this kernel release is not known to have, or prints as "??"
UNNAMED = 1 << 61
_PKEY_SHIFT = 32

# the body's lines begin with a capital letter, a maps line with a hex digit in lower case
_RECORD = re.compile(rb"([0-9a-f][^\n]*\n)((?:[A-Z][^\n]*\n)*?)VmFlags: ([^\n]*)\n")
_FIELD = re.compile(rb"^(Shared_Clean|Shared_Dirty|Anonymous|Swap|ProtectionKey): +(\d+)", re.M)


@dataclass(frozen=True, slots=True)
class Smaps:
    """One element per VMA, in the order of ``lines``.

    ``lines`` is text in the format of maps; ``flags`` raw vm_flags, uint64; ``faulted``: has
    anonymous pages present or swapped; ``shared``: has present pages mapped elsewhere too.
    """

    lines: bytes
    flags: npt.NDArray[np.uint64]
    faulted: npt.NDArray[np.bool_]
    shared: npt.NDArray[np.bool_]


def raw_flags(kernel: KernelInfo) -> dict[bytes, int]:
    """Raw bit of each two-letter code on a kernel release; absent where it has no such flag."""
    masks = flag_masks(kernel.version[:2], kernel.machine)
    return {
        letters.encode(): masks[flag.code]
        for flag in KERNEL_FLAGS
        if flag.code in masks
        for letters in flag.in_smaps
    }


def parse_smaps(chunks: Iterable[bytes], kernel: KernelInfo) -> Smaps:
    """Parse smaps as it comes from read(2), in chunks cut anywhere.

    A last record that is not whole is left out: the address space went away under the reader.
    """
    codes = raw_flags(kernel)
    known: dict[bytes, int] = {}
    lines: list[bytes] = []
    flags: list[int] = []
    faulted: list[bool] = []
    shared: list[bool] = []
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        end = 0
        for record in _RECORD.finditer(text):
            end = record.end()
            line, body, letters = record.groups()
            lines.append(line)
            if letters not in known:
                known[letters] = _sum_of(letters, codes)
            field = {name: int(value) for name, value in _FIELD.findall(body)}
            flags.append(known[letters] | field.get(b"ProtectionKey", 0) << _PKEY_SHIFT)
            faulted.append(field.get(b"Anonymous", 0) + field.get(b"Swap", 0) > 0)
            shared.append(field.get(b"Shared_Clean", 0) + field.get(b"Shared_Dirty", 0) > 0)
        rest = text[end:]
    return Smaps(
        b"".join(lines),
        np.array(flags, np.uint64),
        np.array(faulted, np.bool_),
        np.array(shared, np.bool_),
    )


def _sum_of(letters: bytes, codes: dict[bytes, int]) -> int:
    result = 0
    for code in letters.split():
        result |= codes.get(code, UNNAMED)
    return result
