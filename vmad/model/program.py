# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Programs, runtimes and allocators that can be recognised, and what of a process tells them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

Version = tuple[int, ...]


class Program(StrEnum):
    """The value is what a person and the JSON see."""

    GLIBC = "glibc"
    MUSL = "musl"
    JEMALLOC = "jemalloc"
    MIMALLOC = "mimalloc"
    TCMALLOC = "tcmalloc"
    HARDENED_MALLOC = "hardened_malloc"
    GO = "Go"
    RUST = "Rust"
    HOTSPOT = "HotSpot (Java)"
    ZGC = "ZGC"
    LUCENE = "Lucene"
    ELASTICSEARCH = "Elasticsearch"
    OPENSEARCH = "OpenSearch"
    KAFKA = "Kafka"
    V8 = "V8"
    NODE = "Node"
    DENO = "Deno"
    BUN = "Bun (JavaScriptCore)"
    CHROMIUM = "Chromium"
    FIREFOX = "Firefox"
    CPYTHON = "CPython"
    PYPY = "PyPy"
    NUMPY = "NumPy"
    PYTORCH = "PyTorch"
    ARROW = "Arrow"
    PHP = "PHP"
    RUBY = "Ruby"
    CRYSTAL = "Crystal"
    LUAJIT = "LuaJIT"
    ERLANG = "Erlang"
    MONO = "Mono"
    DOTNET = ".NET"
    WASMTIME = "Wasmtime"
    WASM = "WebAssembly"
    MARIADB = "MariaDB"
    POSTGRESQL = "PostgreSQL"
    MONGODB = "MongoDB"
    CLICKHOUSE = "ClickHouse"
    LMDB = "LMDB"
    QEMU = "QEMU"
    WINE = "Wine"
    SANITIZER = "AddressSanitizer or ThreadSanitizer"
    RDMA = "RDMA (libibverbs)"


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
