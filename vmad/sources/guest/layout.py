# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The fields of kernel structures that a guest is read by, and where this kernel has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmad.rules.vma_cost import STRUCTURES
from vmad.sources.guest.btf import Btf, Field

#: what every kernel since 5.10 has; a kernel without one of these cannot be read
NEEDED = (
    "task_struct.pid",
    "task_struct.tgid",
    "task_struct.flags",
    "task_struct.mm",
    "task_struct.comm",
    "task_struct.tasks.next",
    "task_struct.group_leader",
    "task_struct.start_boottime",
    "task_struct.signal",
    "task_struct.thread_node.next",
    "task_struct.thread_pid",
    "task_struct.nsproxy",
    "task_struct.pid_links",
    "signal_struct.thread_head.next",
    "pid.level",
    "pid.tasks",
    "pid.numbers",
    "upid.nr",
    "upid.ns",
    "pid_namespace.idr.idr_rt.xa_head",
    "xa_node.shift",
    "xa_node.slots",
    "mm_struct.total_vm",
    "mm_struct.start_brk",
    "mm_struct.brk",
    "mm_struct.start_stack",
    "vm_area_struct.vm_start",
    "vm_area_struct.vm_end",
    "vm_area_struct.vm_mm",
    "vm_area_struct.vm_flags",
    "vm_area_struct.vm_pgoff",
    "vm_area_struct.vm_file",
    "vm_area_struct.vm_ops",
    "vm_area_struct.anon_vma",
    "vm_area_struct.anon_vma_chain.next",
    "vm_area_struct.anon_vma_chain.prev",
    "anon_vma.root",
    "file.f_mode",
    "file.f_path.dentry",
    "file.f_path.mnt",
    "super_block.s_magic",
    "dentry.d_parent",
    "dentry.d_sb",
    "dentry.d_name.name",
    "dentry.d_hash.pprev",
    "mount.mnt",
    "mount.mnt_parent",
    "mount.mnt_mountpoint",
    "vfsmount.mnt_root",
    "ctl_table.procname",
    "ctl_table.data",
    "ctl_table.maxlen",
)
#: what comes and goes with release and configuration
OPTIONAL = (
    "mm_struct.map_count",
    "mm_struct.vma_count",  # proposed rename of map_count (Kalesh Singh's series, 2025)
    "mm_struct.mm_mt.ma_root",  # 6.1, d4af56c5c7c6
    "mm_struct.mm_rb",  # until 6.0
    "mm_struct.mmap_lock.count.counter",  # not with PREEMPT_RT
    "mm_struct.mm_lock_seq",  # 6.4, 5e31275cc997
    "mm_struct.mm_lock_seq.sequence",  # 6.14, eb449bd96954
    "mm_struct.exe_file",
    "mm_struct.context.vdso",
    "rb_node.rb_left",
    "rb_node.rb_right",
    "maple_node.parent",
    "maple_range_64.pivot",
    "maple_range_64.slot",
    "maple_arange_64.pivot",
    "maple_arange_64.slot",
    "vm_area_struct.vm_rb",
    "vm_area_struct.vm_private_data",
    "vm_special_mapping.name",
    "vm_area_struct.vm_userfaultfd_ctx.ctx",  # CONFIG_USERFAULTFD
    "vm_area_struct.vm_policy",  # CONFIG_NUMA
    "vm_area_struct.anon_name",  # 5.17 and CONFIG_ANON_VMA_NAME
    "anon_vma_name.name",
    "anon_vma.num_children",  # 5.19, 2555283eb40d
    "anon_vma.degree",
    "mempolicy.mode",
    "mempolicy.flags",
    "mempolicy.nodes",
    "mempolicy.v.nodes",  # until 5.13
    "mempolicy.v.preferred_node",
    "mempolicy.home_node",  # 5.17, c6018b4b2549
    "mempolicy.w.user_nodemask",
    "backing_file.user_path.dentry",  # 6.8, def3ae83da02
    "backing_file.user_path.mnt",
    "task_struct.cgroups",
    "css_set.dfl_cgrp",
    "cgroup.kn",
    "kernfs_node.name",
    "kernfs_node.parent",
    "kernfs_node.__parent",  # 6.15, 633488947ef6
    "nsproxy.uts_ns",
    "uts_namespace.name.nodename",
    "uts_namespace.name.release",
)
SIZES = (*STRUCTURES, "xa_node", "maple_range_64", "upid", "file", "mempolicy")


