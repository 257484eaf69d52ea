# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What maps prints in its last column, and what else a guest calls things: read from its memory.

A path goes from a dentry up to the root of its mount, on from where that is mounted, as d_path()
does; what lies outside of the first namespace's root is shown from there.
"""

from __future__ import annotations

import os

import numpy as np

from vmad.sources.guest.kinds import SHARED_MEMORY_MAGICS, Area, is_unlinked, user_path
from vmad.sources.guest.layout import Layout
from vmad.sources.guest.memory import Look, Torn
from vmad.sources.guest.pairs import Seen

#: steps of one path, and bytes of one of its names (NAME_MAX and its NUL)
MOST_STEPS, LONGEST = 256, 256
_ANON_INODE_MAGIC = 0x09041934  # include/uapi/linux/magic.h
_SPECIAL_NAME = "vm_special_mapping.name"


def names_of(look: Look, layout: Layout, seen: Seen, area: Area) -> dict[int, str]:
    """The name of each VMA by its row; absent where there is none."""
    names: dict[int, str] = {}
    files: dict[int, str] = {}
    for row in np.flatnonzero(seen.file).tolist():
        file = int(seen.file[row])
        if file not in files:
            files[file] = path_of_file(look, layout, file)
        names[row] = files[file]
    bare = np.flatnonzero(seen.file == 0)
    for row in bare[seen.name[bare] != 0].tolist():
        place = layout["anon_vma_name.name"]
        raw = look.text(int(seen.name[row]) + place.offset, 80)
        names[row] = f"[anon:{os.fsdecode(raw)}]"
    start, end = seen.start[bare], seen.end[bare]
    plain = seen.anonymous[bare]
    stack = np.uint64(area.start_stack)
    heap = plain & (start < np.uint64(area.brk)) & (end > np.uint64(area.start_brk))
    for row in bare[plain & (start <= stack) & (end >= stack)].tolist():
        names.setdefault(row, "[stack]")
    for row in bare[heap].tolist():
        names.setdefault(row, "[heap]")
    names |= _special_names(look, layout, seen, area)
    return names


def _special_names(look: Look, layout: Layout, seen: Seen, area: Area) -> dict[int, str]:
    """[vdso], and what has the same operations: [vvar] and its like (special_mapping_name())."""
    private, name = (
        layout.get(field) for field in ("vm_area_struct.vm_private_data", _SPECIAL_NAME)
    )
    vdso = np.flatnonzero(seen.start == np.uint64(area.vdso))
    if not area.vdso or not len(vdso) or private is None or name is None:
        return {}
    ops = seen.ops[vdso[0]]
    names = {}
    for row in np.flatnonzero((seen.ops == ops) & (seen.file == 0)).tolist():
        mapping = look.one(int(seen.address[row]), private)
        names[row] = os.fsdecode(look.text(look.one(mapping, name), LONGEST))
    return names


def path_of_file(look: Look, layout: Layout, file: int) -> str:
    """The path of a struct file, " (deleted)" behind it where maps has that."""
    dentry, mount = (look.one(file, layout[f"file.f_path.{name}"]) for name in ("dentry", "mnt"))
    user, user_mount = (layout.get(f"backing_file.user_path.{name}") for name in ("dentry", "mnt"))
    if user is not None and user_mount is not None:
        upper = user_path(look, layout, file, user)
        if upper is not None:
            dentry, mount = upper[0], look.one(file, user_mount)
    return path_of(look, layout, dentry, mount)


def path_of(look: Look, layout: Layout, dentry: int, vfsmount: int) -> str:
    """The path of a dentry in a mount."""
    deleted = bool(is_unlinked(look, layout, np.array([dentry], np.uint64))[0])
    mount = vfsmount - layout["mount.mnt"].offset
    steps: list[str] = []
    for _ in range(MOST_STEPS):
        root = look.one(mount + layout["mount.mnt"].offset, layout["vfsmount.mnt_root"])
        above = look.one(dentry, layout["dentry.d_parent"])
        if dentry in (root, above):
            parent = look.one(mount, layout["mount.mnt_parent"])
            if dentry != root or parent == mount:
                break
            dentry, mount = look.one(mount, layout["mount.mnt_mountpoint"]), parent
            continue
        steps.append(name_of(look, layout, dentry))
        dentry = above
    else:
        raise Torn("a path does not end")
    if not steps:  # no parent either
        return _pseudo_path(look, layout, dentry)
    return "/" + "/".join(reversed(steps)) + " (deleted)" * deleted


def _pseudo_path(look: Look, layout: Layout, dentry: int) -> str:
    """What d_dname() of the filesystem makes of a file without a place: simple_dname() of tmpfs
    and hugetlbfs, anon_inodefs_dname() (fs/d_path.c, fs/anon_inodes.c).
    """
    name = name_of(look, layout, dentry)
    block = look.one(dentry, layout["dentry.d_sb"])
    magic = look.one(block, layout["super_block.s_magic"])
    if magic in SHARED_MEMORY_MAGICS:
        return f"/{name} (deleted)"
    return f"anon_inode:{name}" if magic == _ANON_INODE_MAGIC else name


def name_of(look: Look, layout: Layout, dentry: int) -> str:
    """The last part of a dentry's path."""
    return os.fsdecode(look.text(look.one(dentry, layout["dentry.d_name.name"]), LONGEST))


def cgroup_path(look: Look, layout: Layout, task: int) -> str | None:
    """The path of a task's group in the unified hierarchy; None where this cannot be read."""
    parent = layout.first("kernfs_node.__parent", "kernfs_node.parent")
    names = ("task_struct.cgroups", "css_set.dfl_cgrp", "cgroup.kn", "kernfs_node.name")
    fields = [layout.get(name) for name in names]
    if parent is None or any(field is None for field in fields):
        return None
    at = task
    for field in fields[:3]:
        assert field is not None
        at = look.one(at, field)
        if not at:
            return None
    name = fields[3]
    assert name is not None
    steps: list[str] = []
    for _ in range(MOST_STEPS):
        above = look.one(at, parent)
        if not above:
            return "/" + "/".join(reversed(steps))
        steps.append(os.fsdecode(look.text(look.one(at, name), LONGEST)))
        at = above
    raise Torn("a control group's path does not end")


def exe_path(look: Look, layout: Layout, mm: int) -> str | None:
    """The program that an address space was made for; None where there is none."""
    field = layout.get("mm_struct.exe_file")
    file = look.one(mm, field) if field is not None else 0
    return path_of_file(look, layout, file).removesuffix(" (deleted)") if file else None
