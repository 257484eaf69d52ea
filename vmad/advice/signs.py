# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What gives each program away: names of mapped files, of its own file, of areas, in its ELF file.

To make a program recognisable: a member of Program and a line here. A group of digits in the
expression is its version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from vmad.model.program import Program


class Where(StrEnum):
    """What the expression is held against; the value says it to a person."""

    FILE = "maps"  #: the last part of the name of a mapped file
    PATH = "maps the path"  #: all of that name
    EXE = "runs"  #: the last part of the program's own path
    AREA = "names an area"  #: [anon:NAME], memfds
    SYMBOL = "holds the function"  #: of the program's own ELF file
    SECTION = "has the ELF section"


@dataclass(frozen=True, slots=True)
class Sign:
    """One way to recognise a program; ``also`` are those that it brings along."""

    program: Program
    where: Where
    expression: re.Pattern[str]
    also: tuple[Program, ...] = ()


def _sign(program: Program, where: Where, expression: str, *also: Program) -> Sign:
    return Sign(program, where, re.compile(expression), also)


P, W = Program, Where
_SO = r"(?:\.so|-)[^/]*"

#: libjemalloc.so.2, libmimalloc.so.2.0 and the like: the digits say the interface, so they are the
#: version only where noted
SIGNS: tuple[Sign, ...] = (
    _sign(P.GLIBC, W.FILE, r"^libc\.so\.6"),
    _sign(P.GLIBC, W.FILE, r"^libc-(2\.\d+)\.so"),
    _sign(P.GLIBC, W.SYMBOL, r"^(__libc_early_init|ptmalloc_init|_nl_global_locale)$"),
    _sign(P.MUSL, W.FILE, r"^(ld-musl-|libc\.musl-)"),
    _sign(P.MUSL, W.SYMBOL, r"^(__malloc_allzerop|__malloc_alloc_meta|__malloc_atfork)$"),
    _sign(P.JEMALLOC, W.FILE, r"^libjemalloc"),
    _sign(P.JEMALLOC, W.SYMBOL, r"^(mallctl|je_mallctl|_rjem_mallctl)$"),
    _sign(P.JEMALLOC, W.AREA, r"^jemalloc"),
    _sign(P.MIMALLOC, W.FILE, r"^libmimalloc(?:-secure)?\.so\.(\d+\.\d+)"),
    _sign(P.MIMALLOC, W.FILE, r"^libmimalloc"),
    _sign(P.MIMALLOC, W.SYMBOL, r"^(mi_malloc|mi_heap_malloc)$"),
    _sign(P.TCMALLOC, W.FILE, r"^libtcmalloc"),
    _sign(P.TCMALLOC, W.SYMBOL, r"^(tc_malloc|TCMallocInternalMalloc|MallocExtension_.*)$"),
    _sign(P.TCMALLOC, W.AREA, r"^tcmalloc"),
    _sign(P.HARDENED_MALLOC, W.FILE, r"^libhardened_malloc"),
    _sign(P.HARDENED_MALLOC, W.AREA, r"^malloc (large|slab|allocator)"),
    _sign(P.GO, W.SECTION, r"^\.go\.buildinfo$"),
    _sign(P.GO, W.AREA, r"^Go:"),
    _sign(P.RUST, W.SYMBOL, r"^(rust_begin_unwind|rust_panic|__rust_alloc)$"),
    _sign(P.HOTSPOT, W.PATH, r"/(?:java|jdk|jre)-(\d+)[^/]*/.*libjvm\.so"),
    _sign(P.HOTSPOT, W.FILE, r"^libjvm\.so"),
    _sign(P.ZGC, W.AREA, r"^java_heap"),
    _sign(P.LUCENE, W.FILE, r"^lucene-core"),
    _sign(P.LUCENE, W.FILE, r"\.(?:cfs|dvd|tim|tip|doc|pos|nvd|fdt|kdd)$"),
    _sign(P.ELASTICSEARCH, W.PATH, r"/elasticsearch(?:/|-\d)", P.LUCENE),
    _sign(P.OPENSEARCH, W.PATH, r"/opensearch(?:/|-\d)", P.LUCENE),
    _sign(P.KAFKA, W.FILE, r"^(kafka_2|kafka-clients)"),
    _sign(P.KAFKA, W.FILE, r"^\d{20}\.(?:index|timeindex)"),
    _sign(P.V8, W.FILE, r"^libv8"),
    _sign(P.V8, W.AREA, r"^v8"),
    _sign(P.V8, W.EXE, r"^(electron|d8)$"),
    _sign(P.NODE, W.FILE, r"^libnode\.so", P.V8),
    _sign(P.NODE, W.EXE, r"^node(?:js)?$", P.V8),
    _sign(P.DENO, W.EXE, r"^deno$", P.V8),
    _sign(P.BUN, W.EXE, r"^bun$"),
    _sign(P.BUN, W.FILE, r"^libjavascriptcoregtk"),
    _sign(P.CHROMIUM, W.EXE, r"^(chromium|chrome|google-chrome|brave|msedge|headless_shell)", P.V8),
    _sign(P.FIREFOX, W.FILE, r"^libxul\.so"),
    _sign(P.CPYTHON, W.EXE, r"^python(3\.\d+)"),
    _sign(P.CPYTHON, W.FILE, r"^libpython(3\.\d+)"),
    _sign(P.CPYTHON, W.EXE, r"^python3?$"),
    _sign(P.CPYTHON, W.SYMBOL, r"^Py_BytesMain$"),
    _sign(P.PYPY, W.FILE, r"^libpypy"),
    _sign(P.NUMPY, W.FILE, r"^_multiarray_umath"),
    _sign(P.PYTORCH, W.FILE, r"^libtorch"),
    _sign(P.ARROW, W.FILE, r"^libarrow|\.arrow$"),
    _sign(P.PHP, W.EXE, r"^php(?:-fpm|-cgi)?(\d+\.\d+)"),
    _sign(P.PHP, W.EXE, r"^php(?:-fpm|-cgi)?$"),
    _sign(P.PHP, W.FILE, r"^libphp(\d*\.?\d*)"),
    _sign(P.RUBY, W.FILE, r"^libruby[-.](?:so\.)?(\d+\.\d+)"),
    _sign(P.RUBY, W.EXE, r"^ruby"),
    _sign(P.CRYSTAL, W.SYMBOL, r"^(__crystal_main|__crystal_malloc|__crystal_raise)$"),
    _sign(P.LUAJIT, W.FILE, r"^libluajit"),
    _sign(P.LUAJIT, W.EXE, r"^luajit"),
    _sign(P.LUAJIT, W.SYMBOL, r"^(luaJIT_setmode|luaJIT_version.*)$"),
    _sign(P.ERLANG, W.EXE, r"^beam(?:\.smp|\.emu)?$"),
    _sign(P.MONO, W.FILE, r"^libmono"),
    _sign(P.MONO, W.EXE, r"^mono"),
    _sign(P.DOTNET, W.FILE, r"^libcoreclr\.so"),
    _sign(P.DOTNET, W.PATH, r"/Microsoft\.NETCore\.App/(\d+\.\d+)[^/]*/"),
    _sign(P.WASMTIME, W.FILE, r"^(?:lib)?_?wasmtime", P.WASM),
    _sign(P.WASMTIME, W.EXE, r"^wasmtime", P.WASM),
    _sign(P.WASMTIME, W.SYMBOL, r"^wasmtime_", P.WASM),
    _sign(P.WASM, W.FILE, r"^lib(?:wasmer|wasmedge|iwasm|wamr)"),
    _sign(P.WASM, W.EXE, r"^(wasmer|wasmedge|iwasm)$"),
    _sign(P.MARIADB, W.EXE, r"^(mariadbd|mysqld)$"),
    _sign(P.POSTGRESQL, W.EXE, r"^postgres$"),
    _sign(P.POSTGRESQL, W.PATH, r"/postgresql/(\d+)/(?:bin|lib)/"),
    _sign(P.MONGODB, W.EXE, r"^mongo[ds]$"),
    _sign(P.MONGODB, W.FILE, r"^mongod$"),
    _sign(P.CLICKHOUSE, W.EXE, r"^clickhouse"),
    _sign(P.CLICKHOUSE, W.FILE, r"^_chdb"),
    _sign(P.LMDB, W.FILE, r"^liblmdb|^lmdb|^cpython.*lmdb|^lock\.mdb|^data\.mdb"),
    _sign(P.QEMU, W.EXE, r"^qemu-"),
    _sign(P.WINE, W.FILE, r"^ntdll\.so|^libwine"),
    _sign(P.WINE, W.EXE, r"^wine"),
    _sign(P.SANITIZER, W.FILE, r"^lib[at]san"),
    _sign(P.SANITIZER, W.SYMBOL, r"^__[at]san_init$"),
    _sign(P.RDMA, W.FILE, r"^libibverbs"),
    _sign(P.RDMA, W.PATH, r"^/dev/infiniband/"),
)  # fmt: skip

#: names of functions that are looked for in a program's own ELF file
SYMBOLS: frozenset[str] = frozenset({
    "__libc_early_init", "ptmalloc_init", "_nl_global_locale", "__malloc_allzerop",
    "__malloc_alloc_meta", "__malloc_atfork", "mallctl", "je_mallctl", "_rjem_mallctl",
    "mi_malloc", "mi_heap_malloc", "tc_malloc", "TCMallocInternalMalloc",
    "rust_begin_unwind", "rust_panic", "__rust_alloc", "Py_BytesMain", "__crystal_main",
    "__crystal_malloc", "__crystal_raise", "luaJIT_setmode", "wasmtime_engine_new", "__asan_init",
    "__tsan_init",
})  # fmt: skip
