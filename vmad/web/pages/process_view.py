# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the page of a process is made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from vmad.scan.explain import Explanation
from vmad.scan.growth import Watched
from vmad.scan.host_limits import HostLimits, is_far
from vmad.web.pages.past import Past


@dataclass(frozen=True)
class ProcessView:
    """One process as it was read just now, and what the daemon knows of it.

    ``names``: whether paths of files may be shown; ``addresses``: whether the picture may have
    them. ``query`` names the machine in links, ``taken_at`` is in Unix seconds.
    """

    explanation: Explanation
    hostname: str
    taken_at: float
    limits: HostLimits = field(default_factory=HostLimits)
    watched: Watched | None = None
    names: bool = False
    addresses: bool = False
    query: str = ""
    past: Past | None = None  #: its last hours

    @property
    def high_water(self) -> int | None:
        """The highest count since the daemon watches."""
        return None if self.watched is None else self.watched.high_water

    @property
    def far(self) -> bool:
        """Whether no call can have failed because of vm.max_map_count."""
        return is_far(
            self.explanation.ratio,
            self.explanation.max_map_count,
            self.limits,
            self.high_water,
        )
