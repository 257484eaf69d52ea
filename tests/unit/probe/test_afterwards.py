# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is not as it should be after a step of a rebuild: vmad's fault, or the end of the target."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vmad.probe.rebuild import RebuildSession, Rebuilt
from vmad.probe.refusals import TargetGone

PART = Rebuilt(0x10000, 0x20000, 16, "rebuilt", moved=65_536)


def afterwards(*, alive: bool) -> Any:
    """A rebuild whose target shows nothing where the part was."""
    return SimpleNamespace(
        _window=SimpleNamespace(look=lambda start, most: ([], 0)),
        _ignored=0,
        target=SimpleNamespace(pid=7, still_the_same=lambda: alive),
    )


def test_a_target_that_was_killed_meanwhile_is_told_as_that() -> None:
    with pytest.raises(TargetGone, match="process 7 was killed in the middle"):
        RebuildSession._checked(afterwards(alive=False), PART, 0)


def test_what_is_not_one_vma_in_a_living_target_is_told_as_changed() -> None:
    part = RebuildSession._checked(afterwards(alive=True), PART, 0)
    assert (part.outcome, part.why) == ("changed", "it is not one VMA afterwards")
