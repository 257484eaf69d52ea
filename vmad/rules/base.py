# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What all rules are: a function facts → judgement, for one kernel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

from vmad.model.flags import canonical_codes
from vmad.model.kernel import KernelInfo
from vmad.model.verdict import Judgement
from vmad.rules.eras import Era, era_of

#: distinct facts values remembered per rules, some 280 bytes each: the processes of a host have
#: tens to hundreds, those of a day on it more, and a hostile process can make any number
JUDGEMENTS_REMEMBERED = 2048


class Rules(ABC):
    """Rules of ``kernel``, hashable by identity; ``era`` is what of them depends on its release."""

    name: ClassVar[str]  #: one of vmad.model.verdict.RULES

    def __init__(self, kernel: KernelInfo) -> None:
        self.kernel = kernel
        self.era: Era = era_of(kernel.version)
        self._codes = canonical_codes(kernel.machine)
        self._remembered = lru_cache(maxsize=JUDGEMENTS_REMEMBERED)(self._decide)

    def judge(self, facts: int) -> Judgement:
        """The verdict of one pair (``facts``: see :mod:`vmad.model.facts`); total, remembered."""
        return self._remembered(facts)

    @abstractmethod
    def _decide(self, facts: int) -> Judgement:
        """The verdict of one pair."""
