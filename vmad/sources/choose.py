# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which source answers: the one that was asked for, or the best that works here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress

from vmad.errors import EvidenceUnavailable, VmadError
from vmad.model.evidence import EvidenceChoice
from vmad.model.kernel import running_kernel
from vmad.sources.source import Source


def open_source(evidence: EvidenceChoice, capture: str | None, proc: str = "/proc") -> Source:
    """Open a source; the caller closes it.

    ``capture`` names a file and decides alone. Raises EvidenceUnavailable, CannotRead,
    BadCapture.
    """
    # imported on demand: each source brings what the others do without
    if capture is not None:
        from vmad.sources.capture import CaptureSource  # noqa: PLC0415

        return CaptureSource(capture)
    if evidence != "auto":
        return OPENERS[evidence](proc)
    *better, last = OPENERS.values()
    for opener in better:
        with suppress(EvidenceUnavailable):
            return opener(proc)
    return last(proc)


def kernel_source(
    proc: str = "/proc", walk: str | None = None, patience: float | None = None
) -> Source:
    """Kernel evidence by the walk of this name, else by the best one that loads.

    ``patience``: seconds with one process that never holds still. Raises EvidenceUnavailable.
    """
    from vmad.sources.bpf.source import BpfSource  # noqa: PLC0415

    walk = walk or os.environ.get("VMAD_WALK")
    kernel = running_kernel(proc)
    if patience is None:
        return BpfSource(kernel, walk=walk, proc=proc)
    return BpfSource(kernel, walk=walk, proc=proc, patience=patience)


def procfs_source(proc: str = "/proc") -> Source:
    """What /proc shows. Raises EvidenceUnavailable."""
    from vmad.sources.procfs.source import ProcfsSource  # noqa: PLC0415

    return ProcfsSource(proc)


#: by what is asked for, the best one first
OPENERS: Mapping[str, Callable[[str], Source]] = {"kernel": kernel_source, "procfs": procfs_source}


def why_not_kernel(proc: str = "/proc") -> str | None:
    """The one-line reason why kernel evidence cannot be had here; None when it can."""
    try:
        kernel_source(proc).close()
    except VmadError as error:
        return str(error)
    return None
