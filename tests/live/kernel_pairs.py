# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The pairs that system calls can make, one per condition, and what is to be seen of each."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import Any

from tests.live.kernel_walks import KERNEL
from tests.live.layouts import MEMORY_TAGS
from tests.live.targets import LayoutRefused, Made, Target
from tests.unit.rules.strategies import pair
from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.process import ProcessId
from vmad.sources.source import Source

NONE, SINGULAR, CHAIN = AnonVma
RELEASE = KERNEL.version
SHARED, DIFFERS, PGOFF = ("anon_vma_shared",), ("anon_vma_differs",), ("vm_pgoff",)
NOT_SINGULAR, POLICY = ("anon_vma_chain_not_singular",), ("mempolicy",)


@dataclass(frozen=True)
class Case:
    """One layout: the low half of its pair's facts, the flags that differ, the reasons.

    Reasons () mean mergeable; ``relaxed`` None means the same as stock. ``refused`` are the errno
    with which a kernel that does not have the thing refuses it.
    """

    layout: str
    facts: int = 0
    flags: str = ""
    stock: tuple[str, ...] = ()
    relaxed: tuple[str, ...] | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    @property
    def listens(self) -> bool:
        """Whether the process that has the pair can be told what to do: not so these children."""
        return self.layout not in (
            "mlock_forked", "uffd_forked", "fork_child_fresh", "faulted_apart_forked",
            "memory_merge",
        )  # fmt: skip

    def __str__(self) -> str:
        return "-".join([self.layout, *map(str, self.arguments.values())])


def _flag(layout: str, flags: str, facts: int = 0, **more: Any) -> Case:
    """A pair that only flags keep apart; ``flags`` in the order of the reasons."""
    reasons = tuple(f"vm_flags:{code}" for code in flags.split())
    also = DIFFERS if facts == BOTH else ()
    return Case(layout, facts, flags, reasons + also, relaxed=reasons, **more)


BOTH = pair(SINGULAR, SINGULAR, exclusive="ab")
ONE = pair(SINGULAR, SINGULAR, same=True, exclusive="ab")
A_FAULTED = pair(SINGULAR, NONE, exclusive="a")
B_FAULTED = pair(NONE, SINGULAR, exclusive="b")

