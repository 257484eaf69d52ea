# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Why the kernel refuses what it refuses: missing capabilities, or something that outweighs them.

Measured as uid 65534 (Debian 6.1 to 7.3 and 6.18): CAP_BPF and CAP_PERFMON load and run the
programs, CAP_SYS_ADMIN alone does too, CAP_BPF alone does not. Neither kernel.unprivileged_bpf_
disabled nor kernel.perf_event_paranoid changes that: tracing programs are never unprivileged, and
no perf event is opened.
"""

from __future__ import annotations

from vmad.errors import EvidenceUnavailable
from vmad.model.kernel import KernelInfo
from vmad.sources.procfs.rights import OWNER_ONLY
from vmad.sources.rights import effective_capabilities

#: what loading and running the programs takes
FOR_BPF = ("CAP_BPF", "CAP_PERFMON")
INITIAL_USER_NAMESPACE = ["0", "0", "4294967295"]


def missing_for_bpf(capabilities: tuple[str, ...]) -> tuple[str, ...]:
    """Capabilities that BPF lacks here (capabilities(7), 5.8 and later)."""
    if "CAP_SYS_ADMIN" in capabilities:
        return ()
    return tuple(name for name in FOR_BPF if name not in capabilities)


def bpf_remedy(
    error: EvidenceUnavailable, proc: str = "/proc", *, others_load: bool = False
) -> str | None:
    """What would help, looking at what this process has and what stands above capabilities.

    ``others_load``: programs that enter no function of the kernel are not refused.
    """
    if "not permitted" not in error.what:
        return error.remedy
    missing = missing_for_bpf(effective_capabilities(proc))
    if missing:
        return f"needs {' and '.join(missing)}, or CAP_SYS_ADMIN"
    if not in_initial_user_namespace(proc):
        return "capabilities of a user namespace do not count for BPF: run it outside of one"
    if others_load:
        return (
            "another kernel: the rights are there, but this one, which loads other programs, "
            "loads none that enters its functions"
        )
    if lockdown() == "confidentiality":
        return "kernel lockdown (confidentiality) forbids BPF to read the kernel: boot without it"
    if _status("Seccomp", proc) not in (None, "0"):
        return "a seccomp filter (container, SystemCallFilter=) forbids bpf(2): allow it"
    active = security_modules()
    if active is None:
        who = "a security module may"
    elif not (could := [name for name in ("selinux", "bpf") if name in active]):
        return (
            "the capabilities are there and no security module that could forbid it is active "
            f"({', '.join(active)}): this kernel is built or set up so"
        )
    else:
        who = f"the security module {' or '.join(could)} may"
    return f"the capabilities are there: {who} forbid bpf(2), see its log"


def file_remedy(file: str, kernel: KernelInfo, proc: str = "/proc") -> str | None:
    """What would open /proc/PID/``file`` of others; None when every right for it is there."""
    held = effective_capabilities(proc)
    if not in_initial_user_namespace(proc):
        return "capabilities of a user namespace do not count for others: run it outside of one"
    reading = {"CAP_SYS_PTRACE", "CAP_PERFMON"} if kernel.version >= (6, 16) else {"CAP_SYS_PTRACE"}
    missing = []
    if file in OWNER_ONLY and not {"CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"} & set(held):
        missing.append("CAP_DAC_READ_SEARCH")
    if not reading & set(held):
        missing.append(" or ".join(sorted(reading, reverse=True)))
    return f"needs {' and '.join(missing)}" if missing else None


def in_initial_user_namespace(proc: str = "/proc") -> bool:
    """Whether this process's capabilities are those of the host (user_namespaces(7))."""
    try:
        with open(f"{proc}/self/uid_map", encoding="ascii") as file:
            return file.read().split() == INITIAL_USER_NAMESPACE
    except OSError:  # a kernel without user namespaces
        return True


def loads_other_programs() -> bool:
    """Whether a program that only iterates, and enters no function of the kernel, loads."""
    from vmad.sources.bpf.census import KernelCensus  # noqa: PLC0415  libbpf

    try:
        KernelCensus().close()
    except EvidenceUnavailable:
        return False
    return True


def security_modules() -> tuple[str, ...] | None:
    """The active ones; None where securityfs does not tell. Of those in 6.18, SELinux and
    programs of the BPF module decide on bpf(2) (security_hook_heads.bpf), lockdown apart.
    """
    try:
        with open("/sys/kernel/security/lsm", encoding="ascii") as file:
            return tuple(file.read().strip().split(","))
    except OSError:
        return None


def lockdown() -> str | None:
    """The mode of kernel_lockdown(7), None where there is none or it cannot be seen."""
    try:
        with open("/sys/kernel/security/lockdown", encoding="ascii") as file:
            text = file.read()
    except OSError:
        return None
    return text.partition("[")[2].partition("]")[0] or None


def _status(name: str, proc: str) -> str | None:
    try:
        with open(f"{proc}/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(f"{name}:"):
                    return line.split()[1]
    except OSError:
        return None
    return None
