# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Programs, runtimes and allocators that can be recognised, and what of a process tells them.

A new one is a line of Program; what to change about it is a record of its own (vmad/advice/pieces).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from vmad.model.sign import Brings, Sign, area, brings, exe, file, path, section, symbols

Version = tuple[int, ...]


class Program(StrEnum):
    """The value is what a person and the JSON see; behind it stands what gives the program away.

    libjemalloc.so.2, libmimalloc.so.2.0 and the like: the digits say the interface, so they are the
    version only where noted.
    """

    signs: tuple[Sign, ...]
    brought: tuple[str, ...]  #: names of the programs that are there with it

    def __new__(cls, value: str, *told_by: Sign | Brings) -> Program:
        """A member with its signs."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.signs = tuple(sign for sign in told_by if isinstance(sign, Sign))
        member.brought = tuple(other.name for other in told_by if isinstance(other, Brings))
        return member

    GLIBC = (
        "glibc",
        file(r"^libc\.so\.6"),
        file(r"^libc-(2\.\d+)\.so"),
        symbols("__libc_early_init", "ptmalloc_init", "_nl_global_locale"),
    )
    MUSL = (
        "musl",
        file(r"^(ld-musl-|libc\.musl-)"),
        symbols("__malloc_allzerop", "__malloc_alloc_meta", "__malloc_atfork"),
    )
    JEMALLOC = (
        "jemalloc",
        file(r"^libjemalloc"),
        symbols("mallctl", "je_mallctl", "_rjem_mallctl"),
        area(r"^jemalloc"),
    )
    MIMALLOC = (
        "mimalloc",
        file(r"^libmimalloc(?:-secure)?\.so\.(\d+\.\d+)"),
        file(r"^libmimalloc"),
        symbols("mi_malloc", "mi_heap_malloc"),
    )
    TCMALLOC = (
        "tcmalloc",
        file(r"^libtcmalloc"),
        symbols("tc_malloc", "TCMallocInternalMalloc"),
        area(r"^tcmalloc"),
    )
    HARDENED_MALLOC = (
        "hardened_malloc",
        file(r"^libhardened_malloc"),
        area(r"^malloc (large|slab|allocator)"),
    )
    GO = "Go", section(r"^\.go\.buildinfo$"), area(r"^Go:")
    RUST = "Rust", symbols("rust_begin_unwind", "rust_panic", "__rust_alloc")
    HOTSPOT = (
        "HotSpot (Java)",
        path(r"/(?:java|jdk|jre)-(\d+)[^/]*/.*libjvm\.so"),
        file(r"^libjvm\.so"),
    )
    ZGC = "ZGC", area(r"^java_heap")
    LUCENE = "Lucene", file(r"^lucene-core"), file(r"\.(?:cfs|dvd|tim|tip|doc|pos|nvd|fdt|kdd)$")
    ELASTICSEARCH = "Elasticsearch", path(r"/elasticsearch(?:/|-\d)"), brings("LUCENE")
    OPENSEARCH = "OpenSearch", path(r"/opensearch(?:/|-\d)"), brings("LUCENE")
    KAFKA = "Kafka", file(r"^(kafka_2|kafka-clients)"), file(r"^\d{20}\.(?:index|timeindex)")
    V8 = (
        "V8",
        file(r"^libv8|^(?:snapshot_blob|v8_context_snapshot)"),
        area(r"^v8"),
        exe(r"^(electron|d8)$"),
    )
    NODE = "Node", file(r"^libnode\.so"), exe(r"^node(?:js)?$"), brings("V8")
    DENO = "Deno", exe(r"^deno$"), brings("V8")
    BUN = "Bun (JavaScriptCore)", exe(r"^bun$"), file(r"^libjavascriptcoregtk")
    CHROMIUM = (
        "Chromium",
        exe(
            r"^(?:chromium(?:-browser)?|(?:google-)?chrome|brave(?:-browser)?|msedge|vivaldi-bin)$"
        ),
        exe(r"^(?:chrome-)?headless[-_]shell$"),
        brings("V8"),
    )
    FIREFOX = "Firefox", file(r"^libxul\.so")
    CPYTHON = (
        "CPython",
        exe(r"^python(3\.\d+)"),
        file(r"^libpython(3\.\d+)"),
        exe(r"^python3?$"),
        symbols("Py_BytesMain"),
    )
    PYPY = "PyPy", file(r"^libpypy")
    NUMPY = "NumPy", file(r"^_multiarray_umath")
    PYTORCH = "PyTorch", file(r"^libtorch")
    ARROW = "Arrow", file(r"^libarrow|\.arrow$")
    PHP = (
        "PHP",
        exe(r"^php(?:-fpm|-cgi)?(\d+\.\d+)"),
        exe(r"^php(?:-fpm|-cgi)?$"),
        file(r"^libphp(\d*\.?\d*)"),
    )
    RUBY = "Ruby", file(r"^libruby[-.](?:so\.)?(\d+\.\d+)"), exe(r"^ruby(\d\.\d)?$")
    CRYSTAL = "Crystal", symbols("__crystal_main", "__crystal_malloc", "__crystal_raise")
    LUAJIT = "LuaJIT", file(r"^libluajit"), exe(r"^luajit"), symbols("luaJIT_setmode")
    ERLANG = "Erlang", exe(r"^beam(?:\.smp|\.emu)?$")
    MONO = "Mono", file(r"^libmono(?:sgen|boehm)?-"), exe(r"^mono(?:-sgen|-boehm)?$")
    DOTNET = (
        ".NET",
        path(r"/Microsoft\.NETCore\.App/(\d+\.\d+)[^/]*/"),
        file(r"^libcoreclr\.so"),
        area(r"^doublemapper"),
    )
    WASMTIME = (
        "Wasmtime",
        file(r"^_?(?:lib)?_?wasmtime"),
        exe(r"^(?:containerd-shim-)?wasmtime"),
        symbols("wasmtime_engine_new"),
        area(r"^wasm-memory-image"),
        brings("WASM"),
    )
    WASM = (
        "WebAssembly",
        file(r"^lib(?:wasmer|wasmedge|iwasm|wamr)"),
        exe(r"^(?:containerd-shim-)?(?:wasmer|wasmedge|iwasm)"),
    )
    MARIADB = "MariaDB", exe(r"^mariadbd$")
    MYSQL = "MySQL", exe(r"^mysqld$")
    POSTGRESQL = "PostgreSQL", exe(r"^postgres$"), path(r"/postgresql/(\d+)/(?:bin|lib)/")
    MONGODB = "MongoDB", exe(r"^mongo[ds]$"), file(r"^mongod$")
    CLICKHOUSE = "ClickHouse", exe(r"^clickhouse(?:-[a-z]+)?$"), file(r"^_chdb")
    LMDB = "LMDB", file(r"^liblmdb|^lmdb|^cpython.*lmdb|^lock\.mdb|^data\.mdb")
    QEMU = "QEMU", exe(r"^qemu-")
    WINE = "Wine", file(r"^ntdll\.so|^libwine"), exe(r"^wine(?:64)?(?:server|-preloader)?$")
    SANITIZER = (
        "AddressSanitizer or ThreadSanitizer",
        file(r"^lib(?:hw)?[atm]san|^libclang_rt\.(?:hw)?[atm]san"),
        symbols("__asan_init", "__tsan_init", "__msan_init", "__hwasan_init"),
    )
    RDMA = "RDMA (libibverbs)", file(r"^libibverbs"), path(r"^/dev/infiniband/")

    @property
    def also(self) -> tuple[Program, ...]:
        """The programs that are there with it."""
        return tuple(Program[name] for name in self.brought)


#: names of functions that are looked for in a program's own ELF file
SYMBOLS: frozenset[str] = frozenset(
    name for program in Program for sign in program.signs for name in sign.symbols
)


@dataclass(frozen=True, slots=True)
class Recognised:
    """One program in a process. ``version`` None: not told; ``by`` is what gave it away."""

    program: Program
    version: Version | None
    by: str

    def __str__(self) -> str:
        """As a person reads it: "glibc 2.36"."""
        if self.version is None:
            return self.program.value
        return f"{self.program.value} {'.'.join(map(str, self.version))}"


@dataclass(frozen=True, slots=True)
class Traits:
    """What the files of a process say beside the names that maps prints; all of it may be missing.

    ``exe`` is the path of its program. ``symbols`` are telling names of functions that the program
    itself holds (of libraries only where they are linked statically), ``sections`` the names of
    its ELF sections. ``versions`` are those that files name, by program. ``threads`` is their
    number. ``unreachable`` says that there are files that could not be read, as in a container
    that is gone.
    """

    exe: str | None = None
    symbols: frozenset[str] = frozenset()
    sections: frozenset[str] = frozenset()
    versions: dict[Program, Version] = field(default_factory=dict)
    threads: int | None = None
    static: bool = False
    unreachable: bool = False
