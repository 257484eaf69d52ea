# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Allocators: one program, random sizes of 16 bytes to 4 MiB, random frees."""

from __future__ import annotations

from bench.atlas.row import Needs, Row

_LIBS = "{root}/usr/lib/x86_64-linux-gnu/"


def _row(name: str, program: str, threads: int, preload: str = "", **env: str) -> Row:
    settings = ", ".join(f"{key}={value}" for key, value in env.items())
    load = f"{threads} threads, 512 MiB{', ' + settings if settings else ''}"
    if preload:
        env["LD_PRELOAD"] = f"{_LIBS}{preload}"
    return Row(
        name,
        "Allocators",
        program,
        load,
        ("{build}/allocate", str(threads), "512"),
        Needs.DEBIAN if preload else Needs.MACHINE,
        env,
    )


_JE, _MI, _TC = "libjemalloc.so.2", "libmimalloc.so.2.0", "libtcmalloc_minimal.so.4"


def _overcommitted(name: str, policy: str) -> Row:
    """jemalloc reads vm.overcommit_memory as this ``policy``, which the kernel itself has not."""
    command = (
        "echo $0 > policy && mount --bind policy /proc/sys/vm/overcommit_memory && "
        f"LD_PRELOAD={_LIBS}{_JE} MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0 "
        "exec {build}/allocate 8 512"
    )
    load = f"8 threads, 512 MiB, told vm.overcommit_memory={policy}"
    argv = ("sh", "-c", command, policy)
    return Row(name, "Allocators", "jemalloc 5.3.0", load, argv, Needs.DEBIAN)


ROWS = (
    _row("glibc-8", "glibc", 8),
    _row("glibc-64", "glibc", 64),
    _row("glibc-64-max1", "glibc", 64, MALLOC_ARENA_MAX="1"),
    _row("glibc-64-max2", "glibc", 64, MALLOC_ARENA_MAX="2"),
    _row("glibc-64-threshold", "glibc", 64, MALLOC_MMAP_THRESHOLD_="1073741824"),
    _row("jemalloc", "jemalloc 5.3.0", 8, _JE),
    _row("jemalloc-64", "jemalloc 5.3.0", 64, _JE),
    _row("jemalloc-no-retain", "jemalloc 5.3.0", 8, _JE, MALLOC_CONF="retain:false"),
    _overcommitted("jemalloc-overcommit-2", "2"),
    _overcommitted("jemalloc-overcommit-0", "0"),
    _row("jemalloc-thp-always", "jemalloc 5.3.0", 64, _JE, MALLOC_CONF="thp:always"),
    _row("mimalloc", "mimalloc 2.0.9", 64, _MI),
    _row("mimalloc-eager", "mimalloc 2.0.9", 64, _MI, MIMALLOC_EAGER_COMMIT_DELAY="0"),
    _row("mimalloc-8", "mimalloc 2.0.9", 8, _MI),
    _row("tcmalloc", "tcmalloc 2.10", 8, _TC),
    _row("tcmalloc-64", "tcmalloc 2.10", 64, _TC),
    Row(
        "musl",
        "Allocators",
        "musl 1.2.3",
        "8 threads, 512 MiB",
        (
            "sh",
            "-c",
            "musl-gcc -O1 -static -pthread -o allocate {loads}/allocate.c && exec ./allocate 8 512",
        ),
        Needs.DEBIAN,
    ),
)
