# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The walk by open_coded.bpf.c: by the kernel's own iterator of VMAs (6.10)."""

from __future__ import annotations

from vmad.sources.bpf.queued import QueuedWalk


class OpenCodedWalk(QueuedWalk):
    """See QueuedWalk."""

    name = "open-coded"
    _file = "open_coded.bpf.o"
