# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python filtered.py FILE PROGRAM…``: a program in Python, which may make no system calls but
those that FILE names, one a line. Others fail with EPERM, as under the service's unit. By
libseccomp, as systemd does it (seccomp(3)); names that this machine does not have are passed over.

It is run by this interpreter, since its user may be unable to start another one (see other_users).
"""

from __future__ import annotations

import ctypes
import errno
import os
import runpy
import sys
from pathlib import Path

#: seccomp.h
ALLOW, ERRNO = 0x7FFF_0000, 0x0005_0000


def load(names: list[str]) -> None:
    """From here on, for this process and what it starts."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ERRNO | errno.EPERM)))
    if not context:
        raise OSError("seccomp_init failed")
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            done = library.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), number, 0)
            if done != 0:
                raise OSError(-done, f"seccomp_rule_add {name}: {os.strerror(-done)}")
    done = library.seccomp_load(context)
    if done != 0:
        raise OSError(-done, f"seccomp_load: {os.strerror(-done)}")


if __name__ == "__main__":
    load(Path(sys.argv[1]).read_text().split())
    del sys.argv[:2]
    runpy.run_path(sys.argv[0], run_name="__main__")
