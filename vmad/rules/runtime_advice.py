# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Advice for one allocator or language runtime each: its option, and the report it comes from."""

from __future__ import annotations

from vmad.rules.advice import Advice, Runtime

JEMALLOC_RETAIN = Advice(
    "Keep MALLOC_CONF=retain:true (the default on 64-bit Linux since jemalloc 5): freed extents "
    "stay mapped, so that munmap cuts no holes. With jemalloc 4, upgrade.",
    Runtime.JEMALLOC,
    "jemalloc #970, #1011",
)
JEMALLOC_OVERCOMMIT = Advice(
    "Use vm.overcommit_memory=0 or 1: under 2, jemalloc gives memory back with "
    "mprotect(PROT_NONE), which makes three VMAs of one.",
    Runtime.JEMALLOC,
    "jemalloc #1328, #1324",
)
JEMALLOC_THP = Advice(
    "Keep MALLOC_CONF=thp:default: thp:always and thp:never mark each mapping with its own "
    "huge page advice.",
    Runtime.JEMALLOC,
    "jemalloc(3), opt.thp",
)
MIMALLOC_PURGE = Advice(
    "Try MIMALLOC_PURGE_DELAY=-1 (never purge) or MIMALLOC_PURGE_DECOMMITS=0 (reset instead of "
    "decommit). In one report of 445 to 65,530 maps within 13 GB of growth no option helped and "
    "the limit had to be raised.",
    Runtime.MIMALLOC,
    "mimalloc documentation, environment options; flowlog-rs/flowlog PR #177",
)
GLIBC_MMAP_THRESHOLD = Advice(
    "Set MALLOC_MMAP_THRESHOLD_ (M_MMAP_THRESHOLD) above the usual size of large blocks, up to "
    "32 MiB: each block above it is a mapping of its own, which realloc moves with mremap. "
    "MALLOC_MMAP_MAX_ bounds their number.",
    Runtime.GLIBC,
    "mallopt(3)",
)
GLIBC_ARENAS = Advice(
    "Set MALLOC_ARENA_MAX=2 or so: every arena grows by mprotect within a reserved 64 MiB, so "
    "it is at least one writable and one inaccessible VMA.",
    Runtime.GLIBC,
    "mallopt(3); glibc malloc/arena.c, HEAP_MAX_SIZE",
)
GLIBC_NAMES = Advice(
    "Leave the tunable glibc.mem.decorate_maps at 0: at 1, glibc gives its mappings different "
    "names by use.",
    Runtime.GLIBC,
    "glibc manual, Memory Related Tunables",
)
ZGC_FORMULA = Advice(
    "Size vm.max_map_count for ZGC: at least (maximum heap / 2 MiB) x 3 x 1.2, that is 88,473 "
    "for 48 GiB, or choose a smaller -Xmx.",
    Runtime.JAVA,
    "OpenJDK, zPhysicalMemoryBacking_linux.cpp, warn_max_map_count",
)
LUCENE_PERMITS = Advice(
    "Start the JVM with -Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1: with "
    "more, files of one segment are unmapped only all together, and deleted ones pile up.",
    Runtime.LUCENE,
    "OpenSearch #18226, #19482, PR #19503; elasticsearch #118623",
)
LUCENE_LIMIT = Advice(
    "Elasticsearch asks for at least 262,144 and recommends 1,048,576 since 8.16.",
    Runtime.LUCENE,
    "Elasticsearch reference, virtual memory; elasticsearch #118623, #128441",
)
GO_HUGE_PAGES = Advice(
    "Build with Go 1.21.4 or later: older releases mark pieces of the heap with madvise "
    "(MADV_NOHUGEPAGE up to 1.20), which makes three VMAs of one.",
    Runtime.GO,
    "golang/go #12233, #61718, #64332",
)
DOTNET_GC = Advice(
    "The .NET GC makes its reserve writable piece by piece, and pieces written apart never merge "
    "on a stock kernel: expect tens of thousands of VMAs for heaps of hundreds of GB, and size "
    "the limit for it.",
    Runtime.DOTNET,
    "dotnet/runtime #97316, #90230",
)
DOTNET_WX = Advice(
    "DOTNET_EnableWriteXorExecute=0 ends the double mapping of compiled code (a hardening "
    "measure is lost).",
    Runtime.DOTNET,
    "dotnet/runtime #97316, PR #54954",
)
PYTORCH_STRATEGY = Advice(
    "Each shared tensor is a mapping: share fewer and larger ones, or use "
    "torch.multiprocessing.set_sharing_strategy('file_system').",
    Runtime.PYTORCH,
    "pytorch/pytorch #60626, #75662, #92134",
)
MONGODB_CONNECTIONS = Advice(
    "Every connection has a thread with two mappings: keep net.maxIncomingConnections below half "
    "the limit.",
    Runtime.MONGODB,
    "docker-library/mongo #575; containers/podman #22857",
)
