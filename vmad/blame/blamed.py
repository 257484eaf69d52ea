# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The result of a recording, added up: which stacks made how many of the VMAs that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vmad.blame.attribution import Attribution, Origin
from vmad.blame.stack import NO_STACK, Stack
from vmad.model.kinds import Kind
from vmad.scan.explain import Explanation
from vmad.sources.bpf.blame import Losses
from vmad.sources.bpf.calls import CALLS


@dataclass(frozen=True, slots=True)
class Maker:
    """VMAs of one cause that one stack made by one call.

    ``reason`` is the decisive one of the pair with the VMA below, None where there is no pair:
    then ``kind`` is what the VMA is. ``call`` is None and ``stack`` empty where nobody was seen
    making them; ``origin`` says why. ``seconds`` is between the first and the last of them.
    """

    reason: str | None
    kind: Kind | None
    origin: Origin
    call: str | None
    stack: Stack
    vmas: int
    doubtful: int
    seconds: float


class _Makers:
    """What the makers of one process's VMAs add up to."""

    __slots__ = ()
    makers: tuple[Maker, ...]

    def vmas_of(self, *origins: Origin) -> int:
        """VMAs of which this is how it is known who made them."""
        return sum(maker.vmas for maker in self.makers if maker.origin in origins)

    @property
    def told(self) -> int:
        """VMAs whose maker was seen."""
        return self.vmas_of(Origin.RECORDED, Origin.MOVED, Origin.INHERITED)

    @property
    def doubtful(self) -> int:
        """Of these, those whose maker may be another, since it could not be looked at closely."""
        return sum(maker.doubtful for maker in self.makers)

    @property
    def complete(self) -> int:
        """VMAs made by stacks that reach the beginning of their thread."""
        return sum(maker.vmas for maker in self.makers if maker.stack.complete)


@dataclass(frozen=True, slots=True)
class OneProcess(_Makers):
    """A process and who made its VMAs. ``makers``: most VMAs first.

    ``ended`` where the VMAs told are those at another time than the end of the recording: so many
    seconds before that, when it had ``map_count_end``.
    """

    pid: int
    comm: str
    map_count: int
    makers: tuple[Maker, ...]
    ended: float | None = None
    map_count_end: int | None = None


@dataclass(frozen=True, slots=True)
class Blamed(_Makers):
    """The process that was recorded, as OneProcess has it, and its ``children`` where they were
    followed, those with the most VMAs whose maker was seen first.

    ``map_count`` before and at the end; ``seconds`` the recording lasted; ``calls`` recorded of all
    of them; ``way`` how. ``stacks`` is the number of distinct ones since the last exec of each,
    ``complete_stacks`` of those among them that reach the beginning of their thread (None: recorded
    before that was counted).
    """

    pid: int
    comm: str
    seconds: float
    map_count_before: int | None
    map_count: int
    calls: int
    way: str
    makers: tuple[Maker, ...]
    losses: Losses
    stacks: int
    complete_stacks: int | None
    ended: float | None = None
    map_count_end: int | None = None
    children: tuple[OneProcess, ...] = ()

    @property
    def everybody(self) -> tuple[Blamed | OneProcess, ...]:
        """It and its children."""
        return (self, *self.children)


def made_by(
    explanation: Explanation, attribution: Attribution, stacks: Mapping[int, Stack]
) -> tuple[Maker, ...]:
    """Every VMA under exactly one maker. ``stacks``: key -> what it was unwound to."""
    size = len(explanation.table.rows)
    cause = np.zeros(size, np.int64)
    for number, known in enumerate(explanation.causes):
        cause[known.rows] = number
    unwound: dict[Stack, int] = {NO_STACK: 0}
    numbers = {key: unwound.setdefault(stack, len(unwound)) for key, stack in stacks.items()}
    keys, inverse = np.unique(attribution.stack, return_inverse=True)
    of_key = np.array([numbers.get(key, 0) for key in keys.tolist()], np.int64)
    stack = of_key[inverse.ravel()]
    columns = np.stack(
        (cause, attribution.origin.astype(np.int64), attribution.call, stack), axis=1
    )
    groups, member = np.unique(columns, axis=0, return_inverse=True)
    member = member.ravel()
    by_number = list(unwound)
    makers = []
    for number, (which, origin, call, of_stack) in enumerate(groups.tolist()):
        rows = np.flatnonzero(member == number)
        known = explanation.causes[which]
        when = attribution.when[rows]
        when = when[when > 0]
        makers.append(
            Maker(
                known.reason,
                known.kind,
                Origin(origin),
                CALLS[call] if call >= 0 else None,
                by_number[of_stack],
                len(rows),
                int(np.count_nonzero(attribution.doubt[rows])),
                float(np.ptp(when)) / 1e9 if len(when) else 0.0,
            )
        )
    return tuple(sorted(makers, key=lambda maker: -maker.vmas))
