# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The machine, as far as it decides what vmad sees and how it judges."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from vmad import __version__
from vmad.doctor.rights import in_initial_user_namespace, lockdown
from vmad.model.findings import Setting
from vmad.model.kernel import KernelInfo
from vmad.rules.eras import era_of
from vmad.rules.limit_origin import limit_origin
from vmad.sources.boot_settings import read_boot_settings
from vmad.sources.bpf.refusals import BTF_PATH
from vmad.sources.maximum import read_max_map_count
from vmad.sources.procfs.hidden import hidepid
from vmad.sources.rights import effective_capabilities
from vmad.sources.vma_cost import read_vma_cost

#: of the capabilities, those that decide what vmad sees
RELEVANT = (
    "CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH",
    "CAP_DAC_OVERRIDE", "CAP_NET_ADMIN",
)  # fmt: skip
#: bit -> what it allows: vm.anon_vma_merge of the anon_vma series
SWITCHES = {
    1: "page offset after mremap",
    2: "different anon_vma",
    4: "healing at the next merge",
    8: "counting",
}


def surroundings(kernel: KernelInfo, proc: str = "/proc") -> Iterator[Setting]:
    """In the order in which a person wants to know."""
    yield Setting("kernel", f"{kernel.release} {kernel.machine}", _patched(kernel))
    era = era_of(kernel.version)
    since = ".".join(map(str, era.since))
    yield Setting("stock rules", f"those of {since} and later", f"{era.change} ({era.source})")
    yield _limit(proc)
    yield _vma_cost(proc)
    held = effective_capabilities(proc)
    names = ", ".join(name for name in RELEVANT if name in held) or "none that matters"
    yield Setting("rights", f"uid {os.geteuid()}; {names}", "what may be read, see above")
    if not in_initial_user_namespace(proc):
        yield Setting("user namespace", "not the initial one", "capabilities do not count for BPF")
    there = os.path.exists(BTF_PATH)
    needs = "the BPF programs adapt to it" if there else "needs CONFIG_DEBUG_INFO_BTF=y"
    yield Setting(BTF_PATH, "there" if there else "missing", needs)
    mode = lockdown()
    if mode is not None:
        yield Setting("kernel lockdown", mode, "confidentiality keeps BPF from reading the kernel")
    hidden = hidepid(proc)
    if hidden is not None:
        yield Setting(
            "hidepid", hidden, "/proc hides other users' processes, but not from kernel evidence"
        )
    yield from _sysctls(proc)
    yield from _versions()


def _patched(kernel: KernelInfo) -> str:
    if not kernel.patched:
        return "not patched: it has no vm.anon_vma_merge"
    switch = kernel.merge_switch or 0
    on = [text for bit, text in SWITCHES.items() if switch & bit]
    return f"patched, vm.anon_vma_merge = {switch}: {', '.join(on) or 'all switched off'}"


def _limit(proc: str) -> Setting:
    limit = read_max_map_count(proc)
    name = "vm.max_map_count"
    if limit is None:
        return Setting(name, "unknown", "ratios cannot be told")
    return Setting(name, f"{limit:,}", limit_origin(limit, read_boot_settings(proc)).text)


def _vma_cost(proc: str) -> Setting:
    cost, name = read_vma_cost(proc), "cost of a VMA"
    if cost is None:
        return Setting(name, "unknown", "this kernel shows neither its slabs nor BTF")
    value = f"{cost.each} bytes of kernel memory"
    if cost.written is not None:
        value += f", {cost.written} when written to on its own"
    return Setting(name, value, f"a million of them: {cost.each * 10**6 / 2**20:,.0f} MiB")


def _sysctls(proc: str) -> Iterator[Setting]:
    matters = {
        "kernel.unprivileged_bpf_disabled": "without effect: these programs always take rights",
        "kernel.perf_event_paranoid": "without effect: no perf event is opened",
        "kernel.yama.ptrace_scope": "for `vmad probe` alone: reading is no attaching",
    }
    for name, text in matters.items():
        try:
            with open(f"{proc}/sys/{name.replace('.', '/')}", encoding="ascii") as file:
                value = file.read().strip()
        except OSError:  # not in this kernel
            continue
        yield Setting(name, value, text)


#: Python package -> what goes without it
_PACKAGES = {
    "numpy": "",
    "prometheus_client": "",
    "PyYAML": "configuration files",
    "python-ptrace": "probe, heal --apply",
    "pyroute2": "process events; before 0.9 vmad opens the socket itself",
    "bcrypt": "users of --web.config.file",
}


def _versions() -> Iterator[Setting]:
    yield Setting("libbpf", _libbpf_version() or "not installed", "1.0 or later; package libbpf1")
    yield Setting("Python", platform.python_version(), f"vmad {__version__}")
    for package, use in _PACKAGES.items():
        try:
            installed = version(package)
        except PackageNotFoundError:
            installed = "not installed"
        yield Setting(package, installed, use)


def _libbpf_version() -> str | None:
    try:
        library = ctypes.CDLL("libbpf.so.1")
        library.libbpf_version_string.restype = ctypes.c_char_p
    except (OSError, AttributeError):
        return None
    text: bytes = library.libbpf_version_string()
    return text.decode("ascii", "replace").removeprefix("v")
