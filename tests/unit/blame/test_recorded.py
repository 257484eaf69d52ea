# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Recorded makers of several processes, and of two times."""

from __future__ import annotations

import numpy as np

from vmad.sources.bpf.blame import BOUNDARY, BOUNDARY_KEY, Recorded


def makers(*rows: tuple[int, int, int]) -> Recorded:
    """(tgid, address, stack); 2 is a child of 1, 3 a child of 2."""
    keys = np.array([(address, tgid) for tgid, address, _ in rows], BOUNDARY_KEY)
    made = np.array([(stack, 1, 0, 0, 0) for *_, stack in rows], BOUNDARY)
    return Recorded(keys, made, {1: (0, 0, 11), 2: (5, 1, 12), 3: (6, 2, 13), 9: (0, 0, 19)})


def rows_of(recorded: Recorded) -> set[tuple[int, int, int]]:
    return {
        (int(key["tgid"]), int(key["address"]), int(maker["stack"]))
        for key, maker in zip(recorded.keys, recorded.makers, strict=True)
    }


def test_of_one_process_only_it_and_its_ancestors_tell() -> None:
    everything = makers((1, 0x1000, 7), (2, 0x2000, 8), (3, 0x3000, 9), (9, 0x1000, 5))

    family = everything.of_family(2)

    assert rows_of(family) == {(1, 0x1000, 7), (2, 0x2000, 8)}
    assert family.processes == {1: (0, 0, 11), 2: (5, 1, 12)}


def test_older_ones_tell_of_what_is_there_and_has_no_maker_any_more() -> None:
    older = makers((1, 0x1000, 7), (1, 0x2000, 7), (1, 0x3000, 7))
    newer = makers((1, 0x2000, 8))

    completed = newer.completed(older, np.array([0x1000, 0x2000], np.uint64))

    assert rows_of(completed) == {(1, 0x1000, 7), (1, 0x2000, 8)}
