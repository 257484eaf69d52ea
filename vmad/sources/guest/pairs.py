# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is read of each VMA, and the facts of each pair: as vmad/sources/bpf/ computes them.

Wherever this differs from look_at() and facts_of_pair() there, one of the two is wrong:
tests/vm/test_guest_target.py compares them, pair by pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.model import facts as f
from vmad.model.distinct import distinct
from vmad.model.facts import AnonVma
from vmad.model.flags import VM_SHARED, VM_SPECIAL, canonical, high_masks
from vmad.model.kernel import KernelInfo
from vmad.sources.guest.compare import same_names, same_policies
from vmad.sources.guest.layout import Layout
from vmad.sources.guest.memory import U64, Look, Torn
from vmad.sources.guest.tree import Level

Bools = npt.NDArray[np.bool_]

_COLUMNS = ("vm_start", "vm_end", "vm_mm", "vm_flags", "vm_pgoff", "vm_file", "vm_ops", "anon_vma")


@dataclass(frozen=True)
class Seen:
    """The VMAs of one address space, a column each, in order; pointers as the kernel has them.

    ``address`` is that of the structure. ``chain`` holds AnonVma values; ``unknown_exclusive``:
    see facts.UNKNOWN_EXCLUSIVE.
    """

    address: U64
    start: U64
    end: U64
    flags: U64
    pgoff: U64
    file: U64
    ops: U64
    uffd: U64
    policy: U64
    name: U64
    anon_vma: U64
    chain: npt.NDArray[np.uint8]
    exclusive: Bools
    unknown_exclusive: Bools

    @property
    def anonymous(self) -> Bools:
        """Private and without operations of its own."""
        anonymous: Bools = (self.ops == 0) & (self.flags & np.uint64(VM_SHARED) == 0)
        return anonymous


def look_at(look: Look, layout: Layout, mm: int, leaves: Level) -> Seen:
    """Read the VMAs that a tree holds. Raises Torn where one is not what the tree says."""
    vmas = leaves.entries
    fields = [layout[f"vm_area_struct.{name}"] for name in _COLUMNS]
    fields += [layout[f"vm_area_struct.anon_vma_chain.{name}"] for name in ("next", "prev")]
    optional = ("vm_userfaultfd_ctx.ctx", "vm_policy", "anon_name")
    there = {name: place for name in optional if (place := layout.get(f"vm_area_struct.{name}"))}
    columns = look.fields(vmas, [*fields, *there.values()])
    start, end, of, flags, pgoff, file, ops, anon_vma, following, before = columns[:10]
    extra = dict(zip(there, columns[10:], strict=True))
    if (of != np.uint64(mm)).any():
        raise Torn("a VMA belongs to another process")
    if (start != leaves.first).any() or (end - np.uint64(1) != leaves.last).any():
        raise Torn("a VMA is not where the tree has it")
    if (end <= start).any() or (start[1:] < end[:-1]).any():
        raise Torn("the addresses of the VMAs do not ascend")
    none = np.zeros(len(vmas), np.uint64)
    chain = np.where(
        anon_vma == 0,
        AnonVma.NONE,
        # not empty, since anon_vma is set: one entry when next and prev are the same
        np.where(following == before, AnonVma.SINGULAR, AnonVma.CHAIN),
    ).astype(np.uint8)
    exclusive, unknown = _exclusive(look, layout, anon_vma, chain)
    # a private mapping of /dev/zero: its page offset is fixed
    of_file = (file != 0) & (ops == 0)
    return Seen(
        vmas,
        start,
        end,
        flags,
        pgoff,
        file,
        ops,
        extra.get("vm_userfaultfd_ctx.ctx", none),
        extra.get("vm_policy", none),
        # until 6.1 a union with shared.rb, which only file VMAs use
        np.where(file == 0, extra["anon_name"], none) if "anon_name" in extra else none,
        anon_vma,
        chain,
        np.where(of_file, chain == AnonVma.NONE, exclusive),
        unknown & ~of_file,
    )


def _exclusive(
    look: Look, layout: Layout, anon_vma: U64, chain: npt.NDArray[np.uint8]
) -> tuple[Bools, Bools]:
    """(the anon_vma is a root without children, whether that can be told) of each VMA."""
    exclusive, unknown = np.zeros(len(chain), bool), np.zeros(len(chain), bool)
    singular = np.flatnonzero(chain == AnonVma.SINGULAR)
    if not len(singular):
        return exclusive, unknown
    which = anon_vma[singular]
    children = layout.get("anon_vma.num_children")
    # 5.10 without the backport of 2555283eb40d: children and VMAs in one number
    count = children or layout["anon_vma.degree"]
    root, counted = look.fields(which, [layout["anon_vma.root"], count])
    # a root counts itself
    alone = (root == which) & (counted <= np.uint64(1))
    exclusive[singular] = alone
    if children is None:
        unknown[singular] = (root == which) & ~alone
    return exclusive, unknown


def facts_of_pairs(
    look: Look, layout: Layout, seen: Seen, kernel: KernelInfo
) -> tuple[U64, npt.NDArray[np.uint8]]:
    """(facts, whether it is a pair) of each VMA with the one before; no pair has facts 0.

    ``kernel`` is the guest's.
    """
    facts, pair = np.zeros(len(seen.start), np.uint64), np.zeros(len(seen.start), np.uint8)
    anonymous = seen.anonymous
    b = np.flatnonzero(anonymous[1:] & anonymous[:-1] & (seen.end[:-1] == seen.start[1:])) + 1
    if len(b):
        facts[b] = _facts(look, layout, seen, b, kernel)
        pair[b] = 1
    return facts, pair


def _facts(
    look: Look, layout: Layout, seen: Seen, b: npt.NDArray[np.intp], kernel: KernelInfo
) -> U64:
    a = b - 1
    high = high_masks(kernel.version[:2], kernel.machine)
    differing = seen.flags[a] ^ seen.flags[b]
    facts: U64 = np.zeros(len(b), np.uint64)
    for value in distinct(differing).tolist():
        facts[differing == value] = canonical(value, high) << f.FLAGS_SHIFT
    shift = seen.pgoff - (
        seen.start >> np.uint64(kernel.page_shift)
    )  # modulo 2**64, as in the kernel

    def add(bit: int, where: Bools) -> None:
        facts[where] |= np.uint64(bit)

    add(f.SPECIAL, ((seen.flags[a] | seen.flags[b]) & np.uint64(VM_SPECIAL)) != 0)
    add(f.FILE, seen.file[a] != seen.file[b])
    add(f.UFFD, seen.uffd[a] != seen.uffd[b])
    add(f.NAME, ~same_names(look, layout, seen.name[a], seen.name[b]))
    add(f.POLICY, ~same_policies(look, layout, seen.policy[a], seen.policy[b]))
    add(f.PGOFF, shift[a] != shift[b])
    add(f.AV_SAME, (seen.anon_vma[b] != 0) & (seen.anon_vma[a] == seen.anon_vma[b]))
    facts |= seen.chain[a].astype(np.uint64) << np.uint64(f.A_AV_SHIFT)
    facts |= seen.chain[b].astype(np.uint64) << np.uint64(f.B_AV_SHIFT)
    add(f.A_EXCLUSIVE, seen.exclusive[a])
    add(f.B_EXCLUSIVE, seen.exclusive[b])
    add(f.UNKNOWN_EXCLUSIVE, seen.unknown_exclusive[a] | seen.unknown_exclusive[b])
    return facts