#: bytes, beyond what any structure of a kernel has: offsets, and sizes of fields
_LARGEST_OFFSET, _LARGEST_SIZE = 1 << 20, 1 << 14
#: arrays of no length of their own, of which only the place is asked for
_OPEN_ENDED = frozenset(("pid.numbers", "anon_vma_name.name"))


class WrongTypes(Exception):
    """These types lack what every kernel has; the text names it."""


@dataclass(frozen=True)
class Layout:
    """Places by "structure.field"; a structure's size by its name."""

    fields: Mapping[str, Field]
    sizes: Mapping[str, int]

    def __getitem__(self, name: str) -> Field:
        return self.fields[name]

    def get(self, name: str) -> Field | None:
        """A field that this kernel may lack."""
        return self.fields.get(name)

    def first(self, *names: str) -> Field | None:
        """The first of several names that this kernel has."""
        return next((self.fields[name] for name in names if name in self.fields), None)

    def as_json(self) -> dict[str, Any]:
        """What :func:`from_json` takes."""
        places = {name: [field.offset, field.size] for name, field in self.fields.items()}
        return {"fields": places, "sizes": dict(self.sizes)}


def from_json(stored: Mapping[str, Any]) -> Layout:
    """Raises KeyError, TypeError, ValueError, AttributeError, OverflowError for what
    :meth:`Layout.as_json` did not write.
    """
    fields = {
        str(name): Field(int(offset), int(size))
        for name, (offset, size) in stored["fields"].items()
    }
    if missing := [name for name in NEEDED if name not in fields]:
        raise ValueError(missing[0])
    try:
        _check(fields)
    except WrongTypes as error:
        raise ValueError(str(error)) from error
    return Layout(fields, {str(name): int(size) for name, size in stored["sizes"].items()})


def _check(fields: Mapping[str, Field]) -> None:
    """Raises WrongTypes for places that no kernel has, before anything is read there."""
    for name, field in fields.items():
        least = 0 if name in _OPEN_ENDED else 1
        if not (0 <= field.offset < _LARGEST_OFFSET and least <= field.size <= _LARGEST_SIZE):
            raise WrongTypes(f"{name} is {field.size} bytes at {field.offset}, which cannot be")
    for node in ("maple_range_64", "maple_arange_64"):
        pivot, slot = fields.get(f"{node}.pivot"), fields.get(f"{node}.slot")
        if pivot is not None and slot is not None and pivot.size // 8 + 1 < slot.size // 8:
            raise WrongTypes(f"{node} has fewer pivots than slots, which cannot be")


def layout_of(btf: Btf) -> Layout:
    """Look everything up. Raises WrongTypes, BadBtf."""
    fields = {}
    for name in (*NEEDED, *OPTIONAL):
        structure, _, path = name.partition(".")
        field = btf.field(structure, path)
        if field is not None:
            fields[name] = field
        elif name in NEEDED:
            raise WrongTypes(f"{structure} has no {path}")
    if "mm_struct.map_count" not in fields and "mm_struct.vma_count" not in fields:
        raise WrongTypes("mm_struct has no map_count")
    if "mm_struct.mm_mt.ma_root" not in fields and "mm_struct.mm_rb" not in fields:
        raise WrongTypes("mm_struct has neither mm_mt nor mm_rb")
    _check(fields)
    sizes = {name: size for name in SIZES if (size := btf.size_of(name)) is not None}
    return Layout(fields, sizes)
