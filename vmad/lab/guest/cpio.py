# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Writes a cpio archive in the newc format, which is what the kernel unpacks as an initramfs.

Format: Documentation/driver-api/early-userspace/buffer-format.rst. Archives can be joined end to
end; the kernel unpacks one after the other.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """One entry: path without a leading slash, mode with its type bits, content or link target."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(path: str) -> Member:
    """A directory that root may write and all may read."""
    return Member(path, stat.S_IFDIR | 0o755)


def regular(path: str, content: bytes, *, executable: bool = False) -> Member:
    """A file owned by root."""
    return Member(path, stat.S_IFREG | (0o755 if executable else 0o644), content)


def symlink(path: str, target: str) -> Member:
    """A symbolic link."""
    return Member(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int) -> Member:
    """A character device node that only root may use."""
    return Member(path, stat.S_IFCHR | 0o600, b"", (major, minor))


def archive(members: Iterable[Member]) -> bytes:
    """The bytes of an archive; the same members give the same bytes (no times, no inodes)."""
    parts = [_entry(number, member) for number, member in enumerate(members, start=1)]
    parts.append(_entry(0, Member("TRAILER!!!", 0)))
    joined = b"".join(parts)
    # 512 is what cpio(1) pads to; the kernel wants the next archive at a multiple of 4.
    return joined + b"\0" * (-len(joined) % 512)


def _entry(number: int, member: Member) -> bytes:
    name = member.path.encode() + b"\0"
    fields = (
        number,
        member.mode,
        0,  # uid
        0,  # gid
        1,  # links
        0,  # mtime
        len(member.content),
        0,  # device that holds the file
        0,
        *member.device,
        len(name),
        0,  # checksum, of the other format only
    )
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(head) + _padded(member.content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
