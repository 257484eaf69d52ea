# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whether this machine's processor is a program: what takes milliseconds takes seconds there."""

from __future__ import annotations

from pathlib import Path


def _is_emulated(cpuinfo: str) -> bool:
    """By what QEMU calls the processors that are its own: no other has them."""
    # target/arm/tcg: an implementer that nobody is, and a part that spells Q
    arm = "CPU implementer\t: 0x00" in cpuinfo and "CPU part\t: 0x051" in cpuinfo
    return arm or "QEMU TCG CPU" in cpuinfo


EMULATED = _is_emulated(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
#: milliseconds, for --max-stop: short enough that a thousand VMAs or pairs take several stops, long
#: enough that a stop gets beyond stopping
SHORT_STOP = 400 if EMULATED else 10
