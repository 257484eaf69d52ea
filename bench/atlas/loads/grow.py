# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Python objects that grow: grow.py KIND NUMBER. READY when they stand."""

# a load imports what it needs and nothing else
# ruff: noqa: PLC0415, PLW2901

import sys

kind, number = sys.argv[1], int(sys.argv[2])
PIECE = b"x" * 4096


def bytearrays(count: int) -> list[bytearray]:
    """Each of 240 KiB, one after another."""
    kept = []
    for _ in range(count):
        grown = bytearray()
        for _ in range(60):
            grown += PIECE
        kept.append(grown)
    return kept


def in_turn(count: int) -> list[bytearray]:
    """The same, all of them growing together."""
    kept = [bytearray() for _ in range(count)]
    for _ in range(60):
        for grown in kept:
            grown += PIECE
    return kept


def joined(count: int) -> list[bytes]:
    """The same bytes, collected and joined once, into one block."""
    return [b"".join(PIECE for _ in range(60 * count))]


def lists(count: int) -> list[list[int]]:
    """Lists of 40,000 numbers by append."""
    kept: list[list[int]] = [[] for _ in range(count)]
    for number_ in range(40_000):
        for grown in kept:
            grown.append(number_ & 255)
    return kept


def objects(count: int) -> list[dict[str, int]]:
    """Small dictionaries."""
    return [{"a": i, "b": -i} for i in range(count)]


def arrays(count: int) -> list[object]:
    """NumPy arrays of 128 KiB to 4 MiB."""
    import numpy as np

    return [np.ones((16384 << i % 6,), np.float64) for i in range(count)]


def tables(count: int) -> object:
    """A group-by in whichever of the libraries the name says."""
    import importlib

    library = importlib.import_module(sys.argv[3])
    if sys.argv[3] == "polars":
        frame = library.DataFrame({"k": [i % 97 for i in range(count)], "v": range(count)})
        return frame.group_by("k").agg(library.col("v").sum())
    if sys.argv[3] == "pandas":
        frame = library.DataFrame({"k": [i % 97 for i in range(count)], "v": range(count)})
        return frame.groupby("k").sum()
    if sys.argv[3] == "duckdb":
        return library.sql(
            f"select i % 97 k, sum(i) s from range({count}) t(i) group by k"
        ).fetchall()
    if sys.argv[3] == "pyarrow":
        table = library.table({"k": [i % 97 for i in range(count)], "v": list(range(count))})
        return table.group_by("k").aggregate([("v", "sum")])
    return library


def imported(count: int) -> object:
    """A library that is only imported, and used a little."""
    import importlib

    return [importlib.import_module(name) for name in sys.argv[3 : 3 + count]]


def wasm(count: int) -> object:
    """Instances with a memory of one page each; a fourth word: no reservations."""
    from wasmtime import Config, Engine, Instance, Module, Store

    config = Config()
    if len(sys.argv) > 3:
        for name in ("memory_reservation", "memory_reservation_for_growth", "memory_guard_size"):
            setattr(config, name, 0)
    engine = Engine(config)
    module = Module(engine, '(module (memory (export "m") 1))')
    store = Store(engine)
    return [(store, Instance(store, module, [])) for _ in range(count)]


def jitted(count: int) -> object:
    """Functions that Numba compiles."""
    from numba import njit

    kept = []
    for i in range(count):
        function = njit(lambda x, i=i: x + i)
        function(1)
        kept.append(function)
    return kept


def environments(count: int) -> object:
    """LMDB environments in the present directory."""
    import lmdb

    return [lmdb.open(f"env-{i}", map_size=1 << 20) for i in range(count)]


def greenlets(count: int) -> object:
    """Greenlets that wait."""
    import greenlet

    main = greenlet.getcurrent()
    kept = [greenlet.greenlet(main.switch) for _ in range(count)]
    for each in kept:
        each.switch()
    return kept


def mapped(count: int) -> object:
    """Files of 4 KiB, mapped one by one."""
    import mmap

    kept = []
    for i in range(count):
        with open(f"cache-{i:06d}.arrow", "wb+") as file:
            file.write(PIECE)
            file.flush()
            kept.append(mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ))
    return kept


def threads(count: int) -> object:
    """Threads that wait."""
    import threading

    wait = threading.Event()
    kept = [threading.Thread(target=wait.wait, daemon=True) for _ in range(count)]
    for each in kept:
        each.start()
    return kept


LOADS = (
    bytearrays, in_turn, joined, lists, objects, arrays, tables, imported, wasm, jitted,
    environments, greenlets, mapped, threads,
)  # fmt: skip
KEPT = {load.__name__: load for load in LOADS}[kind](number)
print("READY", flush=True)
sys.stdin.read()
