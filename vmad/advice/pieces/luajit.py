# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""LuaJIT's large blocks."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="luajit-smaller-strings",
        text="Keep large strings and tables outside of LuaJIT's allocator (ffi.C.malloc, "
        "string.buffer reused), or fewer of them at a time: each block from 128 KiB "
        "up is a mapping at a random address.",
        whose=Whose.PROGRAMMER,
        programs=(Program.LUAJIT,),
        patterns=(P.BLOCKS_APART, P.HOLES),
        proof=Documented(0.6, "3,405 VMAs with strings up to 200 KB, LuaJIT 2.1"),
        cost="A change of the program.",
        check="VMAs with no pair below become fewer.",
        source="LuaJIT src/lj_alloc.c, DEFAULT_MMAP_THRESHOLD; docs/atlas.md",
    ),
)
