# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whether KVM works here: found out by booting with it once, and remembered.

A /dev/kvm that opens proves nothing: inside some virtual machines guest kernels hang or die under
it (docs/lab.md).
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from pathlib import Path

from vmad.lab.cache import Cache, write_whole
from vmad.lab.errors import LabError
from vmad.lab.guest.init_script import PROBE_ANSWER
from vmad.lab.guest.machine import Machine
from vmad.lab.guest.programs import qemu
from vmad.lab.guest.running import running
from vmad.lab.kernels.store import Kernel
from vmad.lab.machines import this_machine

# A working KVM answers within 1 s; one that emulates the guest's kernel code was still silent
# after 60 s.
_PROBE_SECONDS = 10.0


def accelerator(cache: Cache, kernel: Kernel, base_archive: Path) -> str:
    """``kvm`` where a guest boots under it, else ``tcg``: so for another kind of machine."""
    if kernel.architecture is not this_machine():
        return "tcg"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    where = cache.root / "accelerator.json"
    here = _this_machine()
    try:
        known = json.loads(where.read_text())
        if known["machine"] == here and known["accelerator"] in ("kvm", "tcg"):
            return str(known["accelerator"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # not tried yet
    answer = "kvm" if _boots_under_kvm(kernel, base_archive) else "tcg"
    write_whole(where, json.dumps({"machine": here, "accelerator": answer}).encode())
    return answer


def _this_machine() -> str:
    """What the answer depends on: the host's kernel and QEMU's version."""
    version = subprocess.run(
        [qemu(this_machine()), "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    return f"{os.uname().release} {os.uname().version} {version}"


def _boots_under_kvm(kernel: Kernel, base_archive: Path) -> bool:
    machine = Machine(cpus=1, extra_parameters=("vmad.probe",))
    deadline = time.monotonic() + _PROBE_SECONDS
    seen = b""
    try:
        with (
            running(
                kernel, machine, accelerator="kvm", base_archive=base_archive, request=None
            ) as guest,
            selectors.PollSelector() as selector,
        ):
            selector.register(guest.sockets["console"], selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0 and selector.select(left):
                got = guest.sockets["console"].recv(4096)
                seen += got
                if not got or PROBE_ANSWER.encode() in seen:
                    break
    except (LabError, ConnectionResetError):
        return False
    return PROBE_ANSWER.encode() in seen
