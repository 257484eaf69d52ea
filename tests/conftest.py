# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Settings that every test shares."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator, Set
from pathlib import Path

import pytest
from hypothesis import settings

from tests.memory_group import hierarchy
from vmad.model.kernel import running_kernel
from vmad.rules.rebuild import SINCE as MOVES_SINCE

#: include/uapi/linux/personality.h
_PER_LINUX32 = 8

# A deadline per example says how busy the machine is, not whether the code is right.
settings.register_profile("vmad", deadline=None)
settings.load_profile("vmad")


def _switched_on(path: str) -> bool:
    try:
        return Path(path).read_text(encoding="ascii").strip() != "0"
    except FileNotFoundError:
        return False


def _runs_32_bits() -> bool:
    """Where 32-bit programs run, a 64-bit one may be told what they are told."""
    if platform.machine() == "x86_64":
        # arch/x86/entry/vdso/vdso32-setup.c: CONFIG_COMPAT_32
        return Path("/proc/sys/abi/vsyscall32").exists()
    # arch/arm64/kernel/sys.c, arm64_personality
    libc = ctypes.CDLL(None, use_errno=True)
    before = libc.personality(ctypes.c_ulong(0xFFFF_FFFF))
    runs: bool = libc.personality(ctypes.c_ulong(_PER_LINUX32)) != -1
    libc.personality(ctypes.c_ulong(before))
    return runs


def _left_out(asked_for: Set[str]) -> Iterator[str]:
    """Markers of what this kernel cannot do, or of what is for others, and what we may not do."""
    yield "moves_not" if running_kernel().version[:2] >= MOVES_SINCE else "moves"
    if os.geteuid() != 0:
        yield "root"
    if asked_for & {"memory_group", "memory_high"}:  # a group is made to find out
        limits = hierarchy()
        if limits is None:
            yield "memory_group"
        if limits is None or not limits.second:
            yield "memory_high"
    if _switched_on("/proc/sys/vm/unprivileged_userfaultfd"):
        yield "userfaultfd_by_right"
    if not _runs_32_bits():
        yield "compat"
    if platform.machine() != "x86_64" or not _runs_32_bits():
        yield "compat_x86"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot be had here: never a skip."""
    left_out = tuple(_left_out({mark.name for item in items for mark in item.iter_markers()}))
    out = [item for item in items if any(map(item.get_closest_marker, left_out))]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]
