# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""/proc/PID/numa_maps of one process: the memory policy in force for each VMA.

A VMA without a policy of its own prints the task's (show_numa_map, fs/proc/task_mmu.c): different
texts prove different policies; equal ones prove equality only for "default", which a VMA prints
when neither it nor the task has one (mpol_to_str). home_node is not shown at all.
"""

from __future__ import annotations

import re

#: policies with a space in their names: mm/mempolicy.c, policy_modes
_LINE = re.compile(rb"^([0-9a-f]+) ((?:prefer \(many\)|weighted interleave)?[^ \n]*)", re.MULTILINE)

DEFAULT = b"default"


def parse_numa_maps(text: bytes) -> dict[int, bytes]:
    """Policy text of each VMA by its start address."""
    return {int(start, 16): policy for start, policy in _LINE.findall(text)}


def policies_differ(a: bytes | None, b: bytes | None) -> bool | None:
    """Whether two VMAs' policies differ; None when numa_maps does not decide."""
    if a is None or b is None:
        return None
    if a != b:
        return True
    return False if a == DEFAULT else None
