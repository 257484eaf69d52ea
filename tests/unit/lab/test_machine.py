# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""QEMU's command line as a function of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmad.architecture.aarch64 import AARCH64
from vmad.architecture.architecture import Architecture
from vmad.architecture.x86_64 import X86_64
from vmad.lab.errors import LabError
from vmad.lab.guest.machine import MIB, PORTS, Machine, bytes_of, qemu_command

SOCKETS = {name: 10 + n for n, name in enumerate(("console", *PORTS))}


def command(
    machine: Machine,
    accelerator: str = "tcg",
    swap_file: Path | None = None,
    architecture: Architecture = X86_64,
) -> str:
    return " ".join(
        qemu_command(
            machine,
            architecture,
            program="qemu",
            accelerator=accelerator,
            image=Path("/k/vmlinuz"),
            initramfs=Path("/r/initramfs"),
            sockets=SOCKETS,
            shares={"host": Path("/r/share,host")},
            swap_file=swap_file,
        )
    )


def test_guest_without_forwarded_ports_has_no_network() -> None:
    assert "netdev" not in command(Machine())


def test_forwarded_ports_are_bound_to_loopback_only() -> None:
    assert "hostfwd=tcp:127.0.0.1:19100-:19797" in command(Machine(forward=((19100, 19797),)))


def test_memory_is_shared_and_divided_among_the_nodes() -> None:
    line = command(Machine(memory=1000 * MIB, cpus=4, numa=3))
    assert "-m 999M" in line
    assert line.count("memory-backend-memfd") == 3
    assert line.count("size=333M,share=on") == 3
    assert "node,nodeid=0,memdev=mem0,cpus=0,cpus=3" in line


def test_each_processor_has_a_socket_of_its_own() -> None:
    assert "-smp 3,sockets=3,cores=1,threads=1" in command(Machine(cpus=3))


def test_commas_in_paths_are_doubled_for_qemu() -> None:
    assert "path=/r/share,,host" in command(Machine())


def test_processor_model_follows_the_accelerator() -> None:
    assert "-accel kvm -cpu host" in command(Machine(), "kvm")
    assert "-accel tcg,thread=multi -cpu max,avx2=off" in command(Machine())


def test_each_architecture_has_its_machine_and_console() -> None:
    x86, arm = command(Machine()), command(Machine(), architecture=AARCH64)
    assert "-machine q35 " in x86
    assert " console=ttyS0 " in f" {x86.partition('-append ')[2]}"
    assert "-machine virt,gic-version=max,mte=on " in arm
    assert "-cpu max,pauth-impdef=on " in arm
    assert " console=ttyAMA0 " in f" {arm.partition('-append ')[2]}"


def test_clocks_that_count_instructions_want_one_processor() -> None:
    line = command(Machine(cpus=1, counts_instructions=True))
    assert "-accel tcg,thread=single -icount shift=0 " in line
    assert "icount" not in command(Machine(cpus=1))
    with pytest.raises(LabError, match="counted on one processor; give --cpus 1"):
        Machine(cpus=2, counts_instructions=True).checked()


def test_swap_is_a_disk() -> None:
    assert "file=/r/swap" in command(Machine(swap=MIB), swap_file=Path("/r/swap"))


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512M", 512 * MIB), ("2G", 2048 * MIB), ("1GiB", 1024 * MIB), ("64k", 65536)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "1x", "-1", "1.5G", "G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="is no size"):
        bytes_of(text)


@pytest.mark.parametrize(
    "machine",
    [Machine(memory=1 << 60), Machine(memory=MIB), Machine(cpus=0), Machine(numa=0)],
)
def test_machine_that_cannot_be_built_is_refused(machine: Machine) -> None:
    with pytest.raises(LabError):
        machine.checked()
