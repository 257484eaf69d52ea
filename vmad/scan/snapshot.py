# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The last complete result: the one immutable value that exporters, the page and the API render.

Everything here is already decided and added up. Missing is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmad.model.kernel import KernelInfo
from vmad.model.process import Evidence, ProcessId, Unreadable
from vmad.model.verdict import PairKey, Recoverable
from vmad.scan.phases import Phase

if TYPE_CHECKING:
    from vmad.config.schema import ThresholdsConfig


@dataclass(frozen=True, slots=True)
class JudgedProcess:
    """One process as a scan found it, judged by both rules.

    ``map_count`` is the newest sample; ``high_water`` the highest one seen since vmad watches the
    process; ``rate`` VMAs per second over the last minutes; ``seconds_to_limit`` at that rate, 0 at
    the limit, None where nothing is foretold (vmad.scan.forecast). ``walked_at`` is
    the Unix time at which its pairs were walked, first so.
    """

    id: ProcessId
    comm: str
    group: str
    map_count: int | None
    ratio: float | None
    high_water: int | None
    rate: float | None
    seconds_to_limit: float | None
    kinds: tuple[int, ...]
    pairs: Mapping[PairKey, int]
    recoverable: Recoverable
    walked_at: float | None = None
    size: int | None = None  #: of the whole address space, bytes


@dataclass(frozen=True, slots=True)
class GroupStats:
    """Processes that belong together (a systemd unit, a container, a command), added up.

    Sums count an address space that several processes share once. ``ratio`` is that of the worst
    process, since sums hide the one that is about to die; ``seconds_to_limit`` the soonest one.
    ``rate`` is of the sum; ``worst`` has most VMAs now, ``soonest`` is the one of whom
    ``seconds_to_limit`` is told.
    ``kinds``/``pairs``/``recoverable`` are None when no member has been walked.

    A group outlives its processes while it has a mark: ``processes`` is 0 then. ``high_water`` is
    the highest count of a process that runs since vmad watches it, or of any within the window
    (scan.keep_marks). ``ratio`` is of the highest count since the scan before, or in the last two
    minutes; ``map_count_max`` is that of now.
    """

    name: str
    processes: int
    map_count_sum: int | None
    map_count_max: int | None
    high_water: int | None
    ratio: float | None
    rate: float | None
    seconds_to_limit: float | None
    kinds: tuple[int, ...] | None
    pairs: Mapping[PairKey, int] | None
    recoverable: Recoverable | None
    size_sum: int | None = None  #: of all address spaces, bytes
    #: when a process last had nine tenths of ``high_water`` or more, Unix seconds; None where that
    #: is longer ago than the window, or the count too low for a mark
    high_water_at: float | None = None
    #: that its VMAs take at least, bytes (vmad.rules.vma_cost)
    kernel_bytes: int | None = None
    worst: JudgedProcess | None = None
    soonest: JudgedProcess | None = None

    @property
    def spoken_of(self) -> JudgedProcess | None:
        """The process that a row about the group speaks of: who is soonest, else the worst."""
        return self.soonest or self.worst


def _usual_thresholds() -> ThresholdsConfig:
    # a scan by hand has none, and need not wait for all that reads a configuration
    from vmad.config.schema import ThresholdsConfig  # noqa: PLC0415

    return ThresholdsConfig()


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """One host (or virtual machine) at one moment."""

    taken_at: float  #: Unix time when the scan ended, seconds
    took_seconds: float  #: wall time of reading and judging
    full: bool
    evidence: Evidence
    kernel: KernelInfo
    hostname: str
    max_map_count: int | None
    worst_ratio: float | None  #: the highest of the groups
    processes: tuple[JudgedProcess, ...]  #: every process read, worst ratio first
    unreadable: tuple[Unreadable, ...]
    groups: tuple[GroupStats, ...]  #: nearest to its limit first; "other" last
    top: tuple[JudgedProcess, ...]  #: the bounded top-N that names pids
    kinds: tuple[int, ...]
    pairs: Mapping[PairKey, int]
    recoverable: Recoverable
    walk: str  #: how address spaces are walked
    groups_folded: int = 0  #: groups beyond the cap, counted under "other"
    #: what each phase of this scan took, seconds
    phases: Mapping[Phase, float] = field(default_factory=dict)
    #: what is too much here however high the limit is
    thresholds: ThresholdsConfig = field(default_factory=_usual_thresholds)
    #: by (outcome, reason), since boot or since BPF began to count; None where nobody counts
    merge_attempts: Mapping[tuple[str, str], int] | None = None
    #: Unix time at which VMAs were counted last: counts, high-water marks and growth are of then
    counted_at: float | None = None
