# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each difference between releases begins where the kernel's history has it."""

from __future__ import annotations

import re

import pytest

from tests.unit.rules.strategies import pair
from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.flags import GUARD, SOFTDIRTY
from vmad.model.kernel import KernelInfo
from vmad.model.verdict import Direction, Verdict
from vmad.rules.eras import ERAS, era_of
from vmad.rules.stock import StockRules


def stock(release: str) -> StockRules:
    return StockRules(KernelInfo(release, page_shift=12))


def test_eras_ascend_and_name_their_commits() -> None:
    assert [era.since for era in ERAS] == sorted({era.since for era in ERAS})
    assert all(re.search(r"[0-9a-f]{12}", era.source) for era in ERAS[1:])


@pytest.mark.parametrize(
    ("release", "since"),
    [
        ("4.19.0", (5, 10)), ("5.10.223", (5, 10)), ("5.16.20", (5, 10)), ("5.17.0", (5, 17)),
        ("6.15.11", (5, 17)), ("6.16.0-rc1", (6, 16)), ("6.17.1", (6, 16)), ("6.18.3", (6, 18)),
        ("7.3.4", (6, 18)), ("9.0.0", (6, 18)),
    ],
)  # fmt: skip
def test_releases_belong_to_the_nearest_era(release: str, since: tuple[int, int]) -> None:
    assert era_of(KernelInfo(release, page_shift=12).version).since == since


def test_names_are_compared_from_5_17_on() -> None:
    assert stock("5.16.0").judge(f.NAME).verdict is Verdict.MERGEABLE
    assert stock("5.17.0").judge(f.NAME).reasons == ("anon_vma_name",)


def test_unseen_names_leave_nothing_open_where_there_are_none() -> None:
    assert stock("5.16.0").judge(f.UNKNOWN_NAME).verdict is Verdict.MERGEABLE
    assert stock("5.17.0").judge(f.UNKNOWN_NAME).reasons == ("anon_vma_name_unknown",)


def test_one_sided_merge_ends_with_6_16() -> None:
    facts = pair(AnonVma.SINGULAR, AnonVma.NONE, exclusive="a")

    assert stock("6.15.9").judge(facts).direction is Direction.B
    assert stock("6.15.9").judge(facts).decisive == "latent_one_sided"
    assert stock("6.16.0").judge(facts).direction is Direction.EITHER
    assert stock("6.16.0").judge(facts).decisive == "latent"


@pytest.mark.parametrize("release", ["5.10.0", "6.1.0", "6.18.35", "7.3.4"])
def test_soft_dirty_never_blocks(release: str) -> None:
    assert stock(release).judge(SOFTDIRTY << f.FLAGS_SHIFT).verdict is Verdict.MERGEABLE


def test_guard_regions_do_not_block_where_the_flag_exists() -> None:
    assert stock("6.18.37").judge(GUARD << f.FLAGS_SHIFT).verdict is Verdict.MERGEABLE
    assert stock("6.12.0").judge(GUARD << f.FLAGS_SHIFT).reasons == ("vm_flags:gu",)
