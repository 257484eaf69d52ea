# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The walk by lockless.bpf.c: it takes no lock, and reads the tree of VMAs itself (6.10)."""

from __future__ import annotations

import numpy as np

from vmad.errors import EvidenceUnavailable
from vmad.sources.bpf.layout import WANTED, Status
from vmad.sources.bpf.queued import QueuedWalk


class LocklessWalk(QueuedWalk):
    """See QueuedWalk; with a digest asked for, it reads on where an address space has changed.

    Raises EvidenceUnavailable where the kernel has no mm_lock_seq (before 6.4, or without
    CONFIG_PER_VMA_LOCK), or one that does not tell of writers (before 6.14, with PREEMPT_RT), or a
    tree of VMAs that is not known.
    """

    name = "lockless"
    _file = "lockless.bpf.o"

    def __init__(self, settings: bytes) -> None:
        super().__init__(settings)
        _, header = self.rows(np.zeros(1, WANTED))  # of whoever runs it
        if header["status"] == Status.UNKNOWN:
            self.close()
            raise EvidenceUnavailable(
                "BPF: lockless.bpf.o: this kernel has no mm_lock_seq, or another tree of VMAs"
            )
