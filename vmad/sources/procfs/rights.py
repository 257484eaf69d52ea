# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a failed read in /proc means: gone, forbidden (and by which capability it would not be)."""

from __future__ import annotations

import errno

from vmad.errors import CannotRead, ProcessGone, VmadError
from vmad.model.kernel import KernelInfo
from vmad.model.process import Unread

_GONE = (errno.ENOENT, errno.ESRCH)
_FORBIDDEN = (errno.EACCES, errno.EPERM)

#: files of mode 0400: only their owner or CAP_DAC_READ_SEARCH opens them (fs/proc/base.c)
OWNER_ONLY = ("pagemap", "mem", "environ", "auxv")


def why_unread(error: OSError) -> Unread:
    """The closed set of reasons that an errno of reading /proc/PID falls into."""
    if error.errno in _GONE:
        return Unread.GONE
    if error.errno in _FORBIDDEN:
        return Unread.PERMISSION
    return Unread.ERROR


def missing_right(file: str, kernel: KernelInfo) -> str:
    """The capability that reading another user's /proc/PID/``file`` takes on a kernel.

    Seen on Debian 5.10, 6.1, 6.12, 6.16, 6.18 and 7.3: proc_mem_open accepts CAP_PERFMON between
    6.12 and 6.16; before, only PTRACE_MODE_READ does.
    """
    right = "CAP_SYS_PTRACE"
    if kernel.version >= (6, 16):
        right += " or CAP_PERFMON"
    if file in OWNER_ONLY:
        right = f"CAP_DAC_READ_SEARCH and {right}"
    return f"needs {right}"


def explained(error: OSError, pid: int, file: str, kernel: KernelInfo) -> VmadError:
    """The error for a person: ProcessGone or CannotRead with the remedy."""
    why = why_unread(error)
    if why is Unread.GONE:
        return ProcessGone(f"process {pid} is gone")
    what = f"/proc/{pid}/{file}: {(error.strerror or str(error)).lower()}"
    return CannotRead(what, missing_right(file, kernel) if why is Unread.PERMISSION else None)
