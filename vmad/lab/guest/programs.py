# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The programs that the lab needs on the host, and which package brings each."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from vmad.architecture.architecture import Architecture
from vmad.lab.errors import LabError

# Debian 12 ships the daemon with QEMU (qemu-system-common), Debian 13 in a package of its own.
_VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd")


def qemu(architecture: Architecture) -> str:
    """Path of the QEMU that plays such a machine, or ``LabError``."""
    emulator = architecture.emulator
    path = shutil.which(emulator.program)
    if path is None:
        raise LabError(
            f"no {emulator.program} on this machine",
            f"apt-get install --no-install-recommends {emulator.package}",
        )
    return path


def virtiofsd() -> str:
    """Path of the daemon that shares the host's files, or ``LabError``."""
    for place in _VIRTIOFSD:
        if os.access(place, os.X_OK):
            return place
    package = "qemu-system-common" if _debian_release() == 12 else "virtiofsd"
    raise LabError("no virtiofsd on this machine", f"apt-get install {package}")


@functools.cache
def shares_mounts_as_one_tree(program: str) -> tuple[str, ...]:
    """The option that makes a virtiofsd show what is mounted below its source as plain directories.

    virtiofsd 1.11 and later (Debian 13 has 1.13) tell the guest by default where a mount begins.
    The guest then mounts it too, and overlayfs refuses what lies in it ("Object is remote",
    EREMOTE): Python does not start. Debian 12's, of QEMU 7.2, does so only when asked to.
    """
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    option = "--no-announce-submounts"
    return (option,) if option in done.stdout + done.stderr else ()


def _debian_release() -> int:
    try:
        return int(Path("/etc/debian_version").read_text().split(".")[0])
    except (FileNotFoundError, ValueError):
        return 0  # a later or another distribution, where it is a package of its own
