# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A guest as a value, and QEMU's command line for it: pure."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmad.architecture.architecture import Architecture, Emulator
from vmad.lab.errors import LabError

MIB = 1024 * 1024
PORTS = ("control", "stdin", "stdout", "stderr")


@dataclass(frozen=True)
class Machine:
    """What a guest is given: memory and swap in bytes, processors, NUMA nodes.

    ``forward`` maps ports of this machine's loopback to ports of the guest; with one the guest has
    a network card, otherwise none. ``qmp`` is where QEMU offers its monitor protocol (a socket's
    path), None for nowhere. With ``counts_instructions`` (emulated, one processor) the guest's
    clocks go on by a nanosecond for each.
    """

    memory: int = 1024 * MIB
    cpus: int = 2
    swap: int = 0
    numa: int = 1
    forward: tuple[tuple[int, int], ...] = ()
    extra_parameters: tuple[str, ...] = ()
    qmp: Path | None = None
    counts_instructions: bool = False

    def checked(self) -> Machine:
        """This machine, or ``LabError`` when it cannot be built."""
        if self.memory < 256 * MIB:
            raise LabError(f"{self.memory} bytes of memory are too few", "give at least 256M")
        if self.cpus < 1:
            raise LabError("a guest without a processor cannot run", "give --cpus 1 or more")
        if self.counts_instructions and self.cpus > 1:
            raise LabError("instructions are counted on one processor", "give --cpus 1")
        if not 1 <= self.numa <= 64:
            raise LabError(f"{self.numa} NUMA nodes are not possible", "give --numa 1 to 64")
        here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if self.memory > here:
            # QEMU would start all the same, and take minutes to give up.
            raise LabError(
                f"{self.memory // MIB} MiB of memory are more than this machine's {here // MIB}",
                "give a smaller --memory",
            )
        return self

    @property
    def node_mib(self) -> int:
        """The size of each NUMA node, in whole MiB; what does not divide is left out."""
        return self.memory // self.numa // MIB


def processor(architecture: Architecture, accelerator: str) -> str:
    """QEMU's -cpu: the host's own, or all that it emulates right."""
    return "host" if accelerator == "kvm" else architecture.emulator.processor


def bytes_of(text: str) -> int:
    """A size as people write it: 512M, 2G, or plain bytes. Raises ``LabError``."""
    match = re.fullmatch(r"(\d+)([KMGT]?)(i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise LabError(f"{text!r} is no size", "write it like 512M or 2G")
    return int(match[1]) << (10 * " KMGT".index(match[2].upper() or " "))


# loglevel=5: errors and warnings reach the console (lockdep reports are warnings), chatter does
# not. panic=-1 with -no-reboot: a panic ends QEMU at once; oops=panic: so does an oops.
# What else there is for speed (page walks, kernel entries) is each architecture's own.
_PARAMETERS = (
    "loglevel=5",
    "panic=-1",
    "oops=panic",
    "random.trust_cpu=on",
    "cryptomgr.notests",
    "rdinit=/init",
)


def qemu_command(
    machine: Machine,
    architecture: Architecture,
    *,
    program: str,
    accelerator: str,
    image: Path,
    initramfs: Path,
    sockets: Mapping[str, int],
    shares: Mapping[str, Path],
    swap_file: Path | None,
) -> list[str]:
    """QEMU's argv. ``sockets``: the connected descriptors for the console and the PORTS;
    ``shares``: virtiofs tags and the sockets of the daemons that serve them.
    """
    argv = [program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    emulator = architecture.emulator
    argv += ["-machine", emulator.machine, "-accel", _accelerator(accelerator, machine)]
    if machine.counts_instructions:
        argv += ["-icount", "shift=0"]
    argv += ["-cpu", processor(architecture, accelerator)]
    # One socket per processor: Linux warns when two NUMA nodes share one (topology_sane).
    argv += ["-smp", f"{machine.cpus},sockets={machine.cpus},cores=1,threads=1"]
    argv += ["-m", f"{machine.node_mib * machine.numa}M", *_memory(machine)]
    argv += ["-kernel", str(image), "-initrd", str(initramfs)]
    argv += ["-append", " ".join(_parameters(emulator, machine))]
    argv += ["-chardev", f"socket,id=console,fd={sockets['console']}", "-serial", "chardev:console"]
    argv += ["-device", "virtio-rng-pci"]
    if "control" in sockets:
        argv += ["-device", "virtio-serial-pci"]
        for port in PORTS:
            argv += ["-chardev", f"socket,id={port},fd={sockets[port]}"]
            argv += ["-device", f"virtserialport,chardev={port},name=org.vmad.lab.{port}"]
    for tag, socket in shares.items():
        argv += ["-chardev", f"socket,id=share-{tag},path={_escaped(socket)}"]
        argv += ["-device", f"vhost-user-fs-pci,chardev=share-{tag},tag={tag}"]
    if swap_file is not None:
        drive = f"if=none,id=swap,format=raw,cache=unsafe,file={_escaped(swap_file)}"
        argv += ["-drive", drive, "-device", "virtio-blk-pci,drive=swap"]
    if machine.qmp is not None:
        argv += ["-qmp", f"unix:{_escaped(machine.qmp)},server=on,wait=off"]
        argv += ["-device", "vmcoreinfo"]
    if machine.forward:
        rules = "".join(
            f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in machine.forward
        )
        argv += ["-netdev", f"user,id=net{rules}", "-device", "virtio-net-pci,netdev=net"]
    return argv


def _parameters(emulator: Emulator, machine: Machine) -> tuple[str, ...]:
    return (
        f"console={emulator.console}",
        *_PARAMETERS,
        *emulator.parameters,
        *machine.extra_parameters,
    )


def _accelerator(name: str, machine: Machine) -> str:
    if name != "tcg":
        return name
    return "tcg,thread=single" if machine.counts_instructions else "tcg,thread=multi"


def _memory(machine: Machine) -> list[str]:
    # vhost-user wants the guest's memory shared with the daemon, hence memfd and a node even
    # where the guest has only one.
    argv: list[str] = []
    for node in range(machine.numa):
        argv += ["-object", f"memory-backend-memfd,id=mem{node},size={machine.node_mib}M,share=on"]
        cpus = [cpu for cpu in range(machine.cpus) if cpu % machine.numa == node]
        owned = "".join(f",cpus={cpu}" for cpu in cpus)
        argv += ["-numa", f"node,nodeid={node},memdev=mem{node}{owned}"]
    return argv


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
