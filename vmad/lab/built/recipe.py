# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What goes into a kernel that is built here, and the recipe that a person asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmad.lab.built.choice import chosen, is_proved, proved_versions
from vmad.lab.built.make import LOCAL_VERSION, compiler
from vmad.lab.built.series import series
from vmad.lab.built.source import Source, offered, source, unpacked
from vmad.lab.cache import Cache
from vmad.lab.checkout import package_root
from vmad.lab.errors import LabError
from vmad.lab.kernels.catalogue import SOURCE_SERIES

#: the fragments of each configuration, below deploy/kernel/config, later ones over earlier ones
CONFIGURATIONS = {
    "small": ("small.config",),
    "debug": ("small.config", "debug.config"),
    "debug-btf": ("small.config", "debug.config", "btf.config"),
}
#: what a kernel with the series is configured with besides
PATCHED = ("patched.config",)


@dataclass(frozen=True)
class Recipe:
    """What goes into a kernel. No patches: stock."""

    name: str
    source: Source
    patches: tuple[Path, ...]
    fragments: tuple[Path, ...]
    proved: tuple[str, ...] = ()  #: the source versions that the patches were proved on, if known

    def what(self) -> str:
        """The source, and those that the patches were proved on where it is none of them."""
        other = self.proved and not is_proved(self.source.version, self.proved)
        return f"linux {self.source.version}" + (
            f" (the series was proved on {', '.join(self.proved)})" if other else ""
        )

    def key(self) -> str:
        """The hash of everything that the kernel depends on."""
        ingredients = hashlib.sha256()
        for part in (self.source.version, LOCAL_VERSION, compiler()):
            ingredients.update(part.encode() + b"\0")
        for path in (*self.patches, *self.fragments):
            content = path.read_bytes()
            ingredients.update(f"{path.name} {len(content)}\0".encode() + content)
        return ingredients.hexdigest()


def recipe_of(
    cache: Cache,
    *,
    stock: bool,
    config: str,
    patches: Path | None = None,
    version: str | None = None,
    name: str | None = None,
    told: Callable[[str], None] = lambda line: None,
) -> Recipe:
    """The recipe that the options of the command describe. Raises ``LabError``.

    Without a version it is one that the series was proved on, for stock as well: stock is what
    the patched kernel is compared with. ``told`` hears why, where it is not the newest.
    """
    home = Path(package_root()) / "deploy" / "kernel"
    if not home.is_dir():
        raise LabError(f"there is no {home}", "build from a checkout of vmad")
    listed: Sequence[Path] = () if stock else series(patches or home / "patches")
    called = _name(name, stock, config)
    proved = proved_versions(home)
    if version is None:
        version, why = chosen(proved, offered(cache), unpacked(cache))
        if why is not None:
            told(why)
    elif version == "newest":
        version = offered(cache)[-1]
    return Recipe(
        called,
        source(cache, version),
        tuple(listed),
        tuple(
            home / "config" / fragment
            for fragment in (*CONFIGURATIONS[config], *(PATCHED if listed else ()))
        ),
        () if stock or patches else proved,
    )


def _name(name: str | None, stock: bool, config: str) -> str:
    if name is None:
        flavour = "" if config == "small" else f"-{config}"
        return f"{'stock' if stock else 'patched'}-{SOURCE_SERIES}{flavour}"
    if not name.replace("-", "").replace(".", "").replace("_", "").isalnum() or name[0] in ".-":
        raise LabError(f"{name!r} cannot be a kernel's name", "letters, digits, . _ and -")
    return name
