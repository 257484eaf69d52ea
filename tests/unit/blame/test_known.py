# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Stacks of known allocators and runtimes, folded into the names that advice uses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.blame.samples import BLAMED
from vmad.advice.catalogue import with_advice
from vmad.blame.known import KNOWN, callers, made_with, programs_of
from vmad.blame.stack import Ending, Frame, Stack
from vmad.export.blame_text import blame_text
from vmad.export.style import Style
from vmad.model.program import Program

LIBC = "/usr/lib/libc.so.6"
MAIN = Frame("main", "/bin/app", 1)


def stack(*frames: tuple[str | None, str]) -> Stack:
    return Stack(
        (Frame("__mmap", LIBC, 0), *(Frame(name, file, 0) for name, file in frames), MAIN),
        Ending.COMPLETE,
    )


@pytest.mark.parametrize(
    ("frames", "names", "program"),
    [
        ([(None, "/usr/lib/libjemalloc.so.2")], "jemalloc", Program.JEMALLOC),
        ([("_rjem_je_pages_map", "/bin/app")], "jemalloc", Program.JEMALLOC),
        ([(None, "/opt/libmimalloc-secure.so.2.0")], "mimalloc", Program.MIMALLOC),
        ([("tcmalloc::SystemAlloc", "/bin/app")], "tcmalloc", Program.TCMALLOC),
        ([("zend_fiber_init_context", "/bin/php8.2")], "PHP fibers", Program.PHP),
        ([("os::reserve_memory(unsigned long)", "/x/libjvm.so")], "HotSpot", Program.HOTSPOT),
        ([("_PyObject_Malloc", "/bin/python3")], "CPython's arenas", Program.CPYTHON),
        ([("sysmalloc", LIBC)], "malloc", None),
    ],
)
def test_a_known_maker_has_its_name_and_the_caller_comes_behind_it(
    frames: list[tuple[str | None, str]], names: str, program: Program | None
) -> None:
    made = stack(*frames)

    assert made_with(made) == (names,)
    assert callers(made) == (MAIN,)
    assert programs_of(made) == ({program} if program else set())


def test_allocators_are_named_as_advice_names_them() -> None:
    named = {known.name for known in KNOWN}

    for program in (Program.JEMALLOC, Program.MIMALLOC):
        assert program.value in named
        assert program in with_advice()


def test_where_there_is_advice_about_a_maker_it_is_pointed_at() -> None:
    made = replace(BLAMED.makers[0], stack=stack((None, "/usr/lib/libjemalloc.so.2")))

    told = "\n".join(blame_text(replace(BLAMED, makers=(made,)), Style()))

    assert "What to change about jemalloc: vmad explain 4242" in told
    plain = "\n".join(blame_text(BLAMED, Style()))
    assert "What to change about" not in plain
