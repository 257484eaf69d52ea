# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad(1), made of what the commands say of themselves: ``python -m vmad.operations.manual``.

Made when a package is built rather than committed, so that it cannot lag behind an option.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vmad import __version__
from vmad.operations.command_line import Argument, Command, commands

_HEAD = r""".SH NAME
vmad \- who is near vm.max_map_count, how fast, why, and what to change
.SH SYNOPSIS
.B vmad
.I command
.RI [ option ...]
.SH DESCRIPTION
A process may own at most
.I vm.max_map_count
memory mappings (VMAs); at the limit
.BR mmap (2),
.BR munmap (2),
.BR mprotect (2)
and new threads fail although memory is free.
.B vmad
watches every process of a host, says who is near the limit and why, and exports metrics.
.SH COMMANDS"""

_TAIL = r""".SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Failed.
.TP
.B 2
Usage, or a configuration that is refused.
.TP
.B 3
The process is gone or may not be read.
.SH FILES
.TP
.I /etc/vmad/vmad.yaml
The configuration of the service; every key may be left out.
.TP
.I /etc/default/vmad
VMAD_OPTIONS, more options of
.BR "vmad serve" .
.TP
.I /usr/share/doc/vmad/runbook.md
What to do when it calls.
.SH SEE ALSO
.BR proc_pid_maps (5),
.BR mmap (2),
.BR capabilities (7)"""


def manual() -> str:
    """The page, for groff's man macros."""
    return "\n".join(_lines(commands())) + "\n"


def _lines(known: Iterable[Command]) -> Iterator[str]:
    yield r".\" SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only"
    yield f'.TH VMAD 1 "" "vmad {__version__}" "User Commands"'
    yield _HEAD
    for command in known:
        synopsis = " ".join(a.value or "" for a in command.arguments if not a.flags)
        yield f'.SS "vmad {command.name} [options] {_plain(synopsis)}"'
        yield _plain(command.description)
        for argument in command.arguments:
            yield ".TP"
            yield _term(argument)
            yield _plain(argument.help) or r"\&"
    yield _TAIL


def _term(argument: Argument) -> str:
    if not argument.flags:
        return rf"\fI{_plain(argument.value or '')}\fR"
    flags = ", ".join(rf"\fB{_plain(flag)}\fR" for flag in argument.flags)
    return flags if argument.value is None else rf"{flags} \fI{_plain(argument.value)}\fR"


def _plain(text: str) -> str:
    """Text that groff takes as it is: dashes stay dashes, a leading dot is no request."""
    escaped = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    print(manual(), end="")
