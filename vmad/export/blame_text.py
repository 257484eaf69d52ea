# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Who made the VMAs of a process, for a person: by cause, the makers of most of them first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Final

from vmad.advice.catalogue import with_advice
from vmad.blame.attribution import Origin
from vmad.blame.blamed import Blamed, Maker, OneProcess
from vmad.blame.known import callers, made_with, programs_of
from vmad.blame.stack import Ending, Frame
from vmad.export.printable import printable
from vmad.export.quantities import count, counted, duration, percent
from vmad.export.style import Style
from vmad.export.text_table import aligned
from vmad.model.kinds import KIND_TEXT, Kind

#: causes, makers of one cause, frames of one maker that are shown
CAUSES: Final = 8
MAKERS: Final = 5
FRAMES: Final = 4
#: children that are shown
CHILDREN: Final = 5
#: a maker of less than one in so many of a cause's VMAs is one of the others
LEAST: Final = 50
#: causes of less than one in so many VMAs are not shown
SMALL: Final = 200

_INDENT: Final = "       "

_NOBODY: Final = {
    Origin.BEFORE: "made before the recording",
    Origin.KERNEL: "made by the kernel: at execve, stack, heap, vdso",
    Origin.FORGOTTEN: "gone before the end: who made them is no longer known",
}


def blame_text(blamed: Blamed, style: Style, frames: int = FRAMES) -> list[str]:
    """The whole answer in lines, to be shown with ``frames`` callers of each maker."""
    lines = style.wrapped(_headline(blamed), "")
    lines += _process_lines(blamed, blamed.seconds, style, frames)
    for child in blamed.children[:CHILDREN]:
        lines += ["", *style.wrapped(_headline_of_child(child), "")]
        lines += _process_lines(child, blamed.seconds, style, frames)
    others = blamed.children[CHILDREN:]
    if others:
        vmas = counted(sum(child.map_count for child in others), "VMA")
        number = counted(len(others), "other child", "other children")
        lines += ["", f"And {number} with {vmas} (-o FILE.html has all)."]
    return lines + _notes(blamed, style)


def _process_lines(
    one: Blamed | OneProcess, seconds: float, style: Style, frames: int
) -> list[str]:
    """Who made the VMAs of one process, in the order of their causes."""
    lines = []
    by_cause: dict[tuple[str | None, Kind | None], list[Maker]] = {}
    for maker in one.makers:
        if maker.origin not in _NOBODY:
            by_cause.setdefault((maker.reason, maker.kind), []).append(maker)
    ordered = sorted(by_cause.items(), key=lambda item: -_vmas(item[1]))
    if ordered:
        lines += ["", style.bold("What made them")]
    shown = [item for item in ordered[:CAUSES] if _vmas(item[1]) * SMALL >= one.map_count]
    for number, ((reason, kind), makers) in enumerate(shown, 1):
        vmas = _vmas(makers)
        share = percent(vmas / one.map_count)
        title = cause_title(reason, kind)
        told = style.wrapped(f"{title}: {counted(vmas, 'VMA')} ({share})", "     ", f"  {number}. ")
        lines += [line.replace(title, style.bold(title)) for line in told]
        lines += _maker_lines(makers, vmas, seconds, style, frames)
    if len(ordered) > len(shown):
        rest = sum(_vmas(makers) for _, makers in ordered[len(shown) :])
        causes = counted(len(ordered) - len(shown), "other cause")
        lines.append(f"  and {counted(rest, 'VMA')} of {causes} (-o FILE.html has all)")
    nobody = [
        (origin, text, vmas) for origin, text in _NOBODY.items() if (vmas := one.vmas_of(origin))
    ]
    if nobody:
        lines += ["", style.bold("Nobody was seen making the others")]
        lines += aligned(((count(vmas), text) for _, text, vmas in nobody), "rl", "  ")
    return lines


def cause_title(reason: str | None, kind: Kind | None) -> str:
    """What keeps these VMAs apart from the ones below, or what they are."""
    if reason is not None:
        return f"pairs kept apart by {reason}" if reason != "mergeable" else "mergeable pairs"
    return KIND_TEXT[kind] if kind is not None else "unknown"


def frame_text(frame: Frame) -> str:
    """A frame in a line of others."""
    return printable(frame.short)


def _vmas(makers: Iterable[Maker]) -> int:
    return sum(maker.vmas for maker in makers)


def _headline(blamed: Blamed) -> str:
    told = percent(blamed.told / blamed.map_count) if blamed.map_count else "0 %"
    name = f"{printable(blamed.comm)} (pid {blamed.pid})"
    grown = ""
    if blamed.map_count_before is not None:
        change = blamed.map_count - blamed.map_count_before
        grown = f" ({change:+,} in {duration(blamed.seconds)})"
    rate = blamed.calls / blamed.seconds if blamed.seconds else 0.0
    return (
        f"{name} has {counted(blamed.map_count, 'VMA')}{grown}; who made {told} of them was seen, "
        f"in {counted(blamed.calls, 'call')} of {counted(blamed.stacks, 'stack')}, "
        f"{rate:,.0f} calls a second."
    )


