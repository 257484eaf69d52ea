# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The limit: vm.max_map_count (Documentation/admin-guide/sysctl/vm.rst)."""


def read_max_map_count(proc: str = "/proc") -> int | None:
    """vm.max_map_count, None where it cannot be read."""
    try:
        with open(f"{proc}/sys/vm/max_map_count", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
