# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A running guest: QEMU, the daemons that share files with it, and the sockets to talk to it.

Leaving the context ends all of them, whatever happened inside it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmad.lab.cache import no_space_explained
from vmad.lab.guest.initramfs import Request, run_archive
from vmad.lab.guest.machine import PORTS, Machine, qemu_command
from vmad.lab.guest.programs import qemu, shares_mounts_as_one_tree, virtiofsd
from vmad.lab.guest.run_directory import run_directory
from vmad.lab.kernels.store import Kernel

_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Guest:
    """The processes by name (qemu, share-host, share-out), our ends of the sockets by name."""

    processes: Mapping[str, subprocess.Popen[bytes]]
    sockets: Mapping[str, socket.socket]
    directory: Path

    def complaints(self, name: str) -> str:
        """What one of the processes wrote to its standard error."""
        return (self.directory / f"{name}.stderr").read_text(errors="replace").strip()

    def end(self, name: str) -> None:
        """Kill one process and wait for its end.

        QEMU is killed, not asked: what the guest wrote is on the host already, and its disks
        are thrown away.
        """
        process = self.processes[name]
        process.kill()
        process.wait()


@contextlib.contextmanager
def running(
    kernel: Kernel,
    machine: Machine,
    *,
    accelerator: str,
    base_archive: Path,
    request: Request | None,
) -> Iterator[Guest]:
    """Start a guest. Without a request it has nothing but a console."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(run_directory())
        with no_space_explained(directory):
            initramfs = directory / "initramfs"
            initramfs.write_bytes(
                base_archive.read_bytes() + (run_archive(request) if request else b"")
            )
            swap_file = _swap_file(directory, machine.swap) if request else None
        children: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(_end_all, children)
        shares: dict[str, Path] = {}
        if request is not None:
            trees = {f"tree{number}": tree for number, tree in enumerate(request.trees)}
            for tag, tree in {"host": request.root, **trees}.items():
                shares[tag] = directory / f"share-{tag}"
                children[f"share-{tag}"] = _share(
                    directory, f"share-{tag}", Path(tree), readonly=True
                )
            if request.out is not None:
                shares["out"] = directory / "share-out"
                children["share-out"] = _share(
                    directory, "share-out", Path(request.out), readonly=False
                )
        ours: dict[str, socket.socket] = {}
        theirs: dict[str, socket.socket] = {}
        for name in ("console", *(PORTS if request else ())):
            ours[name], theirs[name] = socket.socketpair()
            stack.callback(ours[name].close)
            ours[name].setblocking(False)
        try:
            argv = qemu_command(
                machine,
                kernel.architecture,
                program=qemu(kernel.architecture),
                accelerator=accelerator,
                image=kernel.image,
                initramfs=initramfs,
                sockets={name: end.fileno() for name, end in theirs.items()},
                shares=shares,
                swap_file=swap_file,
            )
            children["qemu"] = _launch(
                directory, "qemu", argv, pass_fds=[end.fileno() for end in theirs.values()]
            )
        finally:
            for end in theirs.values():
                end.close()
        yield Guest(children, ours, directory)


def _swap_file(directory: Path, size: int) -> Path | None:
    if not size:
        return None
    path = directory / "swap"
    with path.open("wb") as file:
        file.truncate(size)  # sparse: it takes what the guest really swaps
    return path


def _share(directory: Path, name: str, source: Path, *, readonly: bool) -> subprocess.Popen[bytes]:
    # Listening before either side is started, so that neither has to wait for the other.
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(directory / name))
        listening.listen(1)
        program = virtiofsd()
        argv = [program, *shares_mounts_as_one_tree(program), f"--fd={listening.fileno()}"]
        argv += ["-o", f"source={source}"]
        # The host's tree is taken as it is for the length of a run; what comes back is not cached.
        argv += ["-o", f"cache={'always' if readonly else 'auto'}", "-o", "sandbox=chroot"]
        mode = "readonly" if readonly else "plain"
        return _launch(directory, name, argv, mode=mode, pass_fds=[listening.fileno()])


def _launch(
    directory: Path,
    name: str,
    argv: Sequence[str],
    *,
    mode: str = "plain",
    pass_fds: Sequence[int],
) -> subprocess.Popen[bytes]:
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), mode]
    with (directory / f"{name}.stderr").open("wb") as stderr:
        return subprocess.Popen(
            [*launcher, *argv],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            pass_fds=pass_fds,
            # Ctrl-C on the terminal is for the lab, which then ends its children in order.
            start_new_session=True,
        )


def _end_all(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for child in reversed(list(children.values())):
        if child.poll() is None:
            child.kill()
        child.wait()