def _headline_of_child(child: OneProcess) -> str:
    told = percent(child.told / child.map_count)
    when = "" if child.ended is None else f" {duration(child.ended)} before the end"
    has = "has" if child.ended is None else "had"
    return (
        f"Its child {printable(child.comm)} (pid {child.pid}) {has} "
        f"{counted(child.map_count, 'VMA')}{when}; who made {told} of them was seen."
    )


def _maker_lines(
    makers: list[Maker], vmas: int, seconds: float, style: Style, frames: int
) -> list[str]:
    """The most important ones, each with its callers below; those that look alike are one."""
    alike: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Maker]] = {}
    for maker in makers:
        names = tuple(frame_text(frame) for frame in callers(maker.stack)[:frames])
        key = (maker.call or "?", made_with(maker.stack), names)
        alike.setdefault(key, []).append(maker)
    ordered = sorted(alike.items(), key=lambda item: -_vmas(item[1]))
    shown = [item for item in ordered[:MAKERS] if _vmas(item[1]) * LEAST >= vmas]
    lines = []
    for (call, through, names), group in shown:
        number = _vmas(group)
        rate = f", {number / seconds:,.1f}/s" if seconds else ""
        by = f" by {' and '.join(through)}" if through else ""
        share = percent(number / vmas)
        lines.append(f"     {style.bold(count(number))}  {share}{rate}  {style.bold(call)}{by}")
        site = " ← ".join(names) or "(its stack was not kept)"
        lines += style.wrapped(site, _INDENT)
        where = _where(callers(group[0].stack))
        lines += [style.dim(line) for line in style.wrapped(where, _INDENT)] if where else []
    rest = vmas - sum(_vmas(group) for _, group in shown)
    if rest:
        lines.append(f"     {count(rest)}  by {counted(len(ordered) - len(shown), 'other')}")
    return lines


def _where(frames: tuple[Frame, ...]) -> str | None:
    """The file of the first caller, and the line of its source where it is known; else, of code
    without symbols, where they may be found."""
    if not frames or frames[0].module is None:
        return None
    first = frames[0]
    module = printable(PurePath(frames[0].module).name)
    if first.source:
        return f"{module}, {printable(first.source)}"
    if first.function is None and first.build_id:
        return f"{module}, build-id {printable(first.build_id)}"
    return module


def _notes(blamed: Blamed, style: Style) -> list[str]:
    losses = blamed.losses
    notes = []
    everybody = blamed.everybody
    for one in everybody[: CHILDREN + 1]:
        programs = frozenset().union(*(programs_of(maker.stack) for maker in one.makers))
        advised = sorted(programs & with_advice())
        if advised and (one.ended is None or one is blamed):
            notes.append(f"What to change about {', '.join(advised)}: vmad explain {one.pid}")
    if blamed.ended is not None:
        end = blamed.map_count_end
        fewer = end is not None and end < blamed.map_count
        notes.append(
            f"These are its VMAs {duration(blamed.ended)} before the end"
            + (f", when it had the most; at the end it had {end:,}." if fewer else ".")
        )
    doubtful = sum(one.doubtful for one in everybody)
    if doubtful:
        notes.append(
            f"{counted(doubtful, 'VMA')} may have another maker: other threads held "
            "mmap_lock when it was looked for, very many VMAs were moved at once, or a stack "
            "grew down."
        )
    told, complete = sum(one.told for one in everybody), sum(one.complete for one in everybody)
    if complete < told:
        share = percent(complete / told)
        unfinished = [maker for one in everybody for maker in one.makers if maker.stack.frames]
        cut = _vmas(m for m in unfinished if m.stack.ending is Ending.CUT)
        nameless = _vmas(m for m in unfinished if not m.stack.complete and _ends_unnamed(m))
        text = f"The stacks of {share} of the VMAs reach the beginning of their thread"
        notes.append(
            f"{text}; {counted(cut, 'VMA')} need more than the 64 KiB copied."
            if cut
            else f"{text}; the others end in code without unwind tables."
        )
        if nameless:
            notes.append(
                f"Those of {counted(nameless, 'VMA')} end in code made at run time, which vmad "
                "knows by a perf map: node --perf-basic-prof, python3 -X perf, jcmd PID "
                "Compiler.perfmap."
            )
    for number, what in (
        (losses.boundaries, "boundaries had no room"),
        (losses.stacks, "stacks had no room"),
        (losses.calls, "calls had no room"),
        (losses.events, "forks, execs or moves had no room"),
    ):
        if number:
            notes.append(f"Lost: {count(number)} {what}.")
    return ["", *_paragraphs(notes, style)] if notes else []


def _ends_unnamed(maker: Maker) -> bool:
    """Whether the stack was lost in code of no file and no name."""
    last = maker.stack.frames[-1]
    return last.module is None and last.function is None


def _paragraphs(notes: Iterable[str], style: Style) -> list[str]:
    """Each note a paragraph."""
    return [line for note in notes for line in style.wrapped(note, "")]
