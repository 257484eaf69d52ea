# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Counts merge attempts on a stock kernel, where the configuration asks for it.

The programs outlive the rights that loading them took, and their counts are read from memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from vmad.config.schema import Config
from vmad.errors import EvidenceUnavailable
from vmad.model.kernel import KernelInfo
from vmad.model.merge_attempts import MergeAttempts

log = logging.getLogger("vmad")


def merge_attempts_counter(
    config: Config, kernel: KernelInfo
) -> Callable[[], MergeAttempts] | None:
    """What gives the attempts since now; None where nobody asked, the kernel counts them itself,
    or it cannot be done, which is said in a line of the log: it is no reason not to watch.
    """
    if config.scan.merge_attempts != "bpf":
        return None
    if kernel.patched:
        log.info("scan.merge_attempts: this kernel counts them itself (vm.anon_vma_merge)")
        return None
    from vmad.sources.bpf.merge_attempts import KernelMergeAttempts  # noqa: PLC0415  libbpf

    try:
        attempts = KernelMergeAttempts(kernel)
    except EvidenceUnavailable as error:
        log.error("scan.merge_attempts: bpf cannot be had, nothing is counted: %s", error)
        return None
    log.info("merge attempts are counted by BPF (%s)", attempts.way)
    return attempts.read
