# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is listed by reason elsewhere has a reason of the catalogue, and each reason is listed.

The runbook, the page of reasons and the advice are held to the catalogue by their own tests.
"""

from __future__ import annotations

from vmad.export.picture.palette import REASONS, UNKNOWN, of_reason
from vmad.model.evidence import CHOICES, Evidence
from vmad.model.kernel_flags import KERNEL_FLAGS
from vmad.rules.catalogue import CATALOGUE
from vmad.scan.shapes import BY_REASON
from vmad.selfcheck.conditions import CONDITIONS
from vmad.sources.choose import OPENERS

#: what evidence does not show is no condition of the kernel
UNSEEN = {name for name in CATALOGUE if name.endswith("_unknown")}
FLAGS = {name for name in CATALOGUE if name.startswith("vm_flags:")} - {"vm_flags:access"}
#: it is said of what is no pair, and pairs alone are drawn and told
NO_PAIR = {"not_adjacent"}

#: why no process of the self-check has such a pair
NOT_BUILT = {
    "latent": "the kernel merges it when asked, which the check counts as its answer",
    "latent_one_sided": "as latent, before 6.16",
    "not_adjacent": "it is not a pair",
    "VM_SPECIAL": "memory of a device, which is nowhere the same",
    "vm_ops_close": "a driver's, too",
    **{flag.reason: flag.unbuilt for flag in KERNEL_FLAGS if flag.unbuilt},
}


def test_every_reason_has_a_colour_of_its_own_or_one_of_the_flags() -> None:
    assert set(REASONS) == set(CATALOGUE) - FLAGS - UNSEEN - NO_PAIR
    assert {name for name in CATALOGUE if of_reason(name) == UNKNOWN} == UNSEEN


def test_every_reason_that_keeps_pairs_apart_has_a_shape() -> None:
    for start, _ in BY_REASON:
        assert any(name.startswith(start) for name in CATALOGUE), start
    told = {name for name in CATALOGUE for start, _ in BY_REASON if name.startswith(start)}
    assert told | UNSEEN == set(CATALOGUE) - NO_PAIR


def test_the_selfcheck_builds_every_reason_or_says_why_not() -> None:
    built = {condition.expects for condition in CONDITIONS if condition.expects is not None}
    assert built <= set(CATALOGUE)
    assert not built & set(NOT_BUILT)
    assert built | set(NOT_BUILT) | UNSEEN == set(CATALOGUE)


def test_what_may_be_asked_for_is_evidence() -> None:
    assert CHOICES[0] == "auto"
    assert set(CHOICES[1:]) == {evidence.value for evidence in Evidence} - {"probe"}


def test_whatever_may_be_asked_for_can_be_opened_the_best_first() -> None:
    assert ("auto", *OPENERS) == CHOICES
