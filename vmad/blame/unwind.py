# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Copied stacks of one process unwound and named by libdw, with the files that it maps."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_uint64, c_void_p, cast
from typing import Any, Final

from vmad.architecture.known import running
from vmad.blame.images import Images
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
from vmad.blame.made_code import BEGINNING, fixed_frame, tables
from vmad.blame.mapped_files import Mapping, mappings_of, open_mapped
from vmad.blame.outermost import nothing_calls
from vmad.blame.perf_map import PerfMap
from vmad.blame.stack import Ending, Frame, Stack, begins_a_thread
from vmad.errors import ProcessGone

#: frames of one stack; deeper recursion is cut
MOST_FRAMES: Final = 512
#: DWARF_CB_OK, DWARF_CB_ABORT
_GO_ON, _STOP = 0, 1
_WORD: Final = 8
#: names of modules that hold tables of ours
_MADE: Final = "[made at run time] "


class Unwinder:
    """The modules of one process as they were when last looked at. ``close`` gives them back."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._libdw = load_libdw()
        self._libc = ctypes.CDLL(None)
        self._libc.strdup.restype = c_void_p
        self._libc.strdup.argtypes = (c_char_p,)
        self._mappings: dict[int, Mapping] = {}
        self._images = Images(())
        self._perf_map = PerfMap(pid)
        self._frames: dict[int, Frame] = {}
        #: of the places where a walk ended
        self._outermost: dict[int, bool] = {}
        #: code made at run time: name, start, ELF file with its unwind tables
        self._made: list[tuple[bytes, int, bytes]] = []
        self._tables_of: tuple[int, tuple[int, ...]] = (0, ())
        self._tables_help = os.uname().machine == "x86_64"  # elsewhere frame pointers are kept
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
        self._attach()  # while it is there

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
        before, self._images = self._images, Images(mappings)
        if self._images.all == before.all:
            # what is new is code made at run time
            self._frames = {
                place: frame for place, frame in self._frames.items() if frame.module is not None
            }
            return
        self._report()

    def _report(self) -> None:
        """Tell libdw what is mapped."""
        self._libdw.dwfl_report_begin(self._dwfl)
        for image in self._images.all:
            self._libdw.dwfl_report_module(
                self._dwfl, os.fsencode(image.path), image.start, image.end
            )
        for name, start, elf in self._made:
            fd = os.memfd_create("vmad-code", os.MFD_CLOEXEC)
            os.write(fd, elf)
            # libdw closes it when it takes it
            if not self._libdw.dwfl_report_elf(self._dwfl, name, name, fd, start, True):
                os.close(fd)
        self._libdw.dwfl_report_end(self._dwfl, None, None)
        self._frames.clear()
        self._outermost.clear()

    def _made_code_is_new(self) -> bool:
        """Write unwind tables for code made at run time, where more of it is known now."""
        self._perf_map.read_news()
        made = [
            mapping
            for mapping in self._mappings.values()
            if mapping.executable and mapping.is_no_file
        ]
        known = (self._perf_map.readings, tuple(mapping.start for mapping in made))
        if not self._perf_map.readings or known == self._tables_of:
            return False
        self._tables_of = known
        self._made = []
        try:
            memory = os.open(f"/proc/{self._pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            for mapping in made:
                self._make_tables(memory, mapping)
        finally:
            os.close(memory)
        if self._made:
            self._report()
        return bool(self._made)

    def _make_tables(self, memory: int, mapping: Mapping) -> None:
        frames = []
        for start, end, name in self._perf_map.functions(mapping.start, mapping.end):
            try:
                code = os.pread(memory, min(BEGINNING, end - start), start)
            except OSError:
                continue
            frame = fixed_frame(name, code)
            if frame is not None:
                frames.append((start, end, frame))
        if frames:
            # libdw keeps what it has of a module of the same name
            module = f"{_MADE}{self._tables_of[0]} {mapping.start:x}".encode()
            elf = tables(mapping.start, mapping.end, frames)
            self._made.append((module, mapping.start, elf))

    def unwind(self, registers: tuple[int, ...], start: int, memory: bytes) -> Stack:
        """A stack from its registers (DWARF's order) and its topmost bytes, from ``start`` on."""
        if not self._attach():
            return Stack((), Ending.LOST)  # none of its files could be opened: it is gone
        self._registers = registers
        self._memory, self._start = memory, start
        stack = self._walked()
        through_made_code = any(frame.module is None for frame in stack.frames)
        if through_made_code and self._tables_help and self._made_code_is_new():
            stack = self._walked()
        return stack

    def _walked(self) -> Stack:
        self._past = False
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
        if any(begins_a_thread(frame.function) for frame in frames) or (
            places and self._nothing_calls(places[-1])
        ):
            return Stack(frames, Ending.COMPLETE)
        return Stack(frames, Ending.CUT if self._past else Ending.LOST)

    def _nothing_calls(self, at: int) -> bool:
        known = self._outermost.get(at)
        if known is None:
            place = self._images.as_loaded(at)
            module = self._libdw.dwfl_addrmodule(self._dwfl, place)
            known = bool(module) and nothing_calls(self._libdw, module, place)
            self._outermost[at] = known
        return known

    def _attach(self) -> bool:
        """Needs one of its files, to see what processor it is for."""
        if not self._attached:
            self._attached = self._libdw.dwfl_attach_state(
                self._dwfl, None, self._pid, byref(self._thread_callbacks), None
            )
        return self._attached

    def _named(self, place: int) -> Frame:
        known = self._frames.get(place)
        if known is None:
            known = self._frames[place] = self._look_up(place)
        return known

    def _look_up(self, at: int) -> Frame:
        place = self._images.as_loaded(at)
        module = self._libdw.dwfl_addrmodule(self._dwfl, place)
        if not module:
            return Frame(self._perf_map.name_at(place), None, place)
        start, end = c_uint64(), c_uint64()
        path = self._libdw.dwfl_module_info(
            module, None, byref(start), byref(end), None, None, None, None
        )
        if path and path.startswith(_MADE.encode()):
            return Frame(self._perf_map.name_at(place), None, place)
        name = self._libdw.dwfl_module_addrname(module, place)
        return Frame(
            _without_version(name) if name else None,
            os.fsdecode(path) if path else None,
            place - self._bias(module, start.value),
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

    def _bias(self, module: int, start: int) -> int:
        """What the addresses in the file are less than those in memory."""
        bias = c_uint64()
        return bias.value if self._libdw.dwfl_module_getelf(module, byref(bias)) else start

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


def _without_version(symbol: bytes) -> str:
    """("pthread_create@@GLIBC_2.34") -> "pthread_create"."""
    name = symbol.decode("utf-8", "backslashreplace")
    return name.split("@", 1)[0] or name
