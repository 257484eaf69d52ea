# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmad on the patched kernel: doctor says what is switched on, the daemon counts its attempts.

Needs ``vmad lab build``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.vm.patched_programs import compiled
from vmad.lab.run import run_in_guest

PATCHED = "patched-6.12"
SCRIPT = """
exec python3 - "$1" <<'END'
import json, subprocess, sys
from vmad.doctor.surroundings import surroundings
from vmad.model.kernel import running_kernel
from vmad.sources.procfs.merge_counters import read_merge_attempts

def doctor():
    print(next(each.matters for each in surroundings(running_kernel()) if each.name == "kernel"))

doctor()
subprocess.run([sys.argv[1], "7"], stdout=subprocess.DEVNULL, check=True)
doctor()
print(json.dumps({" ".join(name): count for name, count in read_merge_attempts().items()}))
with open("/proc/vmstat") as file:
    total = dict(line.split() for line in file)["anon_vma_merge_attempts"]
print(total)
END
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    program: Path = compiled("rows.c", tmp_path_factory.mktemp("rows"))
    done = run_in_guest(PATCHED, ["sh", "-c", SCRIPT, "sh", str(program)], timeout=600)
    assert done.status == 0, done.stderr.decode()
    return [line for line in done.stdout.decode().splitlines() if line]


def test_doctor_says_that_the_kernel_is_patched_and_what_is_on(said: list[str]) -> None:
    assert said[0] == "patched, vm.anon_vma_merge = 0: all switched off"
    assert said[1].startswith("patched, vm.anon_vma_merge = 7: page offset")


def test_attempts_of_a_known_program_are_counted(said: list[str]) -> None:
    attempts = json.loads(said[2])
    for name in ("merged stock", "merged anon_vma", "refused vm_flags", "refused anon_vma_shared"):
        assert attempts[name] > 0, attempts


def test_outcomes_add_up_to_the_attempts(said: list[str]) -> None:
    """Read a moment apart, while the reader itself maps memory: some more at most."""
    assert 0 <= int(said[3]) - sum(json.loads(said[2]).values()) < 500
