# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Why the kernel refuses a BPF program, and what would help, for a person."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from vmad.model.kernel import parse_release

BTF_PATH = "/sys/kernel/btf/vmlinux"
RIGHTS = "needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)"

FTRACE_ENABLED = "/proc/sys/kernel/ftrace_enabled"
#: include/linux/errno.h: of the kernel alone, errno(3) does not have it
ENOTSUPP = 524


#: The verifier's words under kernel_lockdown(7), confidentiality, with EINVAL: then tracing
#: programs have none of these helpers (bpf_tracing_func_proto(), LOCKDOWN_BPF_READ_KERNEL).
_NO_HELPER = re.compile(r"(?:unknown func|cannot use helper) bpf_probe_read")


def why_not_loaded(number: int, log: str, since: str) -> tuple[str, str]:
    """Cause and remedy of a failed load, for a person."""
    if not os.path.exists(BTF_PATH):
        return f"no {BTF_PATH}", "needs a kernel with CONFIG_DEBUG_INFO_BTF=y"
    if number == errno.EPERM:
        return "not permitted", RIGHTS
    release = tuple(int(part) for part in since.split("."))
    if number == errno.ESRCH or parse_release(os.uname().release)[:2] < release:
        return "a type or function it wants is not in this kernel", f"needs Linux {since} or later"
    if _NO_HELPER.search(log):
        return (
            "kernel lockdown (confidentiality) forbids BPF to read the kernel",
            "boot without kernel lockdown, or with lockdown=integrity",
        )
    # the verifier's last words, without its statistics
    lines = [
        line
        for line in log.splitlines()
        if line and not line.startswith(("processed", "verification time", "stack depth"))
    ]
    detail = f" ({lines[-1][:160]})" if lines else ""
    return f"{os.strerror(number)}{detail}", "report it with the output of `uname -r`"


def why_not_attached(number: int) -> tuple[str, str | None]:
    """Cause and remedy where the kernel does not let a program into one of its functions."""
    if number in (errno.EPERM, errno.EACCES):
        return "not permitted", RIGHTS
    if number == ENOTSUPP:
        return "this kernel has no CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS", None
    if number == errno.EBUSY and _read(FTRACE_ENABLED) == "0":
        # trampolines are permanent (FTRACE_OPS_FL_PERMANENT, 5.6 and later)
        return "kernel.ftrace_enabled is 0", "set it to 1"
    return os.strerror(number), None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text("ascii").strip()
    except OSError:
        return None
