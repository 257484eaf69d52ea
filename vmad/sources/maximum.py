# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The limit: vm.max_map_count (Documentation/admin-guide/sysctl/vm.rst)."""

import os


def read_max_map_count(proc: str = "/proc") -> int | None:
    """vm.max_map_count, None where it cannot be read."""
    # read every second: a quarter of what a text file would cost
    try:
        fd = os.open(f"{proc}/sys/vm/max_map_count", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return int(os.read(fd, 32))
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return None
