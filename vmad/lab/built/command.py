# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad lab build``: a kernel for the lab from Debian's source, patched or as it is."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from vmad.architecture.x86_64 import X86_64
from vmad.lab.built.build import build
from vmad.lab.built.choice import is_proved
from vmad.lab.built.recipe import CONFIGURATIONS, Recipe, recipe_of
from vmad.lab.built.series import tried
from vmad.lab.cache import default_cache
from vmad.lab.errors import LabError
from vmad.lab.machines import this_machine


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
    if this_machine() is not X86_64:
        raise LabError(
            f"kernels are built on {X86_64.title} only, this is {this_machine().title}",
            "boot Debian's (vmad lab kernels)",
        )
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
