# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A timeline goes on in the next daemon; bytes that make no sense are refused."""

from __future__ import annotations

import json
import random
import zlib
from typing import Any

import numpy as np
import pytest

from vmad.timeline.packed import pack, unpack
from vmad.timeline.rings import MISSING
from vmad.timeline.timeline import COUNT, FAILURES, Remembered, Timeline

NOW = 1_800_000_000.0
PROCESS = Remembered(7, 40, "post\ngres \udcff", "db.service")


def some() -> Timeline:
    timeline = Timeline()
    timeline.put_groups(NOW, ("db.service", "<b>&.scope"), np.array([65_530, 3], np.int32))
    timeline.put_processes(NOW, (PROCESS,), np.array([65_530], np.int32))
    timeline.put_failures(NOW, {"db.service": 12})
    timeline.put_host(NOW, count=65_530, limit=65_530, starts=1)
    return timeline


def test_what_was_goes_on_with_a_gap() -> None:
    left = unpack(pack(some(), "boot"), "boot")

    left.put_groups(NOW + 2, ("db.service",), np.array([9], np.int32))

    series = left.of_group("db.service", 3, NOW + 2)
    assert series is not None
    assert series.values.tolist() == [65_530, MISSING, 9]
    failures = left.of_group("db.service", 3, NOW + 2, FAILURES)
    assert failures is not None
    assert failures.values.tolist() == [12, MISSING, MISSING]
    process = left.of_process(7, 40, 300, NOW)
    assert process is not None
    assert process.known.tolist() == [65_530]
    host = left.of_host(COUNT, 86_400, NOW)
    assert host is not None
    assert host.known.tolist() == [65_530]
    assert left.processes.keys == (PROCESS,)


@pytest.mark.parametrize(("before", "now"), [("boot", "another"), ("", "")])
def test_processes_are_of_one_boot_groups_of_all(before: str, now: str) -> None:
    left = unpack(pack(some(), before), now)

    assert left.of_process(7, 40, 300, NOW) is None
    assert left.of_group("db.service", 300, NOW) is not None


def test_nothing_can_be_left_too() -> None:
    assert unpack(pack(Timeline(), "boot"), "boot").groups.keys == ()


def changed(**head: Any) -> bytes:
    first, _, rest = zlib.decompress(pack(some(), "boot")).partition(b"\n")
    return zlib.compress(json.dumps(json.loads(first) | head).encode() + b"\n" + rest)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no zlib",
        pack(some(), "boot")[:-9],
        pack(some(), "boot") + b"more",
        zlib.compress(b"[]\n"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b"{}\n"),
        zlib.compress(zlib.decompress(pack(some(), "boot"))[:-4]),
        zlib.compress(zlib.decompress(pack(some(), "boot")) + b"more"),
        zlib.compress(zlib.decompress(pack(some(), "boot"))[:-4] + b"\x00\x00\x00\x80"),
        changed(resolutions=[[1, 1]]),
        changed(groups=["db.service", 7]),
        changed(groups=["db.service", "db.service"]),
        changed(groups=["a"]),
        changed(processes=[[7, -1, "a", "b"]]),
        changed(processes=[[True, 1, "a", "b"]]),
        changed(host=["another"]),
        changed(newest={}),
    ],
)
def test_what_makes_no_sense_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(packed, "boot")


def test_damaged_bytes_are_refused_or_hold_counts() -> None:
    dice = random.Random(7)
    whole = zlib.decompress(pack(some(), "boot"))
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(dice.randrange(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            left = unpack(zlib.compress(bytes(damaged), 1), "boot")
        except ValueError:
            continue
        left.put_groups(NOW, ("db.service",), np.array([9], np.int32))
        series = left.of_group("db.service", 300, NOW)
        assert series is not None
        assert np.min(series.values) >= MISSING


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(ValueError, match="does not end"):
        unpack(zlib.compress(bytes(1 << 27), 1), "boot")
