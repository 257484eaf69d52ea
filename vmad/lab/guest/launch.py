# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Becomes another program, after tying its life to its parent's: launch.py PARENT MODE ARGV...

Runs as a program of its own (python -I -S), between the lab and QEMU or virtiofsd, so that not
even a killed lab leaves one running. MODE ``readonly`` also gives the program a mount namespace in
which nothing of the host can be written: virtiofsd has no such switch, and a guest's root could
mount the share again without ``ro``.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
SIGKILL = 9
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY = 1
SYS_MOUNT_SETATTR = 442  # the same on every architecture; since 5.12, mount_setattr(2)

libc = ctypes.CDLL(None, use_errno=True)


class MountAttributes(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def must(result: int, what: str) -> None:
    """Leave with a message if a system call failed."""
    if result != 0:
        sys.exit(f"vmad-lab: {what}: {os.strerror(ctypes.get_errno())}")


def make_everything_readonly() -> None:
    """Give this process a mount namespace of its own, all mounts in it read-only."""
    must(libc.unshare(CLONE_NEWNS), "cannot make a mount namespace (are you root?)")
    must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "cannot make / private")
    attributes = MountAttributes(set=MOUNT_ATTR_RDONLY)
    done = libc.syscall(
        ctypes.c_long(SYS_MOUNT_SETATTR),
        ctypes.c_int(AT_FDCWD),
        b"/",
        ctypes.c_uint(AT_RECURSIVE),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    must(done, "cannot make the mounts read-only")


def main() -> None:
    """Do what the arguments say and exec."""
    parent, mode, *argv = sys.argv[1:]
    must(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != int(parent):
        sys.exit("vmad-lab: the lab has gone")  # before prctl took hold
    if mode == "readonly":
        make_everything_readonly()
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main()
