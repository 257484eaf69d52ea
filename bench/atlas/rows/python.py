# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""CPython and its libraries."""

from __future__ import annotations

from bench.atlas.row import Needs, Row

_LIBS = "{root}/usr/lib/x86_64-linux-gnu/"


def _row(
    name: str, program: str, load: str, *words: str, needs: Needs = Needs.PYPI, **env: str
) -> Row:
    python = "{build}/venv/bin/python" if needs is Needs.PYPI else "python3"
    return Row(
        name,
        "CPython and its libraries",
        program,
        load,
        (python, "{loads}/grow.py", *words),
        needs,
        env,
    )


_M = Needs.MACHINE
_HUGE = "1073741824"

ROWS = (
    _row("cpython-objects", "CPython", "300,000 dictionaries", "objects", "300000", needs=_M),
    _row(
        "cpython-bytearrays",
        "CPython",
        "3,000 bytearrays of 240 KiB, one after another",
        "bytearrays",
        "3000",
        needs=_M,
    ),
    _row(
        "cpython-bytearrays-threshold",
        "CPython",
        "3,000 bytearrays, MALLOC_MMAP_THRESHOLD_=1 GiB",
        "bytearrays",
        "3000",
        needs=_M,
        MALLOC_MMAP_THRESHOLD_=_HUGE,
    ),
    _row(
        "cpython-bytearrays-mmap-max",
        "CPython",
        "3,000 bytearrays, MALLOC_MMAP_MAX_=0",
        "bytearrays",
        "3000",
        needs=_M,
        MALLOC_MMAP_MAX_="0",
    ),
    _row(
        "cpython-bytearrays-jemalloc",
        "CPython",
        "3,000 bytearrays, jemalloc preloaded",
        "bytearrays",
        "3000",
        needs=Needs.DEBIAN,
        LD_PRELOAD=_LIBS + "libjemalloc.so.2",
    ),
    _row(
        "cpython-joined",
        "CPython",
        "the bytes of 3,000 bytearrays, joined once",
        "joined",
        "3000",
        needs=_M,
    ),
    _row(
        "cpython-in-turn",
        "CPython",
        "3,000 bytearrays of 240 KiB, in turn",
        "in_turn",
        "3000",
        needs=_M,
    ),
    _row(
        "cpython-in-turn-threshold",
        "CPython",
        "in turn, MALLOC_MMAP_THRESHOLD_=1 GiB",
        "in_turn",
        "3000",
        needs=_M,
        MALLOC_MMAP_THRESHOLD_=_HUGE,
    ),
    _row("cpython-lists", "CPython", "400 lists of 40,000 by append", "lists", "400", needs=_M),
    _row(
        "cpython-lists-threshold",
        "CPython",
        "400 lists, MALLOC_MMAP_THRESHOLD_=1 GiB",
        "lists",
        "400",
        needs=_M,
        MALLOC_MMAP_THRESHOLD_=_HUGE,
    ),
    _row("cpython-threads", "CPython", "300 threads", "threads", "300", needs=_M),
    _row("cpython-files", "CPython", "5,000 files of 4 KiB, mapped", "mapped", "5000", needs=_M),
    _row("numpy", "NumPy", "300 arrays of 128 KiB to 4 MiB", "arrays", "300"),
    _row(
        "numpy-no-hugepage",
        "NumPy",
        "300 arrays, NUMPY_MADVISE_HUGEPAGE=0",
        "arrays",
        "300",
        NUMPY_MADVISE_HUGEPAGE="0",
    ),
    _row("pandas", "pandas", "group-by of 1 M rows", "tables", "1000000", "pandas"),
    _row("polars", "Polars", "group-by of 1 M rows", "tables", "1000000", "polars"),
    _row("pyarrow", "PyArrow", "group-by of 1 M rows", "tables", "1000000", "pyarrow"),
    _row("duckdb", "DuckDB", "group-by of 20 M rows", "tables", "20000000", "duckdb"),
    _row(
        "scipy",
        "SciPy",
        "imported",
        "imported",
        "3",
        "scipy.linalg",
        "scipy.sparse",
        "scipy.optimize",
    ),
    _row("sklearn", "scikit-learn", "imported", "imported", "1", "sklearn.ensemble"),
    _row("lxml", "lxml", "imported", "imported", "1", "lxml.etree"),
    _row("numba", "Numba", "40 compiled functions", "jitted", "40"),
    _row("lmdb", "LMDB", "500 environments", "environments", "500"),
    _row("greenlets", "greenlet", "10,000 greenlets", "greenlets", "10000"),
    _row("wasmtime-1000", "Wasmtime", "1,000 instances", "wasm", "1000"),
    _row("wasmtime-100", "Wasmtime", "100 instances", "wasm", "100"),
    _row(
        "wasmtime-1000-small",
        "Wasmtime",
        "1,000 instances, no reservations",
        "wasm",
        "1000",
        "small",
    ),
)
