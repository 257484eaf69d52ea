# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Patterns of files and shared memory, by the object that is mapped."""

from __future__ import annotations

import re

import numpy as np

from vmad.advice.finding.layout import FEW, NUMBER, Bools, Layout, Rows
from vmad.advice.pattern import Pattern
from vmad.model.distinct import distinct
from vmad.model.kinds import Kind
from vmad.model.table import VmaTable

#: different libraries of one process beyond which they are a pattern: scikit-learn brings 280
MANY = 512
#: files that stand for what the kernel shares with a program: each mapping is another one
_RINGS = ("anon_inode:", "/[aio]", "socket:")
#: names of memory that is shared and no file: the kernel's own, and shm_open(3)'s, which takes no
#: name with a directory
_SEGMENTS = re.compile(r"/(?:dev/shm/[^/]*$|memfd:|SYSV|dev/zero|anon_hugepage)")


def give_files(layout: Layout) -> dict[Pattern, int]:
    """Rows of files and shared memory, by the object that they map; number of objects."""
    mapped = np.isin(layout.kind, (Kind.FILE, Kind.FILE_DELETED, Kind.SHARED_MEMORY))
    which = np.flatnonzero(mapped)
    if not len(which):
        return {}
    of, objects = _objects(layout.table, which)
    executable = np.bincount(of, layout.access[which] & 4, minlength=objects) > 0
    pieces = np.bincount(of, minlength=objects)
    # pieces that touch the one before and continue it: they were one mapping
    offset = layout.table.rows["pgoff"][which].astype(np.int64)
    beside = (np.diff(which) == 1) & layout.touches[which[1:]] & (of[1:] == of[:-1])
    continues = np.zeros(len(which), bool)
    continues[1:] = beside & (
        offset[1:] - offset[:-1] == layout.size[which[:-1]] >> layout.page_shift
    )
    split = np.bincount(of, continues, minlength=objects)
    backwards = np.zeros(len(which), bool)
    backwards[1:] = beside & (
        offset[:-1] - offset[1:] == layout.size[which[1:]] >> layout.page_shift
    )
    reverse = np.bincount(of, backwards, minlength=objects)
    shared = layout.kind[which] == Kind.SHARED_MEMORY
    file, gone = _files_of_memory(layout.table, which)
    deleted = (layout.kind[which] == Kind.FILE_DELETED) | shared & gone
    library = executable[of] & ~shared
    many_libraries = len(distinct(of[library])) > MANY
    layout.give(which[library], Pattern.MANY_LIBRARIES if many_libraries else Pattern.LIBRARIES)
    _data_of_libraries(layout)
    layout.give(which[_rings(layout.table, which)], Pattern.KERNEL_RINGS)
    layout.give(which[deleted], Pattern.DELETED_FILES)
    many = pieces >= FEW
    layout.give(which[(many & (split * 2 >= pieces))[of]], Pattern.OBJECT_SPLIT)
    layout.give(which[(many & (reverse * 2 >= pieces))[of]], Pattern.OBJECT_REVERSED)
    layout.give(which[many[of]], Pattern.OBJECT_IN_PIECES)
    layout.give(which[shared & ~file], Pattern.MANY_SEGMENTS)
    layout.give(which, Pattern.MANY_OBJECTS)
    return {
        pattern: len(distinct(of[layout.of_row[which] == NUMBER[pattern]]))
        for pattern in (
            Pattern.LIBRARIES, Pattern.MANY_LIBRARIES, Pattern.KERNEL_RINGS, Pattern.DELETED_FILES,
            Pattern.OBJECT_SPLIT, Pattern.OBJECT_REVERSED, Pattern.OBJECT_IN_PIECES,
            Pattern.MANY_OBJECTS, Pattern.MANY_SEGMENTS,
        )
    }  # fmt: skip


def _objects(table: VmaTable, which: Rows) -> tuple[Rows, int]:
    """The number of the object of each row of ``which``, and how many there are.

    Kernel evidence numbers open files, of which one path may have many; names of memory objects
    and deleted files say little, since many have the same.
    """
    numbers: dict[object, int] = {}
    kinds, files = table.rows["kind"][which].tolist(), table.rows["file"][which].tolist()
    numbers_of_rows = np.empty(len(which), np.int64)
    for place, (row, kind, file) in enumerate(zip(which.tolist(), kinds, files, strict=True)):
        name = table.paths.get(row) if kind == Kind.FILE or not file else None
        numbers_of_rows[place] = numbers.setdefault(file if name is None else name, len(numbers))
    return numbers_of_rows, len(numbers)


def _files_of_memory(table: VmaTable, which: Rows) -> tuple[Bools, Bools]:
    """Which of these rows, where they are of tmpfs, are files as others are, and which of those
    are deleted: /tmp is one on many machines. Right in /dev/shm segments have their names.
    """
    paths = [table.paths.get(row, "") for row in which.tolist()]
    file = np.array([path[:1] == "/" and not _SEGMENTS.match(path) for path in paths], bool)
    deleted = np.array([path.endswith(" (deleted)") for path in paths], bool)
    return file, file & deleted


def _rings(table: VmaTable, which: Rows) -> Bools:
    """Which of these rows are shared with the kernel itself."""
    return np.array([table.paths.get(row, "").startswith(_RINGS) for row in which.tolist()], bool)


def _data_of_libraries(layout: Layout) -> None:
    """Anonymous memory right behind a library's mapping is its zeroed data (.bss)."""
    for pattern in (Pattern.LIBRARIES, Pattern.MANY_LIBRARIES):
        behind = np.zeros(len(layout.kind), bool)
        behind[1:] = (
            layout.touches[1:] & (layout.of_row[:-1] == NUMBER[pattern]) & layout.writable[1:]
        )
        layout.give(behind, pattern)
