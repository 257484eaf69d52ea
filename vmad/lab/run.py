# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Runs a command in a guest as if it ran here: the lab's API for tests and other commands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vmad.lab.cache import Cache, default_cache
from vmad.lab.errors import LabError
from vmad.lab.foreign.surroundings import foreign
from vmad.lab.guest.accelerator import accelerator as find_accelerator
from vmad.lab.guest.conversation import Conversation, Ending, Sink
from vmad.lab.guest.initramfs import kernel_archive
from vmad.lab.guest.machine import Machine
from vmad.lab.guest.programs import qemu, virtiofsd
from vmad.lab.guest.running import running
from vmad.lab.guest.surroundings import request_for
from vmad.lab.kernels.store import busybox, check_image, kernel_named
from vmad.lab.machines import architecture_named, this_machine

# Under TCG on two idle cores a boot takes 5 to 8 s; the machine may be busy.
BOOT_TIMEOUT = 120.0
# A processor of another architecture is emulated whatever the host has.
FOREIGN_BOOT_TIMEOUT = 300.0
DEFAULT_TIMEOUT = 600.0


@dataclass(frozen=True)
class GuestResult:
    """What came back from a guest: the command's status and outputs, and the console's text."""

    status: int
    stdout: bytes
    stderr: bytes
    console: str
    boot_seconds: float


def run_in_guest(
    kernel: str,
    argv: Sequence[str],
    *,
    memory: int = Machine.memory,
    cpus: int = Machine.cpus,
    swap: int = 0,
    numa: int = 1,
    timeout: float = DEFAULT_TIMEOUT,
    out_dir: Path | None = None,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> GuestResult:
    """Boot ``kernel`` and run ``argv`` in it.

    ``memory`` and ``swap`` are in bytes, ``timeout`` in seconds, boot included.

    Raises ``LabError`` when the guest does not boot, dies, passes the deadline, or its kernel
    reports a fault; whatever was written below ``out_dir`` by then is there all the same.
    """
    stdout, stderr = bytearray(), bytearray()
    ending = run_streaming(
        kernel,
        argv,
        machine=Machine(memory=memory, cpus=cpus, swap=swap, numa=numa),
        timeout=timeout,
        out_dir=out_dir,
        stdin=stdin,
        stdout=stdout.extend,
        stderr=stderr.extend,
        environment=environment,
    )
    return GuestResult(
        ending.status, bytes(stdout), bytes(stderr), ending.console, ending.boot_seconds
    )


def run_streaming(
    kernel: str,
    argv: Sequence[str],
    *,
    machine: Machine,
    timeout: float,
    out_dir: Path | None,
    stdin: bytes | int,
    stdout: Sink,
    stderr: Sink,
    environment: Mapping[str, str] | None = None,
    accelerator: str | None = None,
    cache: Cache | None = None,
) -> Ending:
    """As ``run_in_guest``, with outputs handed over as they come; ``stdin`` may be a descriptor."""
    if not argv:
        raise LabError("there is no command to run", "name one after --")
    machine.checked()
    meant = architecture_named(kernel)
    if accelerator == "kvm" and meant is not this_machine():
        raise LabError(
            f"KVM of this machine runs no kernels for {meant.title}",
            "leave --accelerator out: it is emulated",
        )
    qemu(meant)
    virtiofsd()
    if os.geteuid() != 0:
        raise LabError("the lab needs root to share this file system with a guest", "use sudo")
    request = request_for(argv, out_dir, environment)
    cache = cache or default_cache()
    chosen = kernel_named(cache, kernel)
    check_image(chosen)
    base = kernel_archive(chosen, busybox(cache, chosen.architecture))
    if chosen.architecture is not this_machine():
        request = foreign(request, cache, chosen.architecture)
    how = accelerator or find_accelerator(cache, chosen, base)
    request = replace(request, swap=machine.swap > 0, network=bool(machine.forward))
    with running(chosen, machine, accelerator=how, base_archive=base, request=request) as guest:
        return Conversation(
            guest,
            what=f"{chosen.name} ({chosen.release})",
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            timeout=timeout,
            boot_timeout=BOOT_TIMEOUT if meant is this_machine() else FOREIGN_BOOT_TIMEOUT,
        ).hold()
