# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a repeating run of VMAs most likely is, told from its permissions, sizes and reasons."""

from __future__ import annotations

from enum import StrEnum

from vmad.model.kinds import Kind
from vmad.scan.repeats import Repeat, Step

#: bytes; guard pages are one page to 64 KiB, reserved address space is more
LARGEST_GUARD = 64 << 10

_PRIVATE_ANONYMOUS = (Kind.ANON_WRITABLE, Kind.ANON_NO_ACCESS, Kind.ANON_OTHER, Kind.HEAP)


class Shape(StrEnum):
    """The value is what a person reads after the colon."""

    GUARD_PAGES = "guard pages"
    RESERVED = "address space reserved as a whole and opened piece by piece"
    CODE = "code interleaved with data, as JIT compilers do"
    ACCESS = "access switched piece by piece"
    LATENT = "pieces that the kernel would merge at its next attempt"
    MOVED = "pieces that mremap moved here from elsewhere"
    WRITTEN_APART = "pieces that were written to before they became neighbours"
    FORKED = "pieces that share pages with a parent or child process"
    FLAGGED = "pieces that were advised or locked differently from their neighbours"
    NAMED = "pieces with names of their own"
    POLICY = "pieces with NUMA policies of their own"
    UNDECIDED = "pieces of which this evidence cannot tell why they are apart"
    GAPS = "pieces with gaps between them"
    FILES = "file mappings in a row"
    DELETED_FILES = "mappings of deleted files"
    SHARED_MEMORY = "pieces of shared memory"
    OTHER = "a mixture that repeats"


#: decisive reason (or its beginning) of a run of equal steps -> what the run is
BY_REASON: tuple[tuple[str, Shape], ...] = (
    ("latent", Shape.LATENT),
    ("vm_pgoff", Shape.MOVED),
    ("anon_vma_name", Shape.NAMED),
    ("anon_vma_differs", Shape.WRITTEN_APART),
    ("anon_vma_shared", Shape.FORKED),
    ("anon_vma_chain_not_singular", Shape.FORKED),
    ("vm_flags:access", Shape.ACCESS),
    ("vm_flags:", Shape.FLAGGED),
    ("mempolicy", Shape.POLICY),
    ("vm_userfaultfd_ctx", Shape.OTHER),
    ("vm_file", Shape.OTHER),
    ("vm_ops_close", Shape.OTHER),
    ("VM_SPECIAL", Shape.OTHER),
)


def shape_of(repeat: Repeat) -> Shape:
    """The shape of a pattern; OTHER when nothing known fits."""
    kinds = {step.kind for step in repeat.steps}
    for kind, shape in (
        (Kind.FILE_DELETED, Shape.DELETED_FILES),
        (Kind.SHARED_MEMORY, Shape.SHARED_MEMORY),
        (Kind.FILE, Shape.FILES),
    ):
        if kinds == {kind}:
            return shape
    if not kinds <= set(_PRIVATE_ANONYMOUS):
        return Shape.OTHER
    return _by_access(repeat.steps) or _by_reason(repeat.steps)


def _by_access(steps: tuple[Step, ...]) -> Shape | None:
    if len({step.perms & 7 for step in steps}) == 1:
        return None
    closed = [step for step in steps if not step.perms & 7]
    if closed:
        small = all(step.median <= LARGEST_GUARD for step in closed)
        return Shape.GUARD_PAGES if small else Shape.RESERVED
    return Shape.CODE if any(step.perms & 4 for step in steps) else Shape.ACCESS


def _by_reason(steps: tuple[Step, ...]) -> Shape:
    if not any(step.adjacent for step in steps):
        return Shape.GAPS
    reasons = {step.reason for step in steps if step.reason is not None}
    for start, shape in BY_REASON:
        if reasons and all(
            not reason.endswith("_unknown") and reason.startswith(start) for reason in reasons
        ):
            return shape
    if reasons and all(reason.endswith("_unknown") for reason in reasons):
        return Shape.UNDECIDED
    return Shape.OTHER
