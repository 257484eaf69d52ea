# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A slice of the atlas: programs in which reports were made, diagnosed, advised, and advised right.

Each row is a program with the shape of memory that a public report was about. The first advice
must be the one that helps; where it can be followed here, following it must help.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from tempfile import TemporaryDirectory

import pytest

from bench.atlas.measure import Measured, measure
from bench.atlas.packages import compile_loads
from bench.atlas.rows import ROWS
from tests.live.thread_guards import GUARD_REGIONS
from vmad.advice.catalogue import ADVICE
from vmad.advice.record import Measured as Proof

pytestmark = pytest.mark.bpf

#: row -> pattern that makes up most of it, first advice
FIRST = {
    "arenas-one-thread": ("arena_heaps", "glibc-arena-max"),
    "holes-munmap": ("holes", "purge-with-madvise"),
    "coroutines-mprotect": ("coroutine_guards", "guard-install"),
    "dontfork-kept": ("fork_advised", "rdma-dofork"),
    "files-many": ("many_objects", "fewer-files"),
    "files-deleted": ("deleted_files", "unmap-deleted"),
    "file-in-blocks": ("object_in_pieces", "map-whole-object"),
    "file-advised": ("object_split", "no-advice-per-buffer"),
    "memfd-descending": ("object_reversed", "shared-direction"),
    "glibc-realloc": ("moved", "glibc-mmap-threshold"),
    "access-alternating": ("access_switched", "coarser-mprotect"),
    "lock-alternating": ("locked", "lock-whole"),
    "wasm-reservations": ("wasm_reservations", "wasm-fewer-memories"),
    "cpython-files": ("many_objects", "arrow-fewer-files"),
    "segments-many": ("many_segments", "fewer-segments"),
    "stacks-grow": ("growing_stacks", "no-growsdown"),
    "rings-3000": ("kernel_rings", "fewer-rings"),
    "heap-blocks": ("blocks_apart", "larger-blocks"),
    "purged-protect": ("opened_reserve", "purge-with-madvise"),
    "reserve-random": ("written_apart", "rebuild"),
    "reserve-forked": ("forked", "protect-whole-first"),
    "advice-alternating": ("advised", "advise-whole-areas"),
    **({} if GUARD_REGIONS else {"threads-glibc-100": ("thread_guards", "glibc-2.42")}),
    "slices-protected": ("opened_reserve", "purge-with-madvise"),
    "code-alternating": ("code", "coarser-mprotect"),
    "policies-alternating": ("policies", "policy-of-task"),
    "registered-alternating": ("userfaultfd", "register-whole"),
    "accounted-alternating": ("accounted", "same-noreserve"),
    "zero-pages": ("device_zero", "map-anonymous"),
    "blocks-guarded": ("allocator_guards", "guard-install"),
    "wasm-images": ("wasm_reservations", "wasm-fewer-memories"),
    "buffers-moved": ("moved", "no-mremap"),
    "cpython-bytearrays": ("moved", "glibc-mmap-threshold"),
}

#: followed, these must leave at most so many VMAs as another program of the slice has
FOLLOWED = (
    "glibc-arena-max", "purge-with-madvise", "rdma-dofork", "fewer-files", "shared-direction",
    "no-advice-per-buffer", "coarser-mprotect", "lock-whole", "fewer-segments", "no-growsdown",
    "fewer-rings", "protect-whole-first", "advise-whole-areas", "no-mremap", "glibc-mmap-threshold",
    "cpython-join",
)  # fmt: skip
#: a share that an atlas of another machine found is found again within this
WITHIN = 0.1


@cache
def measured(name: str) -> Measured:
    """The row, run once for all tests."""
    compile_loads()
    return measure(ROWS[name])


@pytest.mark.parametrize("name", FIRST)
def test_the_pattern_is_found_and_the_first_advice_is_the_one_that_helps(name: str) -> None:
    pattern, advice = FIRST[name]
    row = measured(name)

    assert max(row.patterns, key=lambda each: row.patterns[each]) == pattern
    assert row.first_advice == advice


@pytest.mark.parametrize("name", FOLLOWED)
def test_following_the_advice_takes_away_what_its_record_says(name: str) -> None:
    proof = ADVICE[name].proof
    assert isinstance(proof, Proof)
    before, after = (measured(row) for row in proof.atlas)

    assert abs(1 - after.vmas / before.vmas - proof.share) < WITHIN


def test_a_thread_is_one_area_where_the_advice_is_followed_and_two_elsewhere() -> None:
    row = measured("threads-glibc-100")

    assert (row.patterns.get("thread_guards", 0) >= 200) is not GUARD_REGIONS
    assert (row.vmas >= 200) is not GUARD_REGIONS


def test_two_arenas_do_not_help_one_thread_with_many_heaps() -> None:
    assert measured("arenas-one-thread-max2").vmas == measured("arenas-one-thread").vmas


def test_memory_taken_away_by_its_rights_comes_back_as_one_with_madvise() -> None:
    assert measured("purged-dontneed").vmas * 100 < measured("purged-protect").vmas


def test_files_of_a_directory_in_memory_are_files() -> None:
    """As huggingface/datasets #6790 has them, with the cache in /dev/shm."""
    row = ROWS["cpython-files"]
    with TemporaryDirectory(dir="/dev/shm") as place:
        inside = ("sh", "-c", f'cd {place} && exec "$@"', "sh", *row.argv)
        found = measure(replace(row, argv=inside))

    assert max(found.patterns, key=lambda each: found.patterns[each]) == "many_objects"
    assert found.first_advice == "arrow-fewer-files"


@pytest.mark.parametrize("name", ["arenas-one-thread-max1", "holes-dontneed", "files-one"])
def test_what_has_nothing_to_change_is_told_nothing(name: str) -> None:
    assert measured(name).first_advice is None