CASES = [
    # alike: latent
    Case("child_untouched"),
    Case("mlock_forked"),
    Case("uffd_forked"),
    Case("child_writes_a", A_FAULTED),
    Case("child_writes_b", B_FAULTED),
    Case("child_writes_both", ONE),
    Case("dontunmap", A_FAULTED),
    Case("child_policies_alike"),
    Case("child_policies_static"),
    Case("child_policies_local"),
    # by anon_vma and page offset
    Case("child_inherits_a", pair(CHAIN, NONE), stock=NOT_SINGULAR),
    Case("child_inherits_b", pair(NONE, CHAIN), stock=NOT_SINGULAR),
    Case("child_fresh_above", pair(CHAIN, NONE), stock=NOT_SINGULAR),
    Case("child_fresh_below", pair(NONE, CHAIN), stock=NOT_SINGULAR),
    Case("fork_child_fresh", pair(CHAIN, NONE), stock=NOT_SINGULAR),
    Case("child_inherits_both", pair(CHAIN, CHAIN), stock=SHARED),
    Case("child_inherits_one", pair(CHAIN, CHAIN), stock=SHARED),
    Case("faulted_apart_forked", pair(CHAIN, CHAIN), stock=SHARED),
    Case("parent_of_child", pair(SINGULAR, SINGULAR), stock=SHARED),
    Case("faulted_apart", BOTH, stock=DIFFERS, relaxed=()),
    Case("emptied", BOTH, stock=DIFFERS, relaxed=()),
    Case("moved_beside_unfaulted", B_FAULTED | f.PGOFF, stock=PGOFF, relaxed=()),
    Case("moved_beside_faulted", BOTH | f.PGOFF, stock=DIFFERS + PGOFF, relaxed=()),
    Case("halves_swapped", ONE | f.PGOFF, stock=PGOFF, relaxed=()),
    Case(
        "one_side_shared",
        pair(SINGULAR, SINGULAR, exclusive="b", also=f.PGOFF),
        stock=DIFFERS + PGOFF,
        relaxed=(),
    ),
    Case(
        "child_moves_inherited",
        pair(SINGULAR, CHAIN, exclusive="a", also=f.PGOFF),
        stock=(*SHARED, "vm_pgoff_shared"),
    ),
    # by flags
    Case("access_differs", ONE, "wr", ("vm_flags:access",)),
    _flag("hint_differs", "dd"),
    _flag("hint_differs_written", "dd", BOTH),
    _flag("read_faulted", "rr", A_FAULTED),
    _flag("hugepage_hint", "hg"),
    _flag("noreserve", "nr ac"),
    _flag("unadvised", "nh", arguments={"to": 14, "back": 15}),
    _flag("advised", "sr", BOTH, arguments={"advice": 2}),
    _flag("advised", "dc", BOTH, arguments={"advice": 10}),
    _flag("advised", "mg", BOTH, arguments={"advice": 12}),
    _flag("advised", "wf", BOTH, arguments={"advice": 18}),
    _flag("locked", "lo lf"),
    _flag("locked", "lo", B_FAULTED, arguments={"onfault": 0}),
    _flag("grows_down", "gd"),
    _flag("sealed", "sl", refused=() if RELEASE >= (6, 10) else ("ENOSYS",)),
    _flag("keyed", "pkey", refused=("ENOSPC", "EINVAL", "ENOSYS")),
    _flag("droppable", "dp nr wf dd ac", refused=() if RELEASE >= (6, 11) else ("EINVAL",)),
    _flag("none_beside_none", "ac", B_FAULTED, arguments={"written": True}),
    # by what the VMAs belong to
    # a private mapping of /dev/zero keeps the offset in the file as its vm_pgoff, which is fixed
    Case(
        "dev_zero",
        pair(exclusive="b", also=f.FILE | f.PGOFF),
        "mt_allowed" if MEMORY_TAGS else "",
        ("vm_flags:mt_allowed",) * MEMORY_TAGS + ("vm_file", "vm_pgoff_shared"),
    ),
    Case(
        "dev_zero_twice",
        pair(exclusive="ab", also=f.FILE | f.PGOFF),
        stock=("vm_file", "vm_pgoff_shared"),
    ),
    _flag("dev_zero_split", "rr", pair(exclusive="ab")),
    Case(
        "dev_zero_halves_swapped",
        pair(SINGULAR, SINGULAR, same=True, also=f.PGOFF),
        stock=("vm_pgoff_shared",),
    ),
    Case("uffd", f.UFFD, "um", ("vm_flags:um", "vm_userfaultfd_ctx")),
    Case("uffd_two", f.UFFD, stock=("vm_userfaultfd_ctx",)),
    Case("mempolicy", f.POLICY, stock=POLICY),
    Case("child_policies_modes", f.POLICY, stock=POLICY),
    Case("child_policies_flags", f.POLICY, stock=POLICY),
    Case("child_policies_nodes", f.POLICY, stock=POLICY, refused=("EINVAL",)),
    Case(
        "child_home_nodes",
        f.POLICY,
        stock=POLICY,
        refused=() if RELEASE >= (5, 17) else ("ENOSYS",),
    ),
    Case("named", f.NAME, stock=("anon_vma_name",), refused=("EINVAL",)),
    Case("child_names_alike", refused=("EINVAL",)),
]
if RELEASE >= (6, 4):
    CASES.append(Case("memory_merge"))
# VM_ACCOUNT goes with the write permission of an untouched VMA only from 6.12 on; MAP_STACK means
# VM_NOHUGEPAGE from 6.7 on (c4608d1bf7c6). Else these merge at once.
if RELEASE < (6, 12):
    CASES.append(_flag("none_beside_none", "ac"))
if RELEASE >= (6, 7):
    CASES.append(_flag("stack", "nh"))

#: what merges at once, so that there is no pair to see
MERGED = [
    Case("moved_unfaulted"),
    Case("unadvised", arguments={"to": 1, "back": 0}),
]
if RELEASE >= (6, 12):
    MERGED.append(Case("none_beside_none"))


def built(target: Target, case: Case) -> Made | None:
    """The case in a child; None where this kernel may refuse it, and has."""
    try:
        return target.build(case.layout, **case.arguments)
    except LayoutRefused as refusal:
        if errno.errorcode.get(refusal.errno) in case.refused:
            return None
        raise


def facts_at(source: Source, process: ProcessId, boundary: int) -> int:
    """Facts of the pair with this boundary."""
    rows = source.table(process).rows
    (row,) = rows[rows["start"] == boundary]
    assert row["pair"] == 1
    return int(row["facts"])
