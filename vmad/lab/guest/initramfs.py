# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The two archives that a guest starts from: one per kernel, kept, and one per run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmad.lab.cache import write_whole
from vmad.lab.guest.cpio import Member, archive, character_device, directory, regular, symlink
from vmad.lab.guest.init_script import APPLETS, SCRIPT
from vmad.lab.kernels.modules import load_order
from vmad.lab.kernels.store import Kernel

# What a guest cannot do without, and what makes it better where the kernel has it. virtio_rng:
# without it, and without a trusted RDRAND, the first Python waits seconds for entropy.
_REQUIRED = ("virtio_pci", "virtio_console", "overlay", "virtiofs")
_OPTIONAL = ("virtio_rng", "virtio_blk", "virtio_net")


@dataclass(frozen=True)
class Laid:
    """Files by their paths below a directory of the guest, which has all that they lie in."""

    directory: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Request:
    """What one run puts into its guest.

    ``hidden`` are paths of the host below a directory that a tmpfs covers in the guest, to be shown
    in spite of it; ``out`` is a directory whose files come back. ``root`` is the directory that
    becomes the guest's root; where that is not the host's own, ``trees`` are directories of the
    host to be shown in it, ``python_links`` names by which its Python is called, ``laid`` are files
    to be laid over a tree.
    """

    argv: Sequence[str]
    directory: str
    environment: Mapping[str, str]
    python: str
    hidden: Sequence[str] = ()
    out: str | None = None
    swap: bool = False
    network: bool = False
    root: str = "/"
    trees: Sequence[str] = ()
    python_links: Sequence[str] = ()
    laid: Laid | None = None


def kernel_archive(kernel: Kernel, busybox: Path) -> Path:
    """The archive with init, busybox and the kernel's modules; made once and kept beside it."""
    ingredients = hashlib.sha256()
    for part in (SCRIPT, repr((APPLETS, _REQUIRED, _OPTIONAL)), str(busybox), kernel.digest):
        ingredients.update(part.encode() + b"\0")
    path = kernel.home / f"initramfs-{ingredients.hexdigest()[:16]}"
    if not path.exists():
        modules = () if kernel.modules is None else load_order(kernel.modules, _REQUIRED, _OPTIONAL)
        members = [
            *(directory(name) for name in ("bin", "dev", "lab", "modules", "proc", "sys")),
            # The kernel opens it for init before anything has mounted a /dev.
            character_device("dev/console", 5, 1),
            regular("bin/busybox", busybox.read_bytes(), executable=True),
            *(symlink(f"bin/{applet}", "busybox") for applet in APPLETS),
            *(
                regular(f"modules/{number:02}-{module.name}.ko", module.elf)
                for number, module in enumerate(modules)
            ),
            regular("init", SCRIPT.encode(), executable=True),
        ]
        write_whole(path, archive(members))
    return path


def run_archive(request: Request) -> bytes:
    """The archive of one run: the agent, the command, and which mounts it needs."""
    words = [
        request.directory,
        str(len(request.argv)),
        *request.argv,
        *(f"{name}={value}" for name, value in request.environment.items()),
    ]
    agent = Path(__file__).with_name("agent.py").read_bytes()
    members: list[Member] = [
        directory("lab"),
        regular("lab/agent.py", agent),
        regular("lab/request", b"\0".join(os.fsencode(word) for word in words)),
        regular("lab/python", os.fsencode(request.python)),
        regular("lab/hidden", _lines(request.hidden)),
        regular("lab/out", _lines([request.out] if request.out is not None else [])),
        regular("lab/trees", _lines(request.trees)),
        regular("lab/python-links", _lines(request.python_links)),
    ]
    if request.laid is not None:
        members += [
            regular("lab/laid-in", os.fsencode(request.laid.directory)),
            *(directory(path) for path in _directories("lab/laid", request.laid.files)),
            *(regular(f"lab/laid/{path}", text) for path, text in request.laid.files.items()),
        ]
    if request.swap:
        members.append(regular("lab/swap", b""))
    if request.network:
        members.append(regular("lab/net", b""))
    return archive(members)


def _directories(below: str, paths: Iterable[str]) -> list[str]:
    """Those that the paths lie in, each before what lies in it."""
    return sorted({str(Path(below, parent)) for path in paths for parent in Path(path).parents})


def _lines(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\n" for path in paths)
