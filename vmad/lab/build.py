# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad lab build``: a kernel for the lab from Debian's source, with the patch series or without.

What comes out is a directory of the cache that ``--kernel`` takes by its name, with the hash of
all that went into it: source, patches, configuration and compiler.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmad.lab.build_choice import chosen, is_proved, proved_versions
from vmad.lab.build_kernel import (
    LOCAL_VERSION,
    check_tools,
    compile_tree,
    compiler,
    configure,
)
from vmad.lab.build_series import apply, series, tried
from vmad.lab.build_source import Source, build_tree, offered, source, unpacked
from vmad.lab.cache import Cache, default_cache, directory_made_whole, no_space_explained, sha256_of
from vmad.lab.catalogue import SOURCE_SERIES
from vmad.lab.errors import LabError
from vmad.lab.store import Kernel, built_here
from vmad.lab.surroundings import package_root

#: the fragments of each configuration, below deploy/kernel/config, later ones over earlier ones
CONFIGURATIONS = {"small": ("small.config",), "debug": ("small.config", "debug.config")}


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


def build(
    cache: Cache, recipe: Recipe, *, tree_name: str, jobs: int, told: Callable[[str], None]
) -> Kernel:
    """The kernel of a recipe, built unless the cache has it. Raises ``LabError``.

    Two builds in the same tree wait for each other.
    """
    check_tools()
    key = recipe.key()
    with cache.locked(f"lock-build-{tree_name}"):
        if not _is_there(cache, recipe.name, key):
            began = time.monotonic()
            told(f"{recipe.name}: {recipe.what()}, {len(recipe.patches)} patches")
            alike = tree_name.replace("patched-", "stock-", 1)
            with cache.locked(f"lock-build-{alike}") if alike != tree_name else nullcontext():
                tree = build_tree(cache, recipe.source, tree_name, alike)
            moved = apply(recipe.patches, recipe.source.tree, tree, recipe.what())
            for patch, hunks in moved.items():
                if hunks:
                    told(f"{patch} found its place elsewhere: {', '.join(hunks)} lines")
            lost = configure(cache, tree, recipe.fragments)
            if lost:
                told(f"not taken by the configuration: {' '.join(lost)}")
            release = compile_tree(cache, tree, jobs, told)
            _keep(cache, recipe, key, tree, release)
            told(f"{recipe.name}: built in {time.monotonic() - began:.0f} s")
    return next(kernel for kernel in built_here(cache) if kernel.name == recipe.name)


def _is_there(cache: Cache, name: str, key: str) -> bool:
    try:
        manifest = json.loads((cache.built / name / "kernel.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    image = cache.built / name / str(manifest.get("image"))
    return (
        manifest.get("key") == key
        and image.is_file()
        and sha256_of(image) == manifest.get("sha256")
    )


def _keep(cache: Cache, recipe: Recipe, key: str, tree: Path, release: str) -> None:
    with directory_made_whole(cache.built / recipe.name) as work:
        with no_space_explained(work):
            for made, name in (
                ("arch/x86/boot/bzImage", "bzImage"),
                ("vmlinux", "vmlinux"),  # with debug info, for debuggers that look from outside
                ("System.map", "System.map"),
                (".config", "config"),
            ):
                shutil.copyfile(tree / made, work / name)
        manifest = {
            "release": release,
            "patched": bool(recipe.patches),
            "image": "bzImage",
            "sha256": sha256_of(work / "bzImage"),
            "vmlinux": "vmlinux",
            "key": key,
            "source": f"linux-source-{SOURCE_SERIES} {recipe.source.version}",
            "series": [patch.name for patch in recipe.patches],
            "configuration": [fragment.name for fragment in recipe.fragments],
            "compiler": f"gcc {compiler()}",
        }
        (work / "kernel.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


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
        tuple(home / "config" / fragment for fragment in CONFIGURATIONS[config]),
        () if stock or patches else proved,
    )


def tell_how_it_applies(recipe: Recipe) -> None:
    """Print how each patch of the series applies. Raises ``LabError`` with the first that fails."""
    for patch, hunks in tried(recipe.patches, recipe.source.tree, recipe.what()).items():
        print(f"{patch}: applies" + (f", moved: {', '.join(hunks)} lines" if hunks else ""))
    result = f"linux {recipe.source.version}: the series applies"
    if recipe.proved and is_proved(recipe.source.version, recipe.proved):
        result += ", and was proved on it"
    elif recipe.proved:
        result += (
            " and was not proved on it; build it, run its tests (docs/patched-kernel.md),"
            " and add it to deploy/kernel/VERSION"
        )
    print(result)


def _name(name: str | None, stock: bool, config: str) -> str:
    if name is None:
        flavour = "" if config == "small" else f"-{config}"
        return f"{'stock' if stock else 'patched'}-{SOURCE_SERIES}{flavour}"
    if not name.replace("-", "").replace(".", "").replace("_", "").isalnum() or name[0] in ".-":
        raise LabError(f"{name!r} cannot be a kernel's name", "letters, digits, . _ and -")
    return name


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``vmad lab build``."""
    without = parser.add_mutually_exclusive_group()
    without.add_argument("--stock", action="store_true", help="without the patch series")
    without.add_argument(
        "--apply-only", action="store_true", help="say how the series applies, and build nothing"
    )
    parser.add_argument("--config", choices=tuple(CONFIGURATIONS), default="small")
    parser.add_argument("--patches", type=Path, metavar="DIR", help="another series (quilt's form)")
    parser.add_argument(
        "--source",
        metavar="VERSION",
        help="version of the source package, or newest; default one that the series was proved on",
    )
    parser.add_argument("--name", help="default patched-6.12, stock-6.12, …-debug")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N")


def run(args: argparse.Namespace) -> int:
    """Build, and print the kernel's name, release and directory."""
    cache = default_cache()
    began = time.monotonic()

    def told(line: str) -> None:
        print(f"vmad lab: {time.monotonic() - began:4.0f} s: {line}", file=sys.stderr, flush=True)

    recipe = recipe_of(
        cache,
        stock=args.stock,
        config=args.config,
        patches=args.patches,
        version=args.source,
        name=args.name,
        told=told,
    )
    if args.apply_only:
        tell_how_it_applies(recipe)
        return 0
    # A tree per name: what is compiled anew is what differs from the last build under that name.
    kernel = build(cache, recipe, tree_name=recipe.name, jobs=args.jobs, told=told)
    print(f"{kernel.name} {kernel.release} {kernel.home}")
    return 0


def add_build(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the lab's; the caller sets what runs it."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "build", help="build a kernel from Debian's source, with the patch series or without"
    )
    add_options(parser)
    return parser
