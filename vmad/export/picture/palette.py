# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Colours of the picture, each for a light and for a dark ground.

Reasons are vivid, kinds are quiet: what keeps VMAs apart is what one looks for. The vivid ones
stay apart for people who see red and green alike (their lightness differs, too).
"""

from __future__ import annotations

from typing import NamedTuple

from vmad.model.kinds import Kind


class Colours(NamedTuple):
    """#rrggbb on a light and on a dark ground."""

    light: str
    dark: str


UNKNOWN = Colours("#8d949e", "#7d858f")

KINDS: dict[Kind, Colours] = {
    Kind.ANON_WRITABLE: Colours("#86aede", "#4674a8"),
    Kind.ANON_NO_ACCESS: Colours("#d3d8de", "#3a424d"),
    Kind.ANON_OTHER: Colours("#9ccabf", "#3f7468"),
    Kind.HEAP: Colours("#93c98b", "#4b8046"),
    Kind.STACK: Colours("#e6b67c", "#96692f"),
    Kind.FILE: Colours("#c3b3dd", "#66568a"),
    Kind.FILE_DELETED: Colours("#e28f8a", "#a04842"),
    Kind.SHARED_MEMORY: Colours("#ddcf78", "#84782c"),
    Kind.SPECIAL: Colours("#b4b0a8", "#6d6a64"),
}

#: of VMAs that form no pair, where reasons are what is coloured
ALONE: dict[Kind, Colours] = {
    Kind.ANON_WRITABLE: Colours("#c6d5e6", "#35445a"),
    Kind.ANON_NO_ACCESS: Colours("#e2e5e9", "#2b323b"),
    Kind.ANON_OTHER: Colours("#cfe0db", "#2f4540"),
    Kind.HEAP: Colours("#cfe0cb", "#34462f"),
    Kind.STACK: Colours("#ead9c3", "#4d3f2c"),
    Kind.FILE: Colours("#dad3e6", "#3d374b"),
    Kind.FILE_DELETED: Colours("#ebcdca", "#573532"),
    Kind.SHARED_MEMORY: Colours("#e4dfc0", "#48432a"),
    Kind.SPECIAL: Colours("#d8d6d2", "#3d3b38"),
}

REASONS: dict[str, Colours] = {
    "vm_flags:access": Colours("#e08a00", "#d9932c"),
    "anon_vma_differs": Colours("#c2185b", "#d8507f"),
    "vm_pgoff": Colours("#6a3fc4", "#a486f4"),
    "latent": Colours("#2e8b45", "#56c271"),
    "latent_one_sided": Colours("#7aa812", "#a7d341"),
    "anon_vma_shared": Colours("#8a5a2b", "#c7965f"),
    "anon_vma_chain_not_singular": Colours("#a9713a", "#dbb07e"),
    "vm_pgoff_shared": Colours("#4d4a9e", "#8b89e0"),
    "anon_vma_name": Colours("#1769c0", "#5aaaf5"),
    "mempolicy": Colours("#00838f", "#38c3d1"),
    "vm_file": Colours("#5d6f1b", "#b3c65a"),
    "VM_SPECIAL": Colours("#5a5f66", "#a3a9b1"),
    "vm_ops_close": Colours("#2a7fb8", "#62b4e8"),
    "vm_userfaultfd_ctx": Colours("#2a7fb8", "#62b4e8"),
}
#: other flags, one after the other
_FLAGS = (
    Colours("#0f7f6f", "#3fc9b4"),
    Colours("#2a7fb8", "#62b4e8"),
    Colours("#9c3fae", "#d58ae4"),
    Colours("#b3541e", "#ee9461"),
)

CHANGES: dict[str, Colours] = {
    "same": Colours("#d5dae1", "#343c47"),
    "changed": Colours("#e0a100", "#f0b93c"),
    "came": Colours("#1f8f4d", "#4fc47c"),
    "went": Colours("#c8322b", "#f2675e"),
}


def of_reason(name: str) -> Colours:
    """Of pairs that this decides; what is not known is grey."""
    if name.endswith("_unknown"):
        return UNKNOWN
    return REASONS.get(name) or _FLAGS[sum(name.encode()) % len(_FLAGS)]
