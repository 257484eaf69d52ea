# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""/proc/PID/numa_maps of one process: the memory policy in force for each VMA.

A VMA without a policy of its own prints the task's (show_numa_map, fs/proc/task_mmu.c): different
texts prove different policies; equal ones prove equality only for "default", which a VMA prints
when neither it nor the task has one (mpol_to_str). home_node is not shown at all.
"""

from __future__ import annotations

import re

import numpy as np

from vmad.sources.procfs.text import U64, Bools

#: policies with a space in their names: mm/mempolicy.c, policy_modes
_LINE = re.compile(rb"^([0-9a-f]+) ((?:prefer \(many\)|weighted interleave)?[^ \n]*)", re.MULTILINE)

DEFAULT = b"default"


def parse_numa_maps(text: bytes) -> dict[int, bytes]:
    """Policy text of each VMA by its start address."""
    return {int(start, 16): policy for start, policy in _LINE.findall(text)}


def compare_policies(policies: dict[int, bytes], a: U64, b: U64) -> tuple[Bools, Bools]:
    """(surely differ, surely equal) for pairs of VMAs given by their start addresses."""
    numbers = {DEFAULT: 0}
    of_a, of_b = (
        np.array(
            [
                -1 if policy is None else numbers.setdefault(policy, len(numbers))
                for policy in map(policies.get, starts.tolist())
            ],
            np.int64,
        )
        for starts in (a, b)
    )
    seen = (of_a >= 0) & (of_b >= 0)
    return seen & (of_a != of_b), (of_a == 0) & (of_b == 0)
