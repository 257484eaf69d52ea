# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a person reads of a recording."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.blame.samples import BLAMED, GROW, THREADS, WITH_CHILDREN
from vmad.blame.known import callers, made_with
from vmad.blame.stack import Frame
from vmad.export.blame_text import blame_text
from vmad.export.style import Style
from vmad.sources.bpf.blame import Losses


def test_the_first_line_says_how_many_vmas_and_of_how_many_the_maker_was_seen() -> None:
    lines = blame_text(BLAMED, Style())

    assert " ".join(lines[:2]) == (
        "gc</script>app (pid 4242) has 12,000 VMAs (+11,900 in 10 s); who made 98.3 % of them was "
        "seen, in 24,000 calls of 2 stacks, 2,400 calls a second."
    )


def test_a_maker_is_told_by_its_call_rate_and_callers_without_libc() -> None:
    text = "\n".join(blame_text(BLAMED, Style()))

    assert "1. pairs kept apart by anon_vma_differs: 11,000 VMAs (91.7 %)" in text
    assert "11,000  100.0 %, 1,100.0/s  mprotect\n       commit_region ← gc_grow ← main" in text
    assert "libcollector.so, heap.c:42" in text
    assert "mmap by thread stacks\n       app;x+0x123" in text


def test_what_nobody_was_seen_making_is_told_apart() -> None:
    text = "\n".join(blame_text(BLAMED, Style()))

    assert "190  made before the recording" in text
    assert " 10  made by the kernel" in text


def test_what_was_lost_and_what_is_doubtful_is_told() -> None:
    text = "\n".join(blame_text(replace(BLAMED, losses=Losses(5, 1, 0, 0, 9)), Style()))

    assert "Lost: 5 boundaries had no room." in text
    assert "Lost: 1 stacks had no room." in text
    assert "3 VMAs may have another maker" in text
    assert "800 VMAs need more than the 64 KiB copied" in " ".join(text.split())


def test_children_are_told_behind_it_each_with_its_own_makers() -> None:
    lines = blame_text(WITH_CHILDREN, Style())

    worker = lines.index(
        "Its child worker (pid 4300) has 1,010 VMAs; who made 99.0 % of them was seen."
    )
    helper = lines.index(
        "Its child helper (pid 4301) had 30 VMAs 2.5 s before the end; who made 0.0 % of them was "
        "seen."
    )
    assert "  1. pairs kept apart by anon_vma_differs: 1,000 VMAs (99.0 %)" in lines[worker:helper]
    assert "  30  made by the kernel: at execve, stack, heap, vdso" in lines[helper:]
    assert any(line.startswith("5 VMAs may have another maker") for line in lines[helper:])


def test_of_many_children_those_with_the_most_are_told_and_the_others_counted() -> None:
    (worker, helper) = WITH_CHILDREN.children
    many = replace(WITH_CHILDREN, children=(worker,) * 4 + (helper,) * 3)

    text = "\n".join(blame_text(many, Style()))

    assert text.count("Its child ") == 5
    assert "And 2 other children with 60 VMAs (-o FILE.html has all)." in text


def test_code_without_a_symbol_is_told_with_its_build_id() -> None:
    stripped = replace(GROW, frames=(Frame(None, "/opt/app/bin/app", 0x123, None, "cafe01"),))
    blamed = replace(BLAMED, makers=(replace(BLAMED.makers[0], stack=stripped),))

    text = "\n".join(blame_text(blamed, Style()))

    assert "app+0x123\n       app, build-id cafe01" in text


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_lines_fit_the_terminal(columns: int) -> None:
    assert max(map(len, blame_text(WITH_CHILDREN, Style(columns=columns)))) <= columns


def test_the_caller_is_the_first_frame_that_belongs_to_no_allocator() -> None:
    assert callers(GROW)[0].function == "commit_region"
    assert made_with(GROW) == ()
    assert callers(THREADS)[0].name == "app;x+0x123"
    assert made_with(THREADS) == ("thread stacks",)


def test_a_stack_of_an_allocator_alone_is_shown_whole() -> None:
    own = replace(GROW, frames=(Frame("je_pages_map", "/usr/lib/libjemalloc.so.2", 1),))

    assert callers(own) == own.frames
    assert made_with(own) == ("jemalloc",)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("void v8::internal::Heap::Grow<int>(std::vector<int> const&)", "v8::internal::Heap::Grow"),
        ("node::Start(int, char**)", "node::Start"),
        ("node::(anonymous namespace)::Worker(void*)", "node::(anonymous namespace)::Worker"),
        (
            "node::Pool::Start()::{lambda(void*)#1}::_FUN(void*)",
            "node::Pool::Start::{lambda#1}::_FUN",
        ),
        ("bool operator<(A const&, A const&)", "bool operator<(A const&, A const&)"),
        ("PyObject_Call", "PyObject_Call"),
        (
            "<alloc[fdfd2bd8633a6659]::RawVec<r[4dd80272b5a2d1fc]::Pool<(u64, u64)>>>::grow",
            "alloc::RawVec::grow",
        ),
        (
            "<r[4dd80272b5a2d1fc]::Pool<u8> as core[0123456789abcdef]::Clone>::clone",
            "r::Pool::clone",
        ),
        (
            "std[e28293b1aa0f68bd]::rt::lang_start::<fn() -> u8, ()>::{closure#0}",
            "std::rt::lang_start::{closure#0}",
        ),
        ("std[e28293b1aa0f68bd]::begin_short_backtrace::<fn(), ()>", "std::begin_short_backtrace"),
        ("alloc::RawVec<T,A>::grow_one::h2e52009057361448", "alloc::RawVec<T,A>::grow_one"),
        ("py::<module>:/srv/app.py", "py::<module>:/srv/app.py"),
        ("pthread_create@@GLIBC_2.34", "pthread_create"),
    ],
)
def test_a_name_is_short_enough_for_a_line_of_names(name: str, short: str) -> None:
    assert Frame(name, None, 0).short == short


def test_code_without_a_symbol_is_its_file_and_offset_also_where_that_was_replaced() -> None:
    frame = Frame(None, "/opt/app/bin/app (deleted)", 0x123)

    assert frame.short == frame.name == "app+0x123"
