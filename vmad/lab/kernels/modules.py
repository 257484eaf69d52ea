# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which kernel modules to load, in which order: read from the modules themselves.

Debian's packages carry no modules.dep (depmod makes it on installation), so the ``depends=`` that
modpost writes into each module's .modinfo section is read instead.
"""

from __future__ import annotations

import gzip
import lzma
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vmad.lab.errors import LabError


@dataclass(frozen=True)
class Module:
    """A module's name as the kernel knows it (underscores), and its decompressed ELF file."""

    name: str
    elf: bytes


def load_order(
    tree: Path, required: Iterable[str], optional: Iterable[str] = ()
) -> tuple[Module, ...]:
    """The modules to insert for these names, dependencies first; those built in are left out.

    ``tree`` is a lib/modules/RELEASE directory. Raises ``LabError`` for a required module that is
    neither there nor built in.
    """
    files = {module_name(path.name): path for path in sorted(tree.rglob("*.ko*"))}
    built_in = _built_in(tree)
    order: dict[str, Module] = {}

    def visit(name: str) -> None:
        if name in order or name in built_in:
            return
        if name not in files:
            raise LabError(
                f"the kernel in {tree} has no module {name}", "take another kernel for this"
            )
        elf = decompressed(files[name])
        for needed in depends(elf):
            visit(needed)
        order[name] = Module(name, elf)

    for name in required:
        visit(name)
    for name in optional:
        if name in files:
            visit(name)
    return tuple(order.values())


def module_name(file_name: str) -> str:
    """The kernel's name of a module file: virtio-rng.ko.xz is virtio_rng."""
    return re.sub(r"\.ko(\.\w+)?$", "", file_name).replace("-", "_")


def decompressed(path: Path) -> bytes:
    """A module file's ELF, whatever it is packed with."""
    packed = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(packed)
    if path.suffix == ".gz":
        return gzip.decompress(packed)
    if path.suffix == ".ko":
        return packed
    raise LabError(f"{path} is packed in a way the lab does not know", "take another kernel")


def depends(elf: bytes) -> list[str]:
    """The names in a module's ``depends=``.

    The section's strings are NUL-terminated, and modpost writes this one into every module, so
    it is found without parsing the ELF headers.
    """
    match = re.search(rb"\0depends=([\w,-]*)\0", elf)
    if match is None or not match[1]:
        return []
    return [name.decode().replace("-", "_") for name in match[1].split(b",")]


def _built_in(tree: Path) -> frozenset[str]:
    listing = tree / "modules.builtin"
    if not listing.exists():
        return frozenset()
    return frozenset(module_name(Path(line).name) for line in listing.read_text().split())
