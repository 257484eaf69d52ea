# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The rights that this process has: its effective capabilities by name."""

from __future__ import annotations

from vmad.errors import CannotRead

#: include/uapi/linux/capability.h, 6.12; bit number = place in the tuple
_NAMES = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID "
    "CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST "
    "CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO "
    "CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE "
    "CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE "
    "CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM "
    "CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE"
)
CAPABILITIES = tuple(_NAMES.split())


def capability_names(mask: int) -> tuple[str, ...]:
    """(1 << 19) -> ("CAP_SYS_PTRACE",); a bit newer than the table is "CAP_<bit>"."""
    return tuple(
        CAPABILITIES[bit] if bit < len(CAPABILITIES) else f"CAP_{bit}"
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    )


def effective_capabilities(proc: str = "/proc") -> tuple[str, ...]:
    """CapEff of /proc/self/status (proc(5)), by name. Raises CannotRead."""
    path = f"{proc}/self/status"
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("CapEff:"):
                    return capability_names(int(line.split()[1], 16))
    except OSError as error:
        raise CannotRead(f"{path}: {error.strerror}") from error
    raise CannotRead(f"{path}: has no line CapEff")
