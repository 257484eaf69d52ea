# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a process belongs to: its command, its file, its control group, as text fit for labels."""

from __future__ import annotations

from dataclasses import dataclass


def label_safe(raw: bytes | str) -> str:
    """Any bytes as one line of valid Unicode.

    Undecodable bytes become ``\\xNN``, characters that do not print (controls, line separators,
    lone surrogates) become ``\\xNN``, ``\\uNNNN`` or ``\\UNNNNNNNN``. Text that is already safe
    comes back unchanged, so applying it twice does no harm.
    """
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that surrogateescape carried through
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


@dataclass(frozen=True, slots=True)
class CgroupIdentity:
    """What a control group's path says.

    ``unit`` is the systemd unit with its real name (escapes such as ``\\x2d`` kept, as
    ``systemctl status`` wants it); None outside of a unit and inside of a container, except
    where the service is the container (Podman's ``libpod-payload-ID``). ``user`` tells a unit of
    a user's manager from one of the system's. ``container`` is the 64-digit id, or the name of
    an LXC container; ``pod`` the Kubernetes pod uid.
    """

    path: str
    unit: str | None = None
    container: str | None = None
    pod: str | None = None
    user: bool = False


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """What grouping rules look at.

    ``exe`` is None when no rule asks for it, or when it may not be read; ``cgroup`` is None when
    the process went before it could be read.
    """

    comm: str
    exe: str | None = None
    cgroup: CgroupIdentity | None = None
