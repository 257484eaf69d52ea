# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each program that advice knows is told by what its processes map, run and hold where it is
installed by its own packages, images and build tools.
"""

from __future__ import annotations

import pytest

from vmad.advice.recognise import recognise
from vmad.model.program import Program, Traits, Version

_SO = "cpython-311-x86_64-linux-gnu.so"
_DEBIAN = "/usr/lib/x86_64-linux-gnu"
_SITE = "/usr/lib/python3/dist-packages"
_WHEELS = "/srv/venv/lib/python3.11/site-packages"

#: what one process shows -> what it must be told to be, with versions where names have them
BY_NAMES: list[tuple[str, dict[Program, Version | None]]] = [
    (f"{_DEBIAN}/libc.so.6", {Program.GLIBC: None}),
    ("/lib/x86_64-linux-gnu/libc-2.31.so", {Program.GLIBC: (2, 31)}),
    ("/lib/ld-musl-x86_64.so.1", {Program.MUSL: None}),
    (f"{_DEBIAN}/libjemalloc.so.2", {Program.JEMALLOC: None}),
    ("[anon:jemalloc_pg]", {Program.JEMALLOC: None}),
    (f"{_DEBIAN}/libmimalloc.so.2.0", {Program.MIMALLOC: (2, 0)}),
    ("/usr/local/lib/libmimalloc-secure.so.3.1", {Program.MIMALLOC: (3, 1)}),
    (f"{_DEBIAN}/libtcmalloc_minimal.so.4.5.10", {Program.TCMALLOC: None}),
    ("[anon:tcmalloc_region_NORMAL]", {Program.TCMALLOC: None}),
    ("/usr/lib/libhardened_malloc.so", {Program.HARDENED_MALLOC: None}),
    ("[anon:Go: heap]", {Program.GO: None}),
    ("/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so", {Program.HOTSPOT: (17,)}),
    ("/opt/jdk-21.0.2/lib/server/libjvm.so", {Program.HOTSPOT: (21,)}),
    ("/opt/java/openjdk/lib/server/libjvm.so", {Program.HOTSPOT: None}),
    ("/memfd:java_heap (deleted)", {Program.ZGC: None}),
    ("/var/lib/solr/core/data/index/_4f2.cfs", {Program.LUCENE: None}),
    ("/data/indices/Xk/0/index/_0_Lucene90_0.dvd (deleted)", {Program.LUCENE: None}),
    (
        "/usr/share/elasticsearch/lib/platform/linux-x64/libzstd.so",
        {Program.LUCENE: None, Program.ELASTICSEARCH: None},
    ),
    (
        "/opt/elasticsearch-8.16.0/jdk/lib/server/libjvm.so",
        {Program.HOTSPOT: None, Program.LUCENE: None, Program.ELASTICSEARCH: None},
    ),
    (
        "/usr/share/opensearch/plugins/opensearch-knn/lib/libopensearchknn_common.so",
        {Program.LUCENE: None, Program.OPENSEARCH: None},
    ),
    ("/var/lib/kafka/data/orders-7/00000000000000368769.index", {Program.KAFKA: None}),
    ("/var/lib/kafka/data/orders-7/00000000000000000000.timeindex", {Program.KAFKA: None}),
    (f"{_DEBIAN}/libnode.so.115", {Program.V8: None, Program.NODE: None}),
    ("/usr/share/code/v8_context_snapshot.bin", {Program.V8: None}),
    (f"{_DEBIAN}/libjavascriptcoregtk-4.1.so.0.5.7", {Program.BUN: None}),
    ("/usr/lib/firefox-esr/libxul.so", {Program.FIREFOX: None}),
    (f"{_DEBIAN}/libpython3.13.so.1.0", {Program.CPYTHON: (3, 13)}),
    (f"{_DEBIAN}/libpypy3.9-c.so", {Program.PYPY: None}),
    (f"{_SITE}/numpy/core/_multiarray_umath.{_SO}", {Program.NUMPY: None}),
    (f"{_WHEELS}/torch/lib/libtorch_cpu.so", {Program.PYTORCH: None}),
    (f"{_WHEELS}/pyarrow/libarrow.so.2300", {Program.ARROW: None}),
    ("/root/.cache/huggingface/datasets/c4/cache-0a1b.arrow", {Program.ARROW: None}),
    ("/usr/lib/apache2/modules/libphp8.2.so", {Program.PHP: (8, 2)}),
    (f"{_DEBIAN}/libruby-3.1.so.3.1.2", {Program.RUBY: (3, 1)}),
    ("/usr/local/lib/libruby.so.3.3.8", {Program.RUBY: (3, 3)}),
    (f"{_DEBIAN}/libluajit-5.1.so.2.1.0", {Program.LUAJIT: None}),
    ("/usr/lib/libmonosgen-2.0.so.1.0.0", {Program.MONO: None}),
    ("/usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.11/libcoreclr.so",
     {Program.DOTNET: (8, 0)}),
    ("/opt/app/libcoreclr.so", {Program.DOTNET: None}),
    ("/memfd:doublemapper (deleted)", {Program.DOTNET: None}),
    (f"{_WHEELS}/wasmtime/linux-x86_64/_libwasmtime.so",
     {Program.WASMTIME: None, Program.WASM: None}),
    ("/usr/local/lib/libwasmtime.so", {Program.WASMTIME: None, Program.WASM: None}),
    ("/memfd:wasm-memory-image (deleted)", {Program.WASMTIME: None, Program.WASM: None}),
    (f"{_WHEELS}/libwasmer.so", {Program.WASM: None}),
    ("/usr/local/lib/libwasmedge.so.0.1.0", {Program.WASM: None}),
    ("/usr/lib/postgresql/15/bin/postgres", {Program.POSTGRESQL: (15,)}),
    (f"{_WHEELS}/chdb/_chdb.abi3.so", {Program.CLICKHOUSE: None}),
    (f"{_DEBIAN}/liblmdb.so.0.0.0", {Program.LMDB: None}),
    ("/var/lib/ldap/data.mdb", {Program.LMDB: None}),
    ("/usr/lib/x86_64-linux-gnu/wine/x86_64-unix/ntdll.so", {Program.WINE: None}),
    (f"{_DEBIAN}/libasan.so.8.0.0", {Program.SANITIZER: None}),
    ("/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.tsan-x86_64.so",
     {Program.SANITIZER: None}),
    (f"{_DEBIAN}/libibverbs.so.1.14.44.0", {Program.RDMA: None}),
    ("/dev/infiniband/uverbs0", {Program.RDMA: None}),
]  # fmt: skip

BY_EXE: list[tuple[str, dict[Program, Version | None]]] = [
    ("/usr/bin/node", {Program.V8: None, Program.NODE: None}),
    ("/usr/bin/deno", {Program.V8: None, Program.DENO: None}),
    ("/root/.bun/bin/bun", {Program.BUN: None}),
    ("/usr/lib/chromium/chromium", {Program.V8: None, Program.CHROMIUM: None}),
    ("/opt/google/chrome/chrome", {Program.V8: None, Program.CHROMIUM: None}),
    ("/usr/bin/python3.11", {Program.CPYTHON: (3, 11)}),
    ("/opt/conda/bin/python3.12", {Program.CPYTHON: (3, 12)}),
    ("/usr/bin/php8.2", {Program.PHP: (8, 2)}),
    ("/usr/sbin/php-fpm8.2", {Program.PHP: (8, 2)}),
    ("/usr/local/sbin/php-fpm", {Program.PHP: None}),
    ("/usr/bin/ruby3.1", {Program.RUBY: (3, 1)}),
    ("/usr/bin/luajit-2.1.0-beta3", {Program.LUAJIT: None}),
    ("/usr/lib/erlang/erts-13.1.5/bin/beam.smp", {Program.ERLANG: None}),
    ("/usr/bin/mono-sgen", {Program.MONO: None}),
    ("/usr/lib/node_modules/chrome-headless-shell", {Program.V8: None, Program.CHROMIUM: None}),
    ("/usr/bin/wasmtime", {Program.WASMTIME: None, Program.WASM: None}),
    ("/usr/sbin/mariadbd", {Program.MARIADB: None}),
    ("/usr/sbin/mysqld", {Program.MYSQL: None}),
    ("/usr/lib/postgresql/15/bin/postgres", {Program.POSTGRESQL: None}),
    ("/usr/bin/mongod (deleted)", {Program.MONGODB: None}),
    ("/usr/bin/clickhouse", {Program.CLICKHOUSE: None}),
    ("/usr/bin/qemu-system-x86_64", {Program.QEMU: None}),
    ("/usr/libexec/qemu-kvm", {Program.QEMU: None}),
    ("/usr/lib/wine/wine64-preloader", {Program.WINE: None}),
]

BY_SYMBOL: dict[str, Program] = {
    "ptmalloc_init": Program.GLIBC,
    "__malloc_allzerop": Program.MUSL,
    "je_mallctl": Program.JEMALLOC,
    "_rjem_mallctl": Program.JEMALLOC,
    "mi_malloc": Program.MIMALLOC,
    "TCMallocInternalMalloc": Program.TCMALLOC,
    "__rust_alloc": Program.RUST,
    "__crystal_main": Program.CRYSTAL,
    "luaJIT_setmode": Program.LUAJIT,
    "wasmtime_engine_new": Program.WASMTIME,
    "Py_BytesMain": Program.CPYTHON,
    "__asan_init": Program.SANITIZER,
    "__tsan_init": Program.SANITIZER,
}

#: of all of them somebody's program maps one, and is none of those above
STRANGERS = (
    "/usr/bin/postgrest", "/usr/bin/nodejs-exporter", "/usr/bin/mongodump", "/usr/bin/phpunit",
    "/usr/bin/monolith", "/usr/bin/chromedriver", "/usr/bin/clickhouse_exporter",
    "/usr/bin/goaccess", "/srv/kafka-ui/server", "/usr/bin/pythonic",
)  # fmt: skip


def told(names: list[str], traits: Traits | None = None) -> dict[Program, Version | None]:
    return {each.program: each.version for each in recognise(names, traits)}


@pytest.mark.parametrize(("name", "programs"), BY_NAMES, ids=[name for name, _ in BY_NAMES])
def test_a_program_is_told_by_what_it_maps(
    name: str, programs: dict[Program, Version | None]
) -> None:
    assert told([name]) == programs


@pytest.mark.parametrize(("exe", "programs"), BY_EXE, ids=[name for name, _ in BY_EXE])
def test_a_program_is_told_by_its_own_file(
    exe: str, programs: dict[Program, Version | None]
) -> None:
    assert told([], Traits(exe)) == programs


@pytest.mark.parametrize(("symbol", "program"), BY_SYMBOL.items())
def test_what_is_linked_statically_is_told_by_its_functions(symbol: str, program: Program) -> None:
    assert program in told([], Traits("/srv/server", frozenset({symbol}), static=True))


def test_go_is_told_by_its_build_information_with_its_version() -> None:
    traits = Traits(
        "/srv/server", sections=frozenset({".go.buildinfo"}), versions={Program.GO: (1, 19, 8)}
    )

    assert told(["/srv/server"], traits) == {Program.GO: (1, 19, 8)}


def test_every_program_is_told_by_something_above() -> None:
    shown = {program for _, programs in (*BY_NAMES, *BY_EXE) for program in programs}

    assert shown | set(BY_SYMBOL.values()) == set(Program)


@pytest.mark.parametrize("exe", STRANGERS)
def test_a_name_that_only_begins_alike_is_no_program_of_these(exe: str) -> None:
    assert told([exe], Traits(exe)) == {}


def test_nothing_is_told_of_a_program_that_shows_nothing() -> None:
    assert told(["/srv/server", "[heap]", "[anon:ours]"], Traits("/srv/server")) == {}
