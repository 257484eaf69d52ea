# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Files and shared memory: many of them, one in pieces, deleted ones."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose

PIECES = (
    Advice(
        name="fewer-files",
        text="Map fewer and larger files: several segments, shards or caches in one file, whole "
        "files instead of blocks, or read() where a mapping gains little. Mappings of different "
        "files never merge, on any kernel.",
        whose=Whose.PROGRAMMER,
        patterns=(P.MANY_OBJECTS,),
        proof=Measured(
            5022,
            23,
            "5,000 files of 4 KiB as one file of 20 MiB, CPython's mmap",
            ("files-many", "files-one"),
        ),
        cost="Files have to be written anew, or read into memory.",
        check="VMAs of kind file or shared memory become fewer.",
        source="prometheus/prometheus #4392, m3db/m3 #960, blevesearch/bleve #1305; datasets #6790",
    ),
    Advice(
        name="fewer-segments",
        text="Take one large shared area and hand out parts of it by offset, in place of an area, "
        "memfd or segment for each buffer. Different ones never merge, on any kernel.",
        whose=Whose.PROGRAMMER,
        patterns=(P.MANY_SEGMENTS,),
        proof=Measured(
            3022,
            23,
            "3,000 shared areas of a page as one",
            ("segments-many", "segments-one"),
        ),
        cost="Parts are given back with MADV_REMOVE, not by closing them.",
        check="VMAs of kind shared memory become fewer.",
        source="mmap(2), memfd_create(2), shmat(2); mm/shmem.c, shmem_zero_setup",
    ),
    Advice(
        name="fewer-rings",
        text="Keep one ring for each thread or processor in place of one for each file, connection "
        "or event, and close those that are no longer used: closing a descriptor does not unmap "
        "its ring.",
        whose=Whose.PROGRAMMER,
        patterns=(P.KERNEL_RINGS,),
        proof=Measured(
            3022, 52, "30 contexts of aio in place of 3,000", ("rings-3000", "rings-30")
        ),
        cost="Requests of several users share a queue.",
        check="maps names anon_inode:[…] or /[aio] less often.",
        source="io_uring_setup(2), io_setup(2), perf_event_open(2)",
    ),
    Advice(
        name="fewer-libraries",
        text="Load each library once, not a copy for each plugin, session or class loader, and "
        "dlclose what is no longer used; many small ones can be linked into one. A path that is "
        "opened twice is mapped once; a copy under another name, or of a deleted file, is not.",
        whose=Whose.PROGRAMMER,
        patterns=(P.MANY_LIBRARIES,),
        proof=Documented(0.8),
        cost="Copies that were to be apart share their variables.",
        check="VMAs of kind file, or deleted file, become fewer.",
        source="dlopen(3), ld.so(8)",
    ),
    Advice(
        name="map-whole-object",
        text="Map the object once and whole, and keep offsets into it, in place of a mapping for "
        "each block.",
        whose=Whose.PROGRAMMER,
        patterns=(P.OBJECT_IN_PIECES,),
        proof=Measured(
            5022,
            23,
            "5,000 blocks of one file mapped at once, CPython's mmap",
            ("file-in-blocks", "files-one"),
        ),
        cost="Address space for all of it.",
        check="The file stands in maps once.",
        source="mmap(2); m3db/m3 #960",
    ),
    Advice(
        name="shared-direction",
        text="Map the memory object so that neighbouring addresses have neighbouring offsets in "
        "one direction: then its mappings merge.",
        whose=Whose.PROGRAMMER,
        patterns=(P.OBJECT_REVERSED,),
        proof=Measured(
            2022,
            23,
            "2,000 pieces of a memfd whose offsets ascend with the addresses "
            "in place of descending",
            ("memfd-descending", "memfd-ascending"),
        ),
        cost="Nothing.",
        check="Neighbouring pieces of the object in maps become one.",
        source="google/gvisor PR #11360",
    ),
    Advice(
        name="no-advice-per-buffer",
        text="Do not call posix_madvise or mprotect for each piece of a mapping: every piece with "
        "other advice or rights is a VMA. Advise the whole mapping.",
        whose=Whose.PROGRAMMER,
        patterns=(P.OBJECT_SPLIT,),
        proof=Measured(
            4022,
            23,
            "2,000 pages of a file advised as one in place of every second one",
            ("file-advised", "file-advised-whole"),
        ),
        cost="Read-ahead is the same for all of it.",
        check="Neighbouring pieces of the file in maps become one.",
        source="apache/trafficserver PR #1050; posix_madvise(3)",
    ),
    Advice(
        name="unmap-deleted",
        text="Look at which deleted files these are: disk and VMAs come back when the program "
        "unmaps them. A pile that only grows is a leak; a restart empties it.",
        whose=Whose.OPERATOR,
        patterns=(P.DELETED_FILES,),
        proof=Documented(0.5),
        cost="A restart.",
        check="VMAs of kind deleted file become fewer.",
        source="proc_pid_maps(5); OpenSearch #18226",
    ),
    Advice(
        name="libraries-none",
        text="Leave them: a program with all of its libraries is some hundreds of VMAs, and they "
        "do not grow.",
        whose=Whose.OPERATOR,
        patterns=(P.LIBRARIES, P.ORDINARY),
        proof=Documented(0.02),
        cost="Nothing.",
        check="The number stays the same.",
        source="ld.so(8)",
    ),
)
