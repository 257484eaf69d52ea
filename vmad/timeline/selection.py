# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is asked for of a timeline."""

from __future__ import annotations

from dataclasses import dataclass

from vmad.timeline.rings import RESOLUTIONS

#: seconds that are shown unless another span is asked for, and the longest
USUAL, LONGEST = RESOLUTIONS[1].span, RESOLUTIONS[-1].span


@dataclass(frozen=True, slots=True)
class Selection:
    """The last ``span`` seconds: of one group, of one process, or of all and the host."""

    span: int = USUAL
    group: str | None = None
    pid: int | None = None
