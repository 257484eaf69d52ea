# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A socket filter that lets the process events through that vmad uses, and drops the rest unread.

A host that makes threads sends two events for each: 14,000 per second were seen, and reading one
takes tens of microseconds. The filter (classic BPF, Documentation/networking/filter.rst) runs in
the kernel before a message is queued. It passes exec alone: new processes are found by their
counts, every second. It drops, too, messages too short for that, which any process may send.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

SO_ATTACH_FILTER = 26

#: offset: struct nlmsghdr (16), struct cn_msg (20), struct proc_event (cn_proc.h)
_WHAT = 36
_NONE, _EXEC = 0, 2
#: bytes of the event
_SHORTEST = 60

# linux/filter.h, linux/bpf_common.h
_LOAD, _LOAD_LENGTH = 0x20, 0x80
_IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x15, 0x35, 0x06


def _here(number: int) -> int:
    """As the filter sees a number of this machine: it loads in network byte order."""
    return int.from_bytes(number.to_bytes(4, sys.byteorder), "big")


#: (code, jump if true, jump if false, operand); jumps count from the next instruction
PROGRAM: tuple[tuple[int, int, int, int], ...] = (
    (_LOAD, 0, 0, _WHAT),
    (_IF_EQUAL, 3, 0, _here(_NONE)),  # the answer to "listen": pass
    (_IF_EQUAL, 0, 3, _here(_EXEC)),  # else drop
    (_LOAD_LENGTH, 0, 0, 0),
    (_IF_AT_LEAST, 0, 1, _SHORTEST),  # else drop
    (_RETURN, 0, 0, 0xFFFF_FFFF),
    (_RETURN, 0, 0, 0),
)


def attach(sock: socket.socket) -> None:
    """Filter what ``sock`` queues from now on. Takes no right.

    Raises OSError.
    """
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in PROGRAM)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a length, then a pointer
    program = struct.pack("@HP", len(PROGRAM), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
