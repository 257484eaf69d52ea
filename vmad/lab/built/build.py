# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Builds a kernel by its recipe, unless the cache has it.

What comes out is a directory of the cache that ``--kernel`` takes by its name, with the hash of
all that went into it: source, patches, configuration and compiler.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from vmad.architecture.x86_64 import X86_64
from vmad.lab.built.make import check_tools, compile_tree, compiler, configure
from vmad.lab.built.recipe import Recipe
from vmad.lab.built.series import apply
from vmad.lab.built.source import build_tree
from vmad.lab.cache import Cache, directory_made_whole, no_space_explained, sha256_of
from vmad.lab.kernels.catalogue import SOURCE_SERIES
from vmad.lab.kernels.store import Kernel, built_here


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
    image = X86_64.kernel_image
    with directory_made_whole(cache.built / recipe.name) as work:
        with no_space_explained(work):
            for made, name in (
                (f"arch/{X86_64.bpf}/boot/{image}", image),
                ("vmlinux", "vmlinux"),  # with debug info, for debuggers that look from outside
                ("System.map", "System.map"),
                (".config", "config"),
            ):
                shutil.copyfile(tree / made, work / name)
        manifest = {
            "release": release,
            "patched": bool(recipe.patches),
            "image": image,
            "sha256": sha256_of(work / image),
            "vmlinux": "vmlinux",
            "key": key,
            "source": f"linux-source-{SOURCE_SERIES} {recipe.source.version}",
            "series": [patch.name for patch in recipe.patches],
            "configuration": [fragment.name for fragment in recipe.fragments],
            "compiler": f"gcc {compiler()}",
        }
        (work / "kernel.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
