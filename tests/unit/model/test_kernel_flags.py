# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Flags are at one place per kernel and architecture, in vm_flags and in facts."""

from __future__ import annotations

from collections import Counter

import pytest

from vmad.architecture.architecture import Architecture
from vmad.architecture.known import ARCHITECTURES
from vmad.model.flags import canonical, canonical_codes, flag_masks, high_masks
from vmad.model.kernel import KernelInfo
from vmad.model.kernel_flags import KERNEL_FLAGS, KernelFlag
from vmad.sources.procfs.smaps import raw_flags

#: releases in which something moved
RELEASES = sorted({place.since for flag in KERNEL_FLAGS for place in flag.places})
BY_CODE = {flag.code: flag for flag in KERNEL_FLAGS}
on_each = pytest.mark.parametrize("on", ARCHITECTURES, ids=lambda on: on.machine)


def position(flag: KernelFlag) -> int:
    """Its bit in facts, or that of the flag that lent it."""
    return flag.places[0].bit if flag.canonical is None else flag.canonical


@on_each
def test_flags_of_one_release_never_share_a_bit(on: Architecture) -> None:
    for release in RELEASES:
        masks = list(flag_masks(release, on.machine).values())
        assert sum(mask.bit_count() for mask in masks) == sum(masks).bit_count()


@on_each
def test_flags_that_can_differ_have_a_bit_of_facts_of_their_own(on: Architecture) -> None:
    for release in RELEASES:
        masks = flag_masks(release, on.machine)
        differing = [flag for flag in KERNEL_FLAGS if flag.sentence and flag.code in masks]
        differing.append(BY_CODE["??"])
        taken = Counter(map(position, differing))
        assert not [flag.code for flag in differing if taken[position(flag)] > 1]
        codes = canonical_codes(on.machine)
        assert [codes[position(flag)] for flag in differing] == [flag.code for flag in differing]


def test_flags_above_bit_31_take_the_bits_of_flags_that_cannot_differ() -> None:
    lent = {flag.places[0].bit for flag in KERNEL_FLAGS if not flag.sentence}
    for flag in KERNEL_FLAGS:
        above = any(place.bit > 31 for place in flag.places) or not flag.places
        assert above == (flag.canonical is not None), flag.code
        assert not above or flag.canonical in lent, flag.code


def test_records_are_whole() -> None:
    assert max(Counter(flag.code for flag in KERNEL_FLAGS).values()) == 1
    for flag in KERNEL_FLAGS:
        for on in ARCHITECTURES:
            of = [place.since for place in flag.places if place.on in (None, on)]
            assert of == sorted(of), flag.code
        assert flag.term, flag.code


@on_each
@pytest.mark.parametrize("release", RELEASES)
def test_what_smaps_lists_comes_back_as_the_bit_that_facts_have(
    on: Architecture, release: tuple[int, int]
) -> None:
    kernel = KernelInfo(f"{release[0]}.{release[1]}.0", on.machine, page_shift=12)
    high, codes = high_masks(release, on.machine), canonical_codes(on.machine)
    letters = raw_flags(kernel)
    listed = [flag for flag in KERNEL_FLAGS if flag.sentence and flag.in_smaps]
    for flag in listed:
        if flag.code in flag_masks(release, on.machine):
            bit = canonical(letters[flag.in_smaps[0].encode()], high).bit_length() - 1
            assert codes[bit] == flag.code


def test_arm_flags_moved_with_the_releases() -> None:
    old, keys, stacks = (high_masks(release, "aarch64") for release in ((6, 1), (6, 12), (6, 13)))

    assert (old["mt"], old["mt_allowed"], old["ui"]) == (1 << 32, 1 << 33, 1 << 37)
    assert "pkey" not in old
    assert (keys["mt"], keys["mt_allowed"], keys["pkey"]) == (1 << 36, 1 << 37, 7 << 32)
    assert "ss" not in keys
    assert (stacks["ss"], stacks["ui"]) == (1 << 38, 1 << 41)


def test_bit_24_is_each_architectures_own() -> None:
    names = ("x86_64", "aarch64", "riscv64")
    assert [canonical_codes(machine)[24] for machine in names] == ["ar", "bt", "ar"]
    assert [list(flag_masks((6, 18), machine)).count("ar") for machine in names] == [1, 0, 1]


def test_a_machine_that_is_not_known_has_the_flags_that_all_have() -> None:
    assert set(high_masks((6, 18), "riscv64")) == {"dp", "sl", "ui"}
