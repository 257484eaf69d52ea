# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Recoverable VMAs, counted over runs of neighbours, because merging is not transitive.

Faulted, unfaulted, otherwise-faulted: both pairs would merge, but once the first has, the third
VMA meets the first one's anon_vma. So a run is simulated from left to right: the run so far has
one state (anon_vma, its chain, whether it is exclusive, the page offset's shift), each next VMA
is judged against it, and the merged run keeps the state of the side that survives. A BPF program
applies the same table (walk.bpf.h, extend_run).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vmad.model import facts as f
from vmad.model.distinct import distinct
from vmad.model.facts import AnonVma
from vmad.model.table import Rows, VmaTable
from vmad.model.verdict import Verdict
from vmad.rules.base import Rules
from vmad.rules.conditions import anon_vmas

#: facts that end a run whatever the anon_vmas are. UNKNOWN_EXCLUSIVE is not among them: an
#: exclusivity that was not seen is no exclusivity to the table, and stock never asks for it.
HARD_FACTS = (
    f.SPECIAL
    | f.FILE
    | f.UFFD
    | f.NAME
    | f.POLICY
    | f.CLOSE
    | f.UNKNOWN_FLAGS
    | f.UNKNOWN_UFFD
    | f.UNKNOWN_NAME
    | f.UNKNOWN_POLICY
    | f.UNKNOWN_PGOFF
    | f.UNKNOWN_AV
)

KEEP_A, KEEP_B = 1, 2


@lru_cache(maxsize=16)
def merge_table(rules: Rules) -> bytes:
    """What becomes of a run and the next VMA, by ``facts.run_key``; 256 bytes.

    0: they do not merge; 1: the merged run has A's state; 2: it has B's. Keys that contradict
    themselves are 0.
    """
    return bytes(_merged(f.facts_of_run_key(key), rules) for key in range(f.RUN_KEYS))


def _merged(facts: int, rules: Rules) -> int:
    avs = anon_vmas(facts)
    if avs is None or rules.judge(facts).verdict is not Verdict.MERGEABLE:
        return 0
    if avs.one_unfaulted:
        return KEEP_B if avs.a is AnonVma.NONE else KEEP_A
    if avs.differ or facts & f.PGOFF:
        # the exclusive side is absorbed; with two of them it makes no difference which
        absorbed_a = facts & f.A_EXCLUSIVE and not facts & f.B_EXCLUSIVE
        return KEEP_B if absorbed_a else KEEP_A
    return KEEP_A


def hard_mask(ignored_flags: int) -> int:
    """Bits of facts that end a run; ``ignored_flags`` canonical, as in an era."""
    return HARD_FACTS | (0xFFFF_FFFF & ~ignored_flags) << f.FLAGS_SHIFT


def hard_differences(facts: npt.NDArray[np.uint64], ignored_flags: int) -> npt.NDArray[np.bool_]:
    """Which pairs cannot join a run, whatever their anon_vmas and page offsets are; same shape."""
    differing: npt.NDArray[np.bool_] = (facts & np.uint64(hard_mask(ignored_flags))) != 0
    return differing


def recoverable(table: VmaTable, rules: Rules) -> int | None:
    """VMAs that would vanish if every run merged as far as ``rules`` let it.

    None when the evidence leaves any pair of the table undecided under these rules.
    """
    rows = table.rows
    facts = rows["facts"]
    if not rules.era.anon_names:  # this kernel compares no names, whatever the evidence says
        facts = facts & np.uint64(0xFFFF_FFFF_FFFF_FFFF & ~(f.NAME | f.UNKNOWN_NAME))
    pairs = rows["pair"] != 0
    values = distinct(facts[pairs]).tolist()
    if any(rules.judge(value).verdict is Verdict.UNKNOWN for value in values):
        return None
    joined = pairs & ~hard_differences(facts, rules.era.ignored_flags)
    return _merges(rows, joined, merge_table(rules), rules.kernel.page_shift)


def _merges(rows: Rows, joined: npt.NDArray[np.bool_], table: bytes, page_shift: int) -> int:
    """Number of merges; ``joined[i]``: rows i-1 and i differ in nothing that is hard."""
    involved = joined.copy()
    involved[:-1] |= joined[1:]
    rows, joined = rows[involved], joined[involved]
    shifts = rows["pgoff"] - (
        rows["start"] >> np.uint64(page_shift)
    )  # modulo 2**64, as in the kernel
    states = rows["chain"] | rows["exclusive"] << np.uint8(4)
    merges = 0
    run_anon_vma = run_state = run_shift = 0
    for joins, anon_vma, state, shift in zip(
        joined.tolist(), rows["anon_vma"].tolist(), states.tolist(), shifts.tolist(), strict=True
    ):
        if joins:
            same = run_anon_vma != 0 and run_anon_vma == anon_vma
            b_bits = (state & f.AV_MASK) << 2 | (state >> 4) << 5
            keep = table[run_state | b_bits | same << 6 | (run_shift != shift) << 7]
            if keep:
                merges += 1
                if keep == KEEP_A:
                    continue
        run_anon_vma, run_state, run_shift = anon_vma, state, shift
    return merges
