# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How BPF may watch the kernel's merge functions here, found out without vmad's own code."""

from __future__ import annotations

import ctypes
import os

from tests.live.kernel_walks import KERNEL

BPF_PROG_TYPE_TRACING = 26


def may_trace() -> bool:
    """libbpf's own trial: a program of this type gets as far as being verified."""
    library = ctypes.CDLL("libbpf.so.1")
    library.libbpf_set_print(None)
    return bool(library.libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_TRACING, None) == 1)


def _watches() -> tuple[str, ...]:
    if KERNEL.version < (6, 12):
        return ()
    found = []
    # the sysctl comes with CONFIG_FUNCTION_TRACER, the directory with CONFIG_KPROBE_EVENTS
    if os.path.exists("/proc/sys/kernel/ftrace_enabled") and may_trace():
        found.append("fentry")
    if os.path.exists("/sys/bus/event_source/devices/kprobe"):
        found.append("kprobe")
    return tuple(found)


#: the ways that must work, the cheaper first
WATCHES = _watches()
#: where none does: what vmad must say of it
FORBIDDEN = "needs Linux 6.12 or later" if KERNEL.version < (6, 12) else "not permitted"
