# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording that may be given away: what is left of its names."""

from __future__ import annotations

from tests.unit.blame.samples import BLAMED, WITH_CHILDREN
from vmad.blame.known import made_with
from vmad.blame.redacted import redacted
from vmad.export.blame_json import blame_json, blamed_of
from vmad.sources.redaction import Redaction


def test_no_name_of_the_program_is_left_and_counts_stay() -> None:
    given = redacted(WITH_CHILDREN, Redaction())
    text = "".join(blame_json(given))

    for name in (
        "worker",
        "helper",
        "app",
        "collector",
        "gc_grow",
        "commit_region",
        "heap.c",
        "abcd",
        "/usr",
        "/opt",
    ):
        assert name not in text, name
    assert [maker.vmas for maker in given.makers] == [maker.vmas for maker in BLAMED.makers]
    assert [one.map_count for one in given.everybody] == [12_000, 1_010, 30]
    assert blamed_of(text, "text") == given


def test_libc_known_makers_and_where_threads_begin_keep_their_names() -> None:
    given = redacted(BLAMED, Redaction())

    grow, threads = (maker.stack for maker in given.makers[:2])
    assert (grow.frames[0].function, grow.frames[0].module) == ("__mprotect", "libc.so.6")
    assert [frame.function for frame in grow.frames[3:]] == ["main", "_start"]
    assert made_with(threads) == made_with(BLAMED.makers[1].stack) == ("thread stacks",)


def test_equal_names_stay_equal_within_one_recording_only() -> None:
    one, other = redacted(BLAMED, Redaction()), redacted(BLAMED, Redaction())

    stack = one.makers[0].stack
    assert stack.frames[1].module == stack.frames[2].module
    assert stack.frames[1].function != stack.frames[2].function
    assert stack.frames[1].function != other.makers[0].stack.frames[1].function
