# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Accept queues by the client's address: whoever floods the daemon fills a queue that is his own.

One address is listened at by several sockets (SO_REUSEPORT, socket(7)), and a classic BPF program
(Documentation/networking/filter.rst; bpf(2) is not needed) tells the kernel which of them a client
gets. Each is served in its turn, so a scraper waits for those of its own lane alone, however many
connections others have opened; the kernel refuses what a lane has no room for at no cost of ours.
"""

from __future__ import annotations

import ctypes
import resource
import secrets
import socket
import struct
from contextlib import suppress

#: sockets for each address; a power of two
LANES = 32
#: where fewer descriptors than these are allowed they are for other things
_ENOUGH_DESCRIPTORS = 256

_ATTACH_REUSEPORT_CBPF = 51  #: asm-generic/socket.h; the architectures that we know have this one
#: linux/bpf_common.h: load a word, move it to X, combine with it or a constant, return it
_LOAD, _TO_X, _XOR_X, _MULTIPLY, _SHIFT, _RETURN = 0x20, 0x07, 0xAC, 0x24, 0x74, 0x16
#: linux/filter.h: offsets from here on are those of the network header
_NETWORK = 0xFFF0_0000
#: where it has the source: struct iphdr; struct ipv6hdr, the /64 that is one client's
_SOURCE = {socket.AF_INET: (12,), socket.AF_INET6: (8, 12)}

_Instruction = tuple[int, int]


def lanes() -> int:
    """How many sockets an address is to have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return LANES if soft == resource.RLIM_INFINITY or soft >= _ENOUGH_DESCRIPTORS else 1


def by_address(first: socket.socket) -> None:
    """Have the kernel choose among ``first`` and those that join it by the source's address.

    ``first`` is bound to an address of the internet and has SO_REUSEPORT. Where the kernel does not
    take the program it chooses by ports, too: no client loses by that.
    """
    program = _program(_SOURCE[first.family], secrets.randbits(32) | 1, secrets.randbits(32) | 1)
    filters = b"".join(struct.pack("=HBBI", code, 0, 0, k) for code, k in program)
    text = ctypes.create_string_buffer(filters, len(filters))
    # struct sock_fprog: the number of instructions and where they are
    described = struct.pack("@HP", len(program), ctypes.addressof(text))
    with suppress(OSError):
        first.setsockopt(socket.SOL_SOCKET, _ATTACH_REUSEPORT_CBPF, described)


def _program(offsets: tuple[int, ...], one: int, other: int) -> list[_Instruction]:
    """The upper bits of the source's words, multiplied by two secret odd numbers: nobody can choose
    whose lane theirs is. By one alone neighbours would often be together.
    """
    program: list[_Instruction] = []
    for number, offset in enumerate(offsets):
        if number:
            program.append((_TO_X, 0))
        program.append((_LOAD, _NETWORK + offset))
        if number:
            program.append((_XOR_X, 0))
    program += (_MULTIPLY, one), (_TO_X, 0), (_SHIFT, 15), (_XOR_X, 0), (_MULTIPLY, other)
    return [*program, (_SHIFT, 32 - (LANES.bit_length() - 1)), (_RETURN, 0)]
