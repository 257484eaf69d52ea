# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What only a guest may be set to: strict overcommit, and a control group for few tasks."""

from __future__ import annotations

from pathlib import Path

from vmad.lab.run import run_in_guest

PROGRAM = Path(__file__).parents[1] / "live" / "fails_elsewhere.py"
FIRST_LINES = """
explained() {
    mkfifo /tmp/$2.wait
    sh -c "$1" sh "$PROGRAM" </tmp/$2.wait >/tmp/$2.said & pid=$!
    exec 9>/tmp/$2.wait
    until grep -s . /tmp/$2.said; do :; done
    python3 -m vmad explain $pid --evidence procfs | head -n 1
    exec 9>&-
    wait $pid
}
echo 100 >/proc/sys/vm/overcommit_ratio
echo 2 >/proc/sys/vm/overcommit_memory
explained 'exec python3 "$1" commit' commit
echo 1 >/proc/sys/vm/overcommit_memory
group=/sys/fs/cgroup/tight
echo +pids >/sys/fs/cgroup/cgroup.subtree_control
mkdir $group
echo 4 >$group/pids.max
explained 'echo $$ >/sys/fs/cgroup/tight/cgroup.procs; exec python3 "$1" tasks' tasks
"""


def test_strict_overcommit_and_a_tight_control_group_are_named(kernel: str) -> None:
    done = run_in_guest(
        kernel,
        ["sh", "-c", FIRST_LINES, "sh", str(PROGRAM)],
        memory=2 << 30,
        environment={"PROGRAM": str(PROGRAM)},
    )
    assert (done.status, done.stderr) == (0, b"")
    commit_error, commit, tasks_error, tasks = done.stdout.decode().splitlines()

    assert commit_error == "ENOMEM"
    assert "it is not this limit but maybe CommitLimit (" in commit
    assert tasks_error == "EAGAIN"
    assert "it is not this limit but maybe pids.max (4 of 4 tasks)" in tasks
