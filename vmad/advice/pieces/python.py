# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""CPython and its libraries."""

from __future__ import annotations

from vmad.advice.conditions import large_blocks
from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="cpython-join",
        text="Collect pieces in a list and join them once (b''.join) in place of growing many "
        "bytearrays or strings by +=: each of 128 KiB and more is a mapping that realloc moves.",
        whose=Whose.PROGRAMMER,
        programs=(Program.CPYTHON,),
        patterns=(P.BLOCKS_APART, P.MOVED, P.WRITTEN_APART),
        proof=Measured(
            3105,
            104,
            "3,000 bytearrays of 240 KiB, CPython 3.11",
            ("cpython-bytearrays", "cpython-joined"),
        ),
        cost="A change of the program.",
        check="VMAs with no pair below become fewer.",
        source="docs/atlas.md",
        tests=(large_blocks,),
    ),
    Advice(
        name="numpy-hugepage",
        text="Set NUMPY_MADVISE_HUGEPAGE=0: NumPy calls madvise(MADV_HUGEPAGE) on each large "
        "array, which cuts the heap into pieces. prctl(PR_SET_THP_DISABLE) takes none of them "
        "away.",
        whose=Whose.OPERATOR,
        programs=(Program.NUMPY,),
        patterns=(P.ADVISED,),
        reasons=("vm_flags:hg",),
        proof=Measured(
            216, 116, "arrays of 128 KiB to 16 MiB, NumPy 2.4", ("numpy", "numpy-no-hugepage")
        ),
        cost="Large arrays may be slower where huge pages come only with madvise.",
        check="Pairs with `vm_flags:hg` are gone.",
        source="NumPy manual, global state, NUMPY_MADVISE_HUGEPAGE",
    ),
    Advice(
        name="pytorch-fewer-tensors",
        text="Share fewer and larger tensors: stack samples into one tensor before they go to "
        "another process. Each shared tensor is a mapping of its own, under either sharing "
        "strategy; file_system saves descriptors, no VMA.",
        whose=Whose.PROGRAMMER,
        programs=(Program.PYTORCH,),
        patterns=(P.MANY_SEGMENTS, P.OBJECT_IN_PIECES, P.DELETED_FILES),
        proof=Documented(0.97, "9,000 tensors: 9,440 and 9,439 VMAs by either strategy"),
        cost="A change of the program.",
        check="VMAs of kind shared memory become fewer.",
        source="pytorch/pytorch #60626, #75662, #92134",
    ),
    Advice(
        name="arrow-fewer-files",
        text="Write fewer and larger Arrow files: one cache file for many shards (datasets: "
        "flatten_indices or save_to_disk with a larger max_shard_size), or read them into memory "
        "(keep_in_memory=True). Each mapped file is a VMA.",
        whose=Whose.PROGRAMMER,
        programs=(Program.ARROW,),
        patterns=(P.MANY_OBJECTS,),
        proof=Measured(
            5022,
            23,
            "5,000 files of 4 KiB as one file of 20 MiB, CPython's mmap",
            ("files-many", "files-one"),
        ),
        cost="Files have to be written anew, or read into memory.",
        check="VMAs of kind file become fewer.",
        source="huggingface/datasets #6790",
    ),
)
