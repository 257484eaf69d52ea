# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording as it might have been."""

from __future__ import annotations

from dataclasses import replace

from vmad.blame.attribution import Origin
from vmad.blame.blamed import Blamed, Maker, OneProcess
from vmad.blame.stack import NO_STACK, Ending, Frame, Stack
from vmad.model.kinds import Kind
from vmad.sources.bpf.blame import Losses

LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"
GC = "/opt/app/lib/libcollector.so"

GROW = Stack(
    (
        Frame("__mprotect", LIBC, 0x10),
        Frame("commit_region", GC, 0x20, "heap.c:42", "abcd"),
        Frame("gc_grow", GC, 0x30),
        Frame("main", "/opt/app/bin/app", 0x40),
        Frame("_start", "/opt/app/bin/app", 0x50),
    ),
    Ending.COMPLETE,
)
THREADS = Stack(
    (
        Frame("mmap64", LIBC, 0x10),
        Frame("pthread_create@@GLIBC_2.34", LIBC, 0x20),
        Frame(None, "/opt/app/bin/app;x", 0x123),
    ),
    Ending.CUT,
)
NOTHING_LOST = Losses(0, 0, 0, 0, 0)

BLAMED = Blamed(
    4242,
    "gc</script>app",
    10.0,
    100,
    12_000,
    24_000,
    "sys_enter",
    (
        Maker("anon_vma_differs", None, Origin.RECORDED, "mprotect", GROW, 11_000, 0, 9.0),
        Maker(None, Kind.ANON_NO_ACCESS, Origin.RECORDED, "mmap", THREADS, 800, 3, 1.0),
        Maker(None, Kind.FILE, Origin.BEFORE, None, NO_STACK, 190, 0, 0.0),
        Maker(None, Kind.STACK, Origin.KERNEL, None, NO_STACK, 10, 0, 0.0),
    ),
    NOTHING_LOST,
    2,
    1,
)

#: the same with two children, one of which has ended
WITH_CHILDREN = replace(
    BLAMED,
    children=(
        OneProcess(
            4300,
            "worker",
            1_010,
            (
                Maker("anon_vma_differs", None, Origin.RECORDED, "mprotect", GROW, 1_000, 2, 1.0),
                Maker(None, Kind.STACK, Origin.KERNEL, None, NO_STACK, 10, 0, 0.0),
            ),
        ),
        OneProcess(
            4301,
            "helper",
            30,
            (Maker(None, Kind.FILE, Origin.KERNEL, None, NO_STACK, 30, 0, 0.0),),
            2.5,
            30,
        ),
    ),
)
