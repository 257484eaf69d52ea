# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""File descriptors in reserve: no number of clients may take those that scanning needs."""

from __future__ import annotations

import logging
import os
import resource

from vmad.export.quantities import counted

log = logging.getLogger("vmad")

#: what may be opened besides clients' connections, beyond what is open at the start: listening
#: sockets, the event loop's, process events, four readers and their files, the state
RESERVE = 12
#: of each guest: its socket, QEMU's memory or the files that are handed over (physical.FILES)
PER_TARGET = 24


def connections_within(connections: int, targets: int = 0) -> int:
    """How many clients may be connected at a time: ``wanted``, or what descriptors are left for.

    The soft limit (getrlimit(2), RLIMIT_NOFILE) is raised as far as needed and allowed. At least
    one, whatever that leaves.
    """
    needed = len(os.listdir("/proc/self/fd")) + RESERVE + targets * PER_TARGET
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, needed + connections)
    if soft < needed + connections:
        soft = min(needed + connections, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft >= needed + connections:
        return connections
    left = max(soft - needed, 1)
    log.warning(
        "%s at a time rather than %d (web.max_connections): only %d file descriptors are "
        "allowed (ulimit -n, LimitNOFILE=), and scanning comes first",
        counted(left, "client"), connections, soft,
    )  # fmt: skip
    return left
