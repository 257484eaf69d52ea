# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Settings that every test shares."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from vmad.model.kernel import running_kernel
from vmad.rules.rebuild import SINCE as MOVES_SINCE

# A deadline per example says how busy the machine is, not whether the code is right.
settings.register_profile("vmad", deadline=None)
settings.load_profile("vmad")


def _switched_on(path: str) -> bool:
    try:
        return Path(path).read_text(encoding="ascii").strip() != "0"
    except FileNotFoundError:
        return False


def _left_out() -> Iterator[str]:
    """Markers of what this kernel cannot do, or of what is for others, and what we may not do."""
    yield "moves_not" if running_kernel().version[:2] >= MOVES_SINCE else "moves"
    if os.geteuid() != 0:
        yield "root"
    if _switched_on("/proc/sys/vm/unprivileged_userfaultfd"):
        yield "userfaultfd_by_right"
    # arch/x86/entry/vdso/vdso32-setup.c: there where 32-bit programs run (CONFIG_COMPAT_32)
    if platform.machine() != "x86_64" or not Path("/proc/sys/abi/vsyscall32").exists():
        yield "compat"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot be had here: never a skip."""
    left_out = tuple(_left_out())
    out = [item for item in items if any(map(item.get_closest_marker, left_out))]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]
