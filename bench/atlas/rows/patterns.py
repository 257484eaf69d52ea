# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Patterns without a program: what some program does, done by loads/shapes.c."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.atlas.row import ROOT, Row


def _rebuilt(pid: int, place: Path) -> None:
    """Waits until the shape stands, then joins what a rebuild can join."""
    del place
    maps, before = Path(f"/proc/{pid}/maps"), -1
    while before != (now := maps.read_bytes().count(b"\n")) or now < 100:
        before = now
        time.sleep(0.5)
    heal = [sys.executable, "-m", "vmad", "heal", str(pid), "--rebuild", "--apply"]
    subprocess.run(heal, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _row(name: str, load: str, *words: str, **more: str) -> Row:
    return Row(name, "Patterns", "shapes.c", load, ("{build}/shapes", *words), env=more)


def _piece(name: str, load: str, kind: str, mode: str = "") -> Row:
    argv = ("{build}/pieces", kind, "2000", mode)
    return Row(name, "Patterns", "pieces.c", load, argv)


ROWS = (
    _row(
        "coroutines-mprotect", "10,000 stacks, a guard page each", "coroutines", "10000", "mprotect"
    ),
    _row(
        "coroutines-guard-regions",
        "10,000 stacks, MADV_GUARD_INSTALL",
        "coroutines",
        "10000",
        "guard",
    ),
    _row("coroutines-pooled", "1,000 stacks, a guard page each", "coroutines", "1000", "mprotect"),
    _row("threads-glibc", "1,000 threads", "threads", "1000"),
    _row("threads-glibc-100", "100 threads", "threads", "100"),
    _row("arenas-one-thread", "one thread fills 320 heaps of 64 MiB", "arenas", "320", "1"),
    _row(
        "arenas-one-thread-max2",
        "one thread fills 320 heaps, MALLOC_ARENA_MAX=2",
        "arenas",
        "320",
        "1",
        MALLOC_ARENA_MAX="2",
    ),
    _row(
        "arenas-one-thread-max1",
        "one thread fills 320 heaps, MALLOC_ARENA_MAX=1",
        "arenas",
        "320",
        "1",
        MALLOC_ARENA_MAX="1",
    ),
    _row("holes-munmap", "every fourth page of a heap unmapped", "holes", "30000", "unmap"),
    _row(
        "holes-dontneed", "every fourth page of a heap MADV_DONTNEED", "holes", "30000", "dontneed"
    ),
    _row(
        "dontfork-kept",
        "every second page of a pool MADV_DONTFORK",
        "dontfork",
        "5000",
        "alternate",
    ),
    _row("dontfork-given-back", "MADV_DONTFORK, then MADV_DOFORK", "dontfork", "5000", "undone"),
    _row("glibc-realloc", "200 vectors grown by realloc", "vectors", "200"),
    _row(
        "glibc-realloc-threshold",
        "200 vectors, MALLOC_MMAP_THRESHOLD_=1 GiB",
        "vectors",
        "200",
        MALLOC_MMAP_THRESHOLD_="1073741824",
    ),
    _row(
        "reserve-random", "a reserve written in 2,000 pieces at random", "reserve", "2000", "random"
    ),
    _row(
        "reserve-ascending",
        "a reserve written in 2,000 pieces, ascending",
        "reserve",
        "2000",
        "ascending",
    ),
    _row(
        "reserve-whole",
        "a reserve of 2,000 pieces made writable as a whole",
        "reserve",
        "2000",
        "whole",
    ),
    _row(
        "memfd-descending",
        "2,000 pieces of a memfd, offsets descending",
        "memfd",
        "2000",
        "descending",
    ),
    _row(
        "memfd-ascending",
        "2,000 pieces of a memfd, offsets ascending",
        "memfd",
        "2000",
        "ascending",
    ),
    _row("files-many", "5,000 files of 4 KiB", "files", "5000", "many"),
    _row("file-in-blocks", "5,000 blocks of one file", "files", "5000", "blocks"),
    _row("files-one", "one file of the same size", "files", "5000", "one"),
    _row("files-deleted", "5,000 files, deleted", "files", "5000", "deleted"),
    _row("file-advised", "MADV_RANDOM on every second page of a file", "files", "2000", "advised"),
    _row("file-advised-whole", "MADV_RANDOM on all of a file", "files", "2000", "advised_whole"),
    _row("access-alternating", "every second page read-only", "access", "2000", "alternate"),
    _row("access-two-pools", "the same number of pages in one half", "access", "2000", "whole"),
    _row("advice-alternating", "MADV_RANDOM on every second page", "advice", "2000", "alternate"),
    _row("advice-whole", "the same number of pages in one half", "advice", "2000", "whole"),
    _row("lock-alternating", "every second page locked", "lock", "2000", "alternate"),
    _row("lock-whole", "the same number of pages in one half", "lock", "2000", "whole"),
    _row("wasm-reservations", "1,000 memories of 64 KiB in 4 GiB each", "wasm", "1000"),
    _row("segments-many", "3,000 shared areas of a page", "segments", "3000", "many"),
    _row("segments-one", "one shared area of the same size", "segments", "3000", "one"),
    _row("stacks-grow", "3,000 stacks of 64 KiB, MAP_GROWSDOWN", "stacks", "3000", "grow"),
    _row("stacks-fixed", "3,000 stacks of 64 KiB without it", "stacks", "3000", "fixed"),
    _row("rings-3000", "3,000 contexts of aio", "rings", "3000"),
    _row("rings-30", "30 contexts of aio", "rings", "30"),
    _row("heap-blocks", "3,000 blocks of 128 KiB at random addresses", "heap", "3000"),
    _row("purged-protect", "every second written page PROT_NONE", "purged", "3000", "protect"),
    _row(
        "purged-dontneed", "every second written page MADV_DONTNEED", "purged", "3000", "dontneed"
    ),
    Row(
        "reserve-rebuilt",
        "Patterns",
        "shapes.c",
        "a reserve written at random, then rebuilt",
        ("{build}/shapes", "reserve", "2000", "random"),
        ready=_rebuilt,
    ),
    _row("reserve-forked", "a reserve written at random, and a child", "forked", "2000"),
    _piece("slices-protected", "every second 64 KiB of a heap taken back by PROT_NONE", "slices"),
    _piece("code-alternating", "every second 64 KiB made executable", "code"),
    _piece("policies-alternating", "every second page bound to a node", "policies"),
    _piece("registered-alternating", "every second page in a userfaultfd", "registered"),
    _piece("accounted-alternating", "every second page MAP_NORESERVE", "accounted"),
    _piece("zero-pages", "a page from each of 2,000 opens of /dev/zero", "zero"),
    _piece("blocks-guarded", "2,000 blocks of a page between guard pages", "blocks"),
    _piece("wasm-images", "2,000 memories that begin as an image", "images"),
    _piece("buffers-moved", "2,000 buffers that mremap grows in turn", "buffers", "moved"),
    _piece("buffers-reserved", "2,000 buffers that grow in place", "buffers", "reserved"),
)
