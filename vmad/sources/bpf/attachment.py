# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Programs that are attached always, or only while some process is near the limit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from vmad.errors import EvidenceUnavailable
from vmad.sources.bpf.bpf_object import BpfObject

#: on demand programs are attached from when some process has this share of the limit, until none
#: has had it for so many seconds
NEAR: Final = 0.5
LINGER: Final = 60.0


class Attachment:
    """The programs of a loaded object, by name and in the order of attaching.

    Raises EvidenceUnavailable where the kernel refuses one: then none stays, and the object is
    closed.
    """

    def __init__(self, loaded: BpfObject, programs: Sequence[str], *, on_demand: bool) -> None:
        self._object = loaded
        self._programs = programs
        self._on_demand = on_demand
        self._near_at = time.monotonic()
        if not on_demand:
            try:
                self._attach()
            except EvidenceUnavailable:
                loaded.close()
                raise

    @property
    def attached(self) -> bool:
        """Whether they run at this moment."""
        return self._object.attached

    def _attach(self) -> None:
        try:
            for program in self._programs:
                self._object.attach(program)
        except EvidenceUnavailable:
            self._object.detach()
            raise

    def most_is(self, map_count: int | None, limit: int | None) -> None:
        """Some process has so many VMAs, none has more (None unknown); this is the limit.

        From 5.18 on it takes no right. Raises EvidenceUnavailable.
        """
        if not self._on_demand or map_count is None or not limit:
            return
        now = time.monotonic()
        if map_count >= NEAR * limit:
            self._near_at = now
            if not self.attached:
                self._attach()
        elif self.attached and now - self._near_at > LINGER:
            self._object.detach()
