# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kind of each VMA, by the tests of vmad/sources/bpf/look.bpf.h."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vmad.model.flags import ACCESS, VM_WRITE
from vmad.model.kinds import Kind
from vmad.sources.guest.btf import Field
from vmad.sources.guest.layout import Layout
from vmad.sources.guest.memory import U64, Look
from vmad.sources.guest.pairs import Bools, Seen

SHARED_MEMORY_MAGICS = (0x01021994, 0x958458F6)  # tmpfs, hugetlbfs
_STACKED_MAGICS = (0x794C7630, 0x65735546)  # overlayfs, FUSE
#: FMODE_BACKING moved from bit 25 to 24 in 6.14; the filesystem decides
_MAY_BE_BACKING = 1 << 25 | 1 << 24


@dataclass(frozen=True, slots=True)
class Area:
    """Where the kernel has put an address space's heap, stack and vdso (0: not known)."""

    start_brk: int
    brk: int
    start_stack: int
    vdso: int


def area_of(look: Look, layout: Layout, mm: int) -> Area:
    """Read it from an mm_struct."""
    vdso = layout.get("mm_struct.context.vdso")
    return Area(
        look.one(mm, layout["mm_struct.start_brk"]),
        look.one(mm, layout["mm_struct.brk"]),
        look.one(mm, layout["mm_struct.start_stack"]),
        0 if vdso is None else look.one(mm, vdso),
    )


def kinds_of(look: Look, layout: Layout, seen: Seen, area: Area) -> npt.NDArray[np.uint8]:
    """A Kind of each VMA."""
    access = seen.flags & np.uint64(ACCESS)
    kind = np.full(len(seen.start), Kind.ANON_OTHER, np.uint8)
    kind[access & np.uint64(VM_WRITE) != 0] = Kind.ANON_WRITABLE
    kind[access == 0] = Kind.ANON_NO_ACCESS
    plain = seen.anonymous & (seen.file == 0)
    stack = np.uint64(area.start_stack)
    kind[plain & (seen.start <= stack) & (seen.end >= stack)] = Kind.STACK
    heap = (seen.start < np.uint64(area.brk)) & (seen.end > np.uint64(area.start_brk))
    kind[plain & heap] = Kind.HEAP
    mapped = np.flatnonzero(~seen.anonymous)
    files, number = np.unique(seen.file[mapped], return_inverse=True)
    kind[mapped] = _kinds_of_files(look, layout, files)[number]
    return kind


def _kinds_of_files(look: Look, layout: Layout, files: U64) -> npt.NDArray[np.uint8]:
    """A Kind of each struct file; a NULL is a special mapping."""
    kinds = np.full(len(files), Kind.SPECIAL, np.uint8)
    there = files != 0
    names = ("file.f_mode", "file.f_path.dentry")
    mode, dentry = look.fields(files[there], [layout[name] for name in names])
    # of the dentry: before 6.8 the inode of a file of overlayfs is that of the filesystem below
    (block,) = look.fields(dentry, [layout["dentry.d_sb"]])
    kinds_here = _kind_by(_magic(look, layout, block), is_unlinked(look, layout, dentry))
    user = layout.get("backing_file.user_path.dentry")
    if user is not None:
        backing = np.flatnonzero(mode & np.uint64(_MAY_BE_BACKING))
        for row in backing.tolist():
            upper = user_path(look, layout, int(files[there][row]), user)
            if upper is not None:
                at = np.array([upper[0]], np.uint64)
                kinds_here[row] = _kind_by(np.array([upper[1]]), is_unlinked(look, layout, at))[0]
    kinds[there] = kinds_here
    return kinds


def _kind_by(magic: U64, unlinked: Bools) -> npt.NDArray[np.uint8]:
    kinds = np.where(unlinked, Kind.FILE_DELETED, Kind.FILE).astype(np.uint8)
    kinds[np.isin(magic, SHARED_MEMORY_MAGICS)] = Kind.SHARED_MEMORY
    return kinds


def _magic(look: Look, layout: Layout, blocks: U64) -> U64:
    (magic,) = look.fields(blocks, [layout["super_block.s_magic"]])
    return magic


def is_unlinked(look: Look, layout: Layout, dentries: U64) -> Bools:
    """d_unlinked(): what makes maps say " (deleted)"."""
    pprev, parent = look.fields(
        dentries, [layout["dentry.d_hash.pprev"], layout["dentry.d_parent"]]
    )
    unlinked: Bools = (pprev == 0) & (parent != dentries)
    return unlinked


def user_path(look: Look, layout: Layout, file: int, dentry: Field) -> tuple[int, int] | None:
    """(dentry, magic) of what the user opened, where ``file`` is a backing_file of a stacked
    filesystem; None where it is not (file_user_path(), include/linux/fs.h, 6.8).
    """
    if not look.one(file, layout["file.f_mode"]) & _MAY_BE_BACKING:
        return None
    upper = look.one(file, dentry)
    if not upper:
        return None
    block = np.array([look.one(upper, layout["dentry.d_sb"])], np.uint64)
    magic = int(_magic(look, layout, block)[0])
    return (upper, magic) if magic in _STACKED_MAGICS else None
