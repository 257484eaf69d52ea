# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad blame`` of real programs: boundaries by the kernel's own word, stacks by known names."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.live.blame.boundaries import NAMES, Held, compiled, hold
from tests.live.small_program import written
from vmad.blame.attribution import Origin
from vmad.blame.blamed import Blamed, OneProcess
from vmad.blame.recording import Recording
from vmad.export.blame_json import blamed_of
from vmad.sources.bpf.blame import Recorder
from vmad.sources.bpf.libbpf import loaded_programs
from vmad.sources.bpf.source import BpfSource

pytestmark = pytest.mark.bpf

SOURCE = Path(__file__).with_name("makers.c")
#: what makers.c calls its code that is made at run time
MADE = ("py::trampoline", "int Some.method(int)")
#: seconds after which what ought to happen has not
PATIENCE = 120.0
VMAD = (sys.executable, "-m", "vmad.cli.main", "blame")


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """makers.c, without the frame pointers that distributions do not have either."""
    made = tmp_path_factory.mktemp("blame") / "makers"
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run(
        ["cc", "-O2", "-fomit-frame-pointer", *warnings, "-pthread", "-o", made, SOURCE], check=True
    )
    return made


@pytest.fixture(scope="module")
def source(kernel_sources: dict[str, BpfSource]) -> BpfSource:
    """The kernel evidence."""
    return next(iter(kernel_sources.values()))


