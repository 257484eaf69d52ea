# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How this machine's C library guards the stacks of threads."""

from __future__ import annotations

import platform
from typing import Final

from tests.live.kernel_walks import KERNEL

#: glibc 2.42 and later lay a region (MADV_GUARD_INSTALL, 6.13) into one VMA; before, the guard is
#: a VMA without access
GUARD_REGIONS: Final = KERNEL.version >= (6, 13) and tuple(
    map(int, platform.libc_ver()[1].split("."))
) >= (2, 42)
