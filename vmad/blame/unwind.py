# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Copied stacks of one process unwound and named by libdw, with the files that it maps."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_uint64, c_void_p, cast
from typing import Any, Final

from vmad.architecture.known import running
from vmad.blame.libdw import (
    FIND_ELF,
    FRAME,
    GET_THREAD,
    MEMORY_READ,
    NEXT_THREAD,
    SET_REGISTERS,
    Callbacks,
    ThreadCallbacks,
    load_libdw,
)
from vmad.blame.mapped_files import Mapping, mappings_of, open_mapped
from vmad.blame.perf_map import PerfMap
from vmad.blame.stack import Ending, Frame, Stack, begins_a_thread
from vmad.errors import ProcessGone, VmadError

#: frames of one stack; deeper recursion is cut
MOST_FRAMES: Final = 512
#: DWARF_CB_OK, DWARF_CB_ABORT
_GO_ON, _STOP = 0, 1
_WORD: Final = 8
#: a mapping that may be a file: not "[heap]", and no address space is without these
_FILE_BEGINS: Final = "/"


class Unwinder:
    """The modules of one process as they were when last looked at. ``close`` gives them back."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._libdw = load_libdw()
        self._libc = ctypes.CDLL(None)
        self._libc.fmemopen.restype = c_void_p
        self._libc.fmemopen.argtypes = (c_char_p, ctypes.c_size_t, c_char_p)
        self._libc.fclose.argtypes = (c_void_p,)
        self._libc.strdup.restype = c_void_p
        self._libc.strdup.argtypes = (c_char_p,)
        self._mappings: dict[int, Mapping] = {}
        self._files: list[str] = []
        self._perf_map = PerfMap(pid)
        self._frames: dict[int, Frame] = {}
        self._attached = False
        self._memory, self._start, self._past = b"", 0, False
        self._registers: tuple[int, ...] = ()
        # libdw keeps pointers to these
        self._callbacks = Callbacks(
            FIND_ELF(self._find_elf),
            cast(self._libdw.dwfl_standard_find_debuginfo, c_void_p),
            cast(self._libdw.dwfl_offline_section_address, c_void_p),
            None,
        )
        self._thread_callbacks = ThreadCallbacks(
            NEXT_THREAD(lambda *_: 0),
            GET_THREAD(lambda *_: True),
            MEMORY_READ(self._read),
            SET_REGISTERS(self._set_registers),
            None,
            None,
        )
        # it would ask servers of this name for debug information
        os.environ.pop("DEBUGINFOD_URLS", None)
        self._dwfl = self._libdw.dwfl_begin(byref(self._callbacks))
        self.refresh()

    @property
    def mappings(self) -> list[Mapping]:
        """What was mapped when it was last looked at."""
        return list(self._mappings.values())

    def refresh(self) -> None:
        """Look again at what is mapped. Raises ProcessGone."""
        try:
            with open(
                f"/proc/{self._pid}/maps", encoding="utf-8", errors="surrogateescape"
            ) as maps:
                text = maps.read()
        except (FileNotFoundError, ProcessLookupError) as error:
            raise ProcessGone(f"process {self._pid} is gone") from error
        if not text:
            raise ProcessGone(f"process {self._pid} is gone")
        mappings = mappings_of(text)
        self._mappings = {mapping.start: mapping for mapping in mappings}
        files = [line for line in text.splitlines() if _FILE_BEGINS in line]
        if files == self._files:
            # what is new is code made at run time
            self._frames = {
                place: frame for place, frame in self._frames.items() if frame.module is not None
            }
            return
        self._files = files
        data = "\n".join(files).encode("utf-8", "surrogateescape") + b"\n"
        stream = self._libc.fmemopen(data, len(data), b"r")
        self._libdw.dwfl_report_begin(self._dwfl)
        self._libdw.dwfl_linux_proc_maps_report(self._dwfl, stream)
        self._libdw.dwfl_report_end(self._dwfl, None, None)
        self._libc.fclose(stream)
        self._frames.clear()

    def unwind(self, registers: tuple[int, ...], start: int, memory: bytes) -> Stack:
        """A stack from its registers (DWARF's order) and its topmost bytes, from ``start`` on."""
        if not self._attached:
            self._attached = self._libdw.dwfl_attach_state(
                self._dwfl, None, self._pid, byref(self._thread_callbacks), None
            )
            if not self._attached:
                raise VmadError(f"blame: libdw: {self._why()}")
        self._memory, self._start, self._past = memory, start, False
        self._registers = registers
        places: list[int] = []

        def frame(state: int, _: int | None) -> int:
            pc, activation = c_uint64(), c_bool()
            if not self._libdw.dwfl_frame_pc(state, byref(pc), byref(activation)):
                return _STOP
            # a return address may be the first of the next function
            places.append(pc.value - (0 if activation.value else 1))
            return _GO_ON if len(places) < MOST_FRAMES else _STOP

        self._libdw.dwfl_getthread_frames(self._dwfl, self._pid, FRAME(frame), None)
        frames = tuple(self._named(place) for place in places if place > 0)
        if any(begins_a_thread(one.function) for one in frames):
            return Stack(frames, Ending.COMPLETE)
        return Stack(frames, Ending.CUT if self._past else Ending.LOST)

    def _why(self) -> str:
        text = self._libdw.dwfl_errmsg(-1)
        return text.decode() if text else "unknown error"

    def _named(self, place: int) -> Frame:
        known = self._frames.get(place)
        if known is None:
            known = self._frames[place] = self._look_up(place)
        return known

    def _look_up(self, place: int) -> Frame:
        module = self._libdw.dwfl_addrmodule(self._dwfl, place)
        if not module:
            return Frame(self._perf_map.name_at(place), None, place)
        start, end = c_uint64(), c_uint64()
        path = self._libdw.dwfl_module_info(
            module, None, byref(start), byref(end), None, None, None, None
        )
        name = self._libdw.dwfl_module_addrname(module, place)
        return Frame(
            name.decode("utf-8", "backslashreplace") if name else None,
            os.fsdecode(path) if path else None,
            place - start.value,
            self._source(module, place),
            self._build_id(module),
        )

    def _source(self, module: int, place: int) -> str | None:
        line = self._libdw.dwfl_module_getsrc(module, place)
        if not line:
            return None
        number = c_int()
        path = self._libdw.dwfl_lineinfo(line, None, byref(number), None, None, None)
        return f"{os.fsdecode(path)}:{number.value}" if path else None

    def _build_id(self, module: int) -> str | None:
        bits, address = c_void_p(), c_uint64()
        size = self._libdw.dwfl_module_build_id(module, byref(bits), byref(address))
        return ctypes.string_at(bits.value, size).hex() if size > 0 and bits.value else None

    def _find_elf(self, *arguments: Any) -> int:
        _, _, _, base, file_name, _ = arguments
        mapping = self._mappings.get(base)
        if mapping is None or mapping.path is None:
            return -1
        fd = open_mapped(self._pid, mapping.start, mapping.end, mapping.path)
        if fd is None:
            return -1
        file_name[0] = self._libc.strdup(os.fsencode(mapping.path))
        return fd

    def _read(
        self, dwfl: int, address: int, result: ctypes._Pointer[c_uint64], argument: int
    ) -> bool:
        offset = address - self._start
        if not 0 <= offset <= len(self._memory) - _WORD:
            self._past = self._past or offset >= 0
            return False
        result[0] = int.from_bytes(self._memory[offset : offset + _WORD], "little")
        return True

    def _set_registers(self, thread: int, argument: int) -> bool:
        architecture = running()
        registers = list(self._registers)
        if architecture is not None and architecture.pc_apart:
            self._libdw.dwfl_thread_state_register_pc(thread, registers.pop())
        count = len(registers)
        values = (c_uint64 * count)(*registers)
        return bool(
            self._libdw.dwfl_thread_state_registers(
                thread, 0, count, cast(values, POINTER(c_uint64))
            )
        )

    def close(self) -> None:
        """Give back what libdw holds."""
        if self._dwfl:
            self._libdw.dwfl_end(self._dwfl)
            self._dwfl = None