def recorded(source: BpfSource, makers: Path, way: str, *, follow: bool = False) -> Blamed:
    """makers.c recorded from before it works until it says that it has."""
    with (
        subprocess.Popen([makers, way, "wait"], stdin=-1, stdout=-1) as child,
        Recorder(follow=follow) as recorder,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        recording = Recording(recorder, source, source.find(child.pid))
        child.stdin.write(b"\n\n" if way == "exec" else b"\n")
        child.stdin.flush()
        said = child.stdout
        blamed = recording.run(
            None, lambda _: None, lambda: bool(select.select([said], [], [], 0)[0])
        )
        child.stdin.write(b"\n")
        child.stdin.close()
    return blamed


def by_function(blamed: Blamed | OneProcess, *names: str) -> Counter[str]:
    """VMAs by the first of these functions in their stacks, else by how the maker is known."""
    vmas: Counter[str] = Counter()
    for maker in blamed.makers:
        functions = [frame.function for frame in maker.stack.frames]
        vmas[next((name for name in names if name in functions), maker.origin.name)] += maker.vmas
    return vmas


def test_random_calls_are_blamed_for_every_boundary(source: BpfSource, tmp_path: Path) -> None:
    program, held = compiled(tmp_path), Held()

    hold(program, source, seed=1, areas=800, calls=60, held=held)
    for seed in range(2, 8):
        hold(program, source, seed, areas=1, calls=20, held=held)  # the heap alone

    assert held.wrong == []
    assert held.boundaries > 8_000
    # names of areas are a matter of the kernel's configuration
    assert set(held.calls) >= set(NAMES) - {"nobody", "prctl"}
    # nothing but stacks that grow is left in doubt by one thread
    assert held.doubtful["not seen"] == held.doubtful["carried"] == 0
    assert 0 < held.doubtful["grown"] < held.boundaries / 20


def test_each_guard_is_blamed_on_the_function_that_cut_it(source: BpfSource, makers: Path) -> None:
    blamed = recorded(source, makers, "guards")

    (most, *_) = blamed.makers
    assert most.call == "mprotect"
    assert by_function(blamed, "cut_guards", "in_the_child")["cut_guards"] in (199, 200)
    assert "in_the_child" in [frame.function for frame in most.stack.frames]
    assert most.stack.complete
    assert blamed.told + blamed.vmas_of(Origin.BEFORE) == blamed.map_count


def test_after_an_exec_the_program_before_it_is_forgotten(source: BpfSource, makers: Path) -> None:
    blamed = recorded(source, makers, "exec")

    assert blamed.vmas_of(Origin.BEFORE) == 0
    assert blamed.vmas_of(Origin.KERNEL) > 0
    assert by_function(blamed, "in_the_child")["in_the_child"] in (199, 200)
    # the dynamic linker's own lose themselves where Debian 13's begins: it has no tables there
    cut = [
        maker
        for maker in blamed.makers
        if maker.call == "mprotect" and "in_the_child" in {f.function for f in maker.stack.frames}
    ]
    assert cut
    assert all(maker.stack.complete for maker in cut)


def test_a_parent_is_blamed_for_its_own_while_a_child_makes_more(
    source: BpfSource, makers: Path
) -> None:
    blamed = recorded(source, makers, "child", follow=True)

    vmas = by_function(blamed, "in_the_parent", "in_the_child")
    assert vmas["in_the_parent"] in (39, 40)
    assert vmas["in_the_child"] == 0
    # whom the child has what it was born with from
    (child,) = blamed.children
    vmas = by_function(child, "in_the_parent", "in_the_child")
    assert vmas["in_the_parent"] in (39, 40)
    assert vmas["in_the_child"] in (199, 200)
    assert child.vmas_of(Origin.INHERITED) == vmas["in_the_parent"]
    assert child.ended is None


def test_beside_threads_that_never_stop_every_wrong_one_would_be_marked(
    source: BpfSource, makers: Path
) -> None:
    # by chance, none comes between a call and its look
    for _ in range(20):
        blamed = recorded(source, makers, "threads")

        vmas = by_function(blamed, "in_the_child")["in_the_child"]
        assert vmas + blamed.doubtful >= 1_990
        if blamed.losses.busy:
            break
    assert blamed.losses.busy > 0


def test_stacks_go_through_code_made_at_run_time(source: BpfSource, makers: Path) -> None:
    blamed = recorded(source, makers, "made")

    (most, *_) = blamed.makers
    names = [frame.function for frame in most.stack.frames]
    assert names.count("cut_guards") == 1
    assert names.count("main") == 1
    within = names[names.index("cut_guards") : names.index("main")]
    made = [name for name in within if name in MADE]
    # where libdw goes by frame pointers on 64-bit Arm it tells the first one twice
    once = made if os.uname().machine == "x86_64" else list(dict.fromkeys(made))
    assert once == list(MADE)


def test_a_command_is_recorded_from_its_first_call(makers: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "made.json"

    answer = subprocess.run(
        [*VMAD, "-o", wanted, "--format", "json", "--", makers, "guards"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stderr == ""
    lines = answer.stdout.splitlines()
    blamed = blamed_of("\n".join(lines[lines.index("{") :]), "stdout")
    assert blamed == blamed_of(wanted.read_text("utf-8"), "file")
    assert blamed.comm == "makers"
    assert blamed.ended is None
    assert by_function(blamed, "in_the_child")["in_the_child"] in (199, 200)
    assert blamed.vmas_of(Origin.BEFORE, Origin.FORGOTTEN) == 0


def test_of_a_command_that_lets_go_before_its_end_the_most_is_told(
    makers: Path, tmp_path: Path
) -> None:
    wanted = tmp_path / "made.json"

    subprocess.run(
        [*VMAD, "-o", wanted, "--", makers, "passing"], stdout=subprocess.DEVNULL, check=True
    )

    blamed = blamed_of(wanted.read_text("utf-8"), "file")
    assert by_function(blamed, "in_the_child")["in_the_child"] in (199, 200)
    assert blamed.ended is not None
    assert blamed.map_count_end is not None
    assert blamed.map_count_end < 50


def test_children_that_have_ended_are_told_as_they_were_read(makers: Path, tmp_path: Path) -> None:
    wanted, script = tmp_path / "made.json", f"{makers} passing; {makers} passing"

    subprocess.run([*VMAD, "--follow", "-o", wanted, "--", "sh", "-c", script, "sh"],
                   stdout=subprocess.DEVNULL, check=True)  # fmt: skip

    blamed = blamed_of(wanted.read_text("utf-8"), "file")
    assert blamed.comm == "sh"
    first, second = sorted(blamed.children, key=lambda child: child.pid)
    for child in (first, second):
        assert child.comm == "makers"
        assert by_function(child, "in_the_child")["in_the_child"] in (199, 200)
        assert child.map_count_end is not None
    assert first.ended is not None
    assert second.ended is not None
    assert first.ended > second.ended


def test_of_one_that_is_killed_while_it_waits_what_is_older_is_told_as_such(
    source: BpfSource, makers: Path
) -> None:
    with (
        subprocess.Popen([makers, "guards", "wait"], stdin=-1, stdout=-1) as child,
        Recorder() as recorder,
    ):
        recording = Recording(recorder, source, source.find(child.pid))
        turns = iter(range(10))
        blamed = recording.run(
            None, lambda _: child.kill() if next(turns, 0) == 9 else None, lambda: False
        )

    assert blamed.ended is not None
    assert blamed.vmas_of(Origin.BEFORE) == blamed.map_count


def test_one_that_is_never_begun_polls_nothing_that_is_given_back(
    source: BpfSource, makers: Path
) -> None:
    with subprocess.Popen([makers, "guards", "wait"], stdin=-1, stdout=-1) as child:
        before = set(threading.enumerate())
        with Recorder() as recorder:
            Recording(recorder, source, source.find(child.pid))
        assert set(threading.enumerate()) <= before
        child.kill()


@pytest.mark.compat
def test_a_32_bit_program_is_refused_as_itself_and_as_what_another_becomes(tmp_path: Path) -> None:
    binary = written(tmp_path / "small")
    with subprocess.Popen([binary]) as target:
        for words in (
            (str(target.pid),),
            ("--", str(binary)),
            ("--", "sh", "-c", f"exec {binary}"),
        ):
            answer = subprocess.run([*VMAD, *words], capture_output=True, text=True, check=False)

            assert answer.returncode == 1, words
            assert "runs a 32-bit program" in answer.stderr
            assert answer.stderr.count("\n") == 1
        target.kill()


def test_a_command_that_starts_program_after_program_is_told_as_the_last(tmp_path: Path) -> None:
    script = tmp_path / "again"
    script.write_text('#!/bin/sh\n[ "$1" -gt 0 ] || exit 0\nexec "$0" $(($1 - 1))\n')
    script.chmod(0o755)
    words = [*VMAD, "--format", "json", "--", str(script), "1000"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stderr
    blamed = blamed_of(answer.stdout, "again")
    assert blamed.comm == "again"
    assert blamed.told > 0


@pytest.mark.parametrize("flags", [("-DTABLES",), ()], ids=["by its tables", "by its entry"])
def test_a_thread_begins_where_no_name_says_so(tmp_path: Path, flags: tuple[str, ...]) -> None:
    binary, answer = tmp_path / "nameless", tmp_path / "blamed.json"
    as_file = ("-O2", "-Wall", "-Wextra", "-Werror", "-nostartfiles", "-Wl,-e,enter", "-s")
    source = SOURCE.with_name("nameless.c")
    subprocess.run(["gcc", *as_file, *flags, "-o", binary, source], check=True)
    with subprocess.Popen([*VMAD, "-o", answer, "--", binary], stdin=-1, stdout=-1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"READY\n"
        child.stdin.close()
        assert child.wait() == 0
    blamed = blamed_of(answer.read_text("utf-8"), "nameless")
    # a compiler may have made two calls of the one
    outermost = [(maker, maker.stack.frames[-1]) for maker in blamed.makers if maker.stack.frames]
    ours = [(maker, last) for maker, last in outermost if last.module == str(binary)]

    assert sum(maker.vmas for maker, _ in ours) > 50
    assert all(last.function is None and maker.stack.complete for maker, last in ours)
    assert blamed.complete_stacks == blamed.stacks


def test_nothing_stays_attached_even_if_it_is_killed(makers: Path) -> None:
    with subprocess.Popen([makers, "guards", "wait"], stdin=-1, stdout=-1) as child:
        with subprocess.Popen([*VMAD, "--seconds", "600", str(child.pid)]) as recorder:
            began = time.monotonic()
            while "vmad_exec" not in (loaded_programs() or []):
                assert time.monotonic() - began < PATIENCE
                assert recorder.poll() is None
            recorder.kill()
        began = time.monotonic()
        while {"vmad_exec", "vmad_fork"} & set(loaded_programs() or []):
            assert time.monotonic() - began < PATIENCE, "a program stayed in the kernel"
        assert child.stdin is not None
        child.stdin.write(b"\n\n")


def test_nothing_stays_attached(source: BpfSource, makers: Path) -> None:
    recorded(source, makers, "guards")

    # the kernel unloads programs some time after they were let go (RCU)
    began = time.monotonic()
    while {"vmad_exec", "vmad_fork"} & set(loaded_programs() or []):
        assert time.monotonic() - began < PATIENCE, "a program stayed in the kernel"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "whom to record?"),
        (("4194303999",), 2, "not a process id"),
        (("--", "/no/such/program"), 1, "cannot run /no/such/program: No such file or directory"),
        (("--from", "/no/such/file"), 1, "/no/such/file: No such file or directory"),
        (("--from", "x.json", "7"), 2, "--from shows what was recorded"),
        (("-o", "x.png", "--from", "y.json"), 2, "no format has this name"),
        (("-o", "/no/such/x.html", "--", "sleep", "60"), 1, "there is no directory /no/such"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], status: int, said: str
) -> None:
    answer = subprocess.run([*VMAD, *arguments], capture_output=True, text=True, check=False)

    assert answer.returncode == status
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert answer.stdout == ""


def test_json_is_a_recording_of_what_the_process_has_become() -> None:
    becomes = ("sh", "-c", "read line; exec sleep 60")
    answer = subprocess.run(
        [*VMAD, "--format", "json", "--seconds", "2", "--", *becomes],
        input="\n",
        capture_output=True,
        text=True,
        check=True,
    )

    document = json.loads(answer.stdout)
    assert document["schema"] == "vmad-blame/1"
    assert document["comm"] == "sleep"
    assert document["map_count"] == sum(maker["vmas"] for maker in document["makers"])
