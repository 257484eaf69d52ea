#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# python-ptrace reads the upper half of a register as its lower one, and writes the wrong byte of it.
#
# Seen:     python-ptrace 0.9.9 on x86-64. With rbx = 0x1111222233334455, getreg("ebx") answers 0x11112222.
#           setreg("bh", 0x66) leaves rbx = 0x1111222233336600: bl, which was not named, is cleared, and bh is
#           right only since each bit that it had is one of 0x66, too. setreg("ebx", 1) is a TypeError.
# Expected: ebx is bits 0 to 31 of rbx, and writing bh changes bits 8 to 15 and no others, as in the processor's
#           manual and in gdb, whose names for parts of registers these are.
# Why:      ptrace/binding/cpu.py has eax to edx as ("rax", 32, None): the place in memory of a half on a machine with
#           the other endianness, perhaps; setreg() clears with the mask before it is shifted.
# Way out:  getregs() and setregs() whole, and Python's own arithmetic.
#
# Needs x86-64, Python 3.11 or later with venv, the right to trace a child of one's own.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check python-ptrace==0.9.9 2>pip.log ||
	{ cat pip.log >&2; exit 1; }
cat >ask.py <<'PYTHON'
import subprocess

from ptrace.debugger import PtraceDebugger

VALUE = 0x1111222233334455
with subprocess.Popen(["sleep", "1000"]) as child:
    traced = PtraceDebugger().addProcess(child.pid, is_attached=False)
    traced.setreg("rbx", VALUE)
    print(f"rbx {traced.getreg('rbx'):#x}")
    print(f"bx {traced.getreg('bx'):#x}, bh {traced.getreg('bh'):#x}, bl {traced.getreg('bl'):#x}")
    print(f"ebx {traced.getreg('ebx'):#x}")
    traced.setreg("bh", 0x66)
    print(f"rbx once bh was set to 0x66: {traced.getreg('rbx'):#x}")
    child.kill()
PYTHON
venv/bin/python ask.py | tee out
cat >expected <<'TEXT'
rbx 0x1111222233334455
bx 0x4455, bh 0x44, bl 0x55
ebx 0x11112222
rbx once bh was set to 0x66: 0x1111222233336600
TEXT
cmp out expected
