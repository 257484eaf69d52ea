# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The workloads that ship with the lab: what each needs, and the command that runs it in a guest.

VMAD_LAB_SECONDS is how much work to do: about so many seconds of it on two cores without KVM. Done,
they make the file that VMAD_LAB_END names and stand still until it is gone, so that the address
space is looked at before it is torn down.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vmad.lab.cache import Cache, directory_made_whole
from vmad.lab.errors import LabError
from vmad.lab.machines import architecture_named, this_machine
from vmad.lab.workloads.packages import HostPackages

HERE = Path(__file__).parent
JEMALLOC = f"/usr/lib/{os.uname().machine}-linux-gnu/libjemalloc.so.2"


@dataclass(frozen=True)
class Prepared:
    """A workload that can be started: ``tree`` is laid over the guest's own files."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    tree: Path | None = None
    memory: int = 1 << 30


@dataclass(frozen=True)
class Workload:
    """One that ships; ``command`` makes its argv on the host, given the cache."""

    summary: str
    command: Callable[[Cache], Sequence[str]]
    packages: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    memory: int = 1 << 30


def _script(name: str, *words: str) -> list[str]:
    return ["sh", str(HERE / name), *words]


def _program(name: str) -> Callable[[Cache], list[str]]:
    return lambda cache: [str(_compiled(cache, name))]


def _compiled(cache: Cache, name: str) -> Path:
    """A C program of this directory, compiled on the host and kept by the hash of its source."""
    source = HERE / f"{name}.c"
    content = source.read_bytes() + (HERE / "end.h").read_bytes()
    home = cache.root / "workloads" / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"
    if not home.exists():
        compiler = shutil.which("cc")
        if compiler is None:
            raise LabError("no C compiler on this machine", "apt-get install gcc libc6-dev")
        with directory_made_whole(home) as work:
            _built([compiler, "-O2", "-g", "-pthread", "-o", str(work / name), str(source)])
    return home / name


def _built(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{argv[0]} failed", done.stderr.strip()[-500:])


def _jvm(collector: str) -> Callable[[Cache], list[str]]:
    def command(cache: Cache) -> list[str]:
        java = f"/usr/lib/jvm/java-17-openjdk-{this_machine().debian}/bin"
        source = HERE / "Churn.java"
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
        home = cache.root / "workloads" / f"churn-{digest}"
        if not home.exists():
            tree = HostPackages(cache).tree(_JDK)
            compiler = f"{tree or ''}{java}/javac"
            with directory_made_whole(home) as work:
                _built([compiler, "-d", str(work), str(source)])
        # The heap small enough for a guest, the collector at work all the time.
        return [f"{java}/java", collector, "-Xmx256m", "-cp", str(home), "Churn"]

    return command


_JDK = ("openjdk-17-jdk-headless",)

WORKLOADS: dict[str, Workload] = {
    "compactor": Workload(
        "a heap whose regions are committed out of order and moved by mremap",
        _program("compactor"),
    ),
    "jemalloc": Workload(
        "an allocation storm of four threads on Debian's libjemalloc2",
        _program("storm"),
        ("libjemalloc2",),
        {"LD_PRELOAD": JEMALLOC},
    ),
    "jemalloc-unmap": Workload(
        "the same storm with retain:false, so that jemalloc gives memory back by munmap",
        _program("storm"),
        ("libjemalloc2",),
        {"LD_PRELOAD": JEMALLOC, "MALLOC_CONF": "retain:false,dirty_decay_ms:100"},
    ),
    "redis": Workload(
        "redis-server under redis-benchmark, with background saves",
        lambda _cache: _script("redis.sh"),
        ("redis-server", "redis-tools"),
    ),
    "compilation": Workload(
        "make -j of Lua's sources",
        lambda cache: _script("compilation.sh", str(HostPackages(cache).source("lua5.4"))),
        ("gcc", "libc6-dev", "make"),
    ),
    "chromium": Workload(
        "headless Chromium on a page that allocates",
        lambda _cache: _script("chromium.sh", str(HERE)),
        ("chromium",),
        memory=2 << 30,
    ),
    "jvm-g1": Workload("a JVM with G1 under allocation load", _jvm("-XX:+UseG1GC"), _JDK),
    "jvm-zgc": Workload("a JVM with ZGC under allocation load", _jvm("-XX:+UseZGC"), _JDK),
}  #: name -> workload, as ``vmad lab workloads`` lists them


def prepared(cache: Cache, words: Sequence[str], kernels: Sequence[str] = ()) -> Prepared:
    """A shipped workload by its name, or any command as it stands. Raises ``LabError``.

    ``kernels``: where it is to run. What ships is made of this machine's programs.
    """
    known = WORKLOADS.get(words[0])
    if known is None:
        return Prepared(words[0], tuple(words))
    here = this_machine()
    for kernel in kernels:
        there = architecture_named(kernel)
        if there is not here:
            raise LabError(
                f"{words[0]} runs on {here.title}, {kernel} is a kernel of {there.title}",
                "name kernels of this machine, or a command that is in that guest",
            )
    if len(words) > 1:
        raise LabError(f"{words[0]} takes no words of its own", "--seconds says how long it runs")
    tree = HostPackages(cache).tree(known.packages) if known.packages else None
    argv = tuple(known.command(cache))
    return Prepared(words[0], argv, known.environment, tree, known.memory)
