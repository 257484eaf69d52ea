# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Allocators and runtimes that make VMAs for others, by their functions and files.

A frame that belongs to one says how memory was got, not who wanted it: the caller that a
developer looks for is the first frame that belongs to none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from vmad.blame.stack import Frame, Stack
from vmad.model.program import Program
from vmad.model.sign import Where


@dataclass(frozen=True, slots=True)
class KnownMaker:
    """``functions`` (whole names) or ``modules`` (names of files) give it away.

    ``name`` is what a person calls it. ``program`` is that of which advice speaks (vmad/advice).
    """

    name: str
    functions: re.Pattern[str] | None
    modules: tuple[re.Pattern[str], ...] = ()
    program: Program | None = None


def _known(
    name: str, functions: str | None, module: str | None = None, of: Program | None = None
) -> KnownMaker:
    return KnownMaker(
        name,
        None if functions is None else re.compile(functions),
        () if module is None else (re.compile(module),),
        of,
    )


def _allocator(program: Program, functions: str) -> KnownMaker:
    """All of its file is its own: the file by which advice recognises it, too."""
    files = tuple(sign.expression for sign in program.signs if sign.where is Where.FILE)
    return KnownMaker(program.value, re.compile(functions), files, program)


#: the first that fits counts
KNOWN: Final[tuple[KnownMaker, ...]] = (
    _allocator(Program.JEMALLOC, r"(?:_rjem_)?je_.*"),
    _allocator(Program.MIMALLOC, r"_?mi_.*"),
    _allocator(Program.TCMALLOC, r"tcmalloc(?:::|_).*|.*TCMalloc.*|.*TC_.*"),
    _allocator(Program.HARDENED_MALLOC, r"h_malloc.*"),
    _known("Boehm GC", r"GC_.*", r"libgc\.so.*"),
    _known("TBB malloc", r"rml::.*", r"libtbbmalloc[\w.-]*"),
    _known("Go runtime", r"runtime\..*", of=Program.GO),
    _known("V8", r"v8::.*|Builtins?_.*", of=Program.V8),
    _known(
        "HotSpot",
        r"(?:os|G1|Shenandoah|Z|VirtualSpace|ReservedSpace|JavaThread|Thread|Metaspace|CodeHeap)"
        r"\w*::.*|metaspace::.*|java_start|thread_native_entry",
        of=Program.HOTSPOT,
    ),
    _known(
        "CPython's arenas",
        r"_PyObject_Arena\w*|_PyMem_Arena\w*|new_arena|allocate_from_new_pool|_?Py(?:Mem|Object)_"
        r"(?:Raw)?(?:Malloc|Calloc|Realloc|Free)",
        of=Program.CPYTHON,
    ),
    _known("PHP fibers", r"zend_fiber_\w*|zend_mm_\w*|_?zend_(?:mm|fiber)\w*", of=Program.PHP),
    _known("Ruby fibers", r"fiber_(?:pool|machine)\w*|fiber_\w*alloc\w*", of=Program.RUBY),
    _known("libffi", None, r"libffi\.so.*"),
    _known("thread stacks", r"(?:__)?pthread_create.*|allocate_stack|create_thread"),
    _known(
        "dynamic linker",
        r"_?dl_?\w*(?:map|open|load|catch|protect|relocate)\w*|dlopen.*|_dl_\w+",
        r"ld-(?:linux|musl)[\w.-]*",
    ),
    _known(
        "malloc",
        r"_*(?:libc_)?(?:malloc|calloc|realloc|reallocarray|free|cfree|memalign|aligned_alloc"
        r"|posix_memalign|valloc|malloc_trim|sbrk|brk|int_malloc|int_free|int_realloc"
        r"|sysmalloc|sysmalloc_mmap|systrim|new_heap|alloc_new_heap|arena_get2?|grow_heap"
        r"|heap_trim|shrink_heap|mremap_chunk|munmap_chunk|malloc_consolidate)(?:@.*)?"
        r"|operator new.*|operator delete.*|std::.*allocator.*",
    ),
    _known(
        "libc",
        r"_*(?:mmap(?:64)?|munmap|mprotect|mremap|madvise|mlock2?|munlock|shmat|prctl|syscall"
        r"|pkey_mprotect|mbind|brk|sbrk|clone3?|start_thread)(?:@.*)?",
        r"libc(?:\.so|-).*|ld-musl[\w.-]*|libpthread[\w.-]*",
    ),
)  # fmt: skip


def known_maker(frame: Frame) -> KnownMaker | None:
    """Whom a frame belongs to; None: to the program, as far as is known."""
    module = PurePath(frame.module).name if frame.module is not None else None
    function = frame.function.split("(", 1)[0] if frame.function is not None else None
    for known in KNOWN:
        if known.functions is not None and function and known.functions.fullmatch(function):
            return known
        if module is not None and any(own.match(module) for own in known.modules):
            return known
    return None


def _makers(stack: Stack) -> Iterator[KnownMaker]:
    """Those that a stack begins with, the innermost first."""
    for frame in stack.frames:
        known = known_maker(frame)
        if known is None:
            return
        yield known


def made_with(stack: Stack) -> tuple[str, ...]:
    """The known makers that a stack begins with, the innermost first, each once; libc itself only
    where there is no other."""
    names = dict.fromkeys(known.name for known in _makers(stack))
    return tuple(name for name in names if name != "libc")


def programs_of(stack: Stack) -> frozenset[Program]:
    """Of those makers, the programs that there may be advice about."""
    return frozenset(known.program for known in _makers(stack) if known.program is not None)


def callers(stack: Stack) -> tuple[Frame, ...]:
    """The frames from the one that wanted the memory outwards; all, where all belong to known
    makers."""
    for place, frame in enumerate(stack.frames):
        if known_maker(frame) is None:
            return stack.frames[place:]
    return stack.frames
