# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Facts of a pair: one 64-bit integer, the joint between sources and rules.

A pair is two adjacent private anonymous VMAs, A below B. The low half says which of the kernel's
merge conditions differ and what state the two anon_vmas are in; the high half is the XOR of the
two VMAs' flags in the canonical numbering of :mod:`vmad.model.flags`. The bit numbers are shared
with ``vmad/sources/bpf/facts.bpf.h``; a test holds the two together.
"""

from __future__ import annotations

from enum import IntEnum

# conditions that differ between A and B (mm/vma.c is_mergeable_vma, in 5.10 mm/mmap.c)
SPECIAL = 1 << 0  #: either side has one of VM_SPECIAL
FILE = 1 << 1  #: vm_file pointers differ
UFFD = 1 << 2  #: userfaultfd context pointers differ
NAME = 1 << 3  #: anon_vma_name differs by content
POLICY = 1 << 4  #: memory policy differs by content (__mpol_equal)
PGOFF = 1 << 5  #: A.vm_pgoff + pages(A) != B.vm_pgoff
CLOSE = 1 << 6  #: vm_ops->close on either side; no case for pure anonymous memory

# the two anon_vmas
AV_SAME = 1 << 7  #: both set and the same
A_AV_SHIFT = 8  #: two bits, an AnonVma
B_AV_SHIFT = 10
AV_MASK = 3
#: root == self, no child anon_vma, chain singular, no vm_file. A file finds its mappings by their
#: page offset: the patched kernel leaves private /dev/zero alone. With NONE the bit says that:
#: there is a vm_file, so that the page offset is fixed although no page needs it.
A_EXCLUSIVE = 1 << 12
B_EXCLUSIVE = 1 << 13

# what pagemap shows (procfs evidence; one-way: absent says nothing)
A_FAULTED = 1 << 16  #: has an anonymous page present or swapped, so anon_vma is set
B_FAULTED = 1 << 17
A_PAGES_SHARED = 1 << 18  #: a present page is mapped elsewhere too
B_PAGES_SHARED = 1 << 19

# what the evidence could not see
UNKNOWN_FLAGS = 1 << 24  #: flags other than access
UNKNOWN_UFFD = 1 << 25
UNKNOWN_NAME = 1 << 26
UNKNOWN_POLICY = 1 << 27
UNKNOWN_PGOFF = 1 << 28
UNKNOWN_AV = 1 << 29
UNKNOWN_EXCLUSIVE = 1 << 30  #: kernels before num_children (5.10..5.18 without the backport)

FLAGS_SHIFT = 32

#: everything that reading /proc/PID/maps alone leaves open
MAPS_UNKNOWN = (
    UNKNOWN_FLAGS | UNKNOWN_UFFD | UNKNOWN_POLICY | UNKNOWN_PGOFF | UNKNOWN_AV | UNKNOWN_EXCLUSIVE
)


class AnonVma(IntEnum):
    """State of one side's anon_vma."""

    NONE = 0  #: never written to
    SINGULAR = 1  #: anon_vma_chain has exactly one entry
    CHAIN = 2  #: longer: the VMA came through a fork (it is a child's)


def a_anon_vma(facts: int) -> AnonVma:
    """State of the lower VMA's anon_vma."""
    return AnonVma(facts >> A_AV_SHIFT & AV_MASK)


def b_anon_vma(facts: int) -> AnonVma:
    """State of the upper VMA's anon_vma."""
    return AnonVma(facts >> B_AV_SHIFT & AV_MASK)


def flags_differing(facts: int) -> int:
    """Canonical flags that differ between A and B (see :mod:`vmad.model.flags`)."""
    return facts >> FLAGS_SHIFT


# What run simulation needs to know of a pair: eight bits, an index into a merge table.
RUN_KEYS = 256


def run_key(facts: int) -> int:
    """Index of a pair in a merge table: A's and B's anon_vma state, exclusivity, same, pgoff.

    Bits: 0-1 A, 2-3 B, 4 A exclusive, 5 B exclusive, 6 same anon_vma, 7 page offset breaks.
    """
    return (
        (facts >> A_AV_SHIFT & AV_MASK)
        | (facts >> B_AV_SHIFT & AV_MASK) << 2
        | bool(facts & A_EXCLUSIVE) << 4
        | bool(facts & B_EXCLUSIVE) << 5
        | bool(facts & AV_SAME) << 6
        | bool(facts & PGOFF) << 7
    )


def facts_of_run_key(key: int) -> int:
    """The facts that :func:`run_key` maps to ``key``, nothing else differing."""
    return (
        (key & AV_MASK) << A_AV_SHIFT
        | (key >> 2 & AV_MASK) << B_AV_SHIFT
        | bool(key & 1 << 4) * A_EXCLUSIVE
        | bool(key & 1 << 5) * B_EXCLUSIVE
        | bool(key & 1 << 6) * AV_SAME
        | bool(key & 1 << 7) * PGOFF
    )
