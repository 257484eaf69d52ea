# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is mapped at addresses of ours has room on kernels with few bits of address."""

from __future__ import annotations

import pytest

from vmad.architecture.aarch64 import AARCH64
from vmad.architecture.architecture import Architecture
from vmad.architecture.x86_64 import X86_64
from vmad.selfcheck import calls

#: arch/arm64/Kconfig: of 4 KiB pages, the smallest there is for a whole system
FEWEST_BITS = 39


def test_the_conditions_of_selfcheck_are_below_39_bits() -> None:
    # what is rebuilt is put together a gigabyte beyond ELSEWHERE
    highest = max(calls.END, calls.ELSEWHERE + (2 << 30))
    assert highest < 1 << FEWEST_BITS


@pytest.mark.parametrize(
    ("architecture", "bits"),
    [(X86_64, 47), (AARCH64, 48)],
    ids=["half is the kernel's", "TTBR0 has all"],
)
def test_where_addresses_of_programs_end(architecture: Architecture, bits: int) -> None:
    assert architecture.borrowing is not None
    assert architecture.borrowing.user_end == 1 << bits
