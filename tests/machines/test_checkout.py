# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A clone on a new machine: the README's commands, in the order in which people type them."""

from __future__ import annotations

from tests.machines.machine import Machine

#: until the daemon is ready, with what it then says of itself
ASK = """
import time, urllib.request
def get(path):
    return urllib.request.urlopen(f"http://127.0.0.1:19797{path}", timeout=10).read().decode()
until = time.monotonic() + 120
while True:
    try:
        print(get("/-/ready"))
        break
    except OSError:
        if time.monotonic() > until:
            raise
        time.sleep(0.1)
print(*(line for line in get("/metrics").splitlines() if line.startswith("vmad_build_info")))
"""
DAEMON = f"""
cd /root/vmad
make run >/tmp/log 2>&1 &
asked=0
.venv/bin/python -c '{ASK}' || asked=$?
kill $!
wait $! || true
cat /tmp/log
exit $asked
"""


def test_make_run_answers_on_its_port(new_machine: Machine) -> None:
    new_machine.sh("cd /root/vmad && make setup").well()
    # all is there by now, so that it needs no network, and the port is free
    said = new_machine.sh(DAEMON, network=False, timeout=300).well()
    assert "vmad is ready" in said
    assert "vmad_build_info{" in said
    assert "first scan complete" in said
    assert "Traceback" not in said


def test_unit_tests_pass(new_machine: Machine) -> None:
    script = """
    cd /root/vmad
    make setup-test
    PATH=$PWD/build/tools/usr/bin:$PATH .venv/bin/python -m pytest -q tests/unit
    """
    new_machine.sh(script).well()


def test_linters_have_nothing_to_say(new_machine: Machine) -> None:
    """Another Python gets other versions of what is linted with, and of numpy's types."""
    new_machine.sh("cd /root/vmad && make lint").well()


def test_make_test_passes(new_machine: Machine) -> None:
    new_machine.sh("cd /root/vmad && make test PYTEST_ARGS=-q", timeout=5400).well()


def test_guest_boots_and_sees_this_machine(new_machine: Machine) -> None:
    script = """
    cd /root/vmad
    deploy/setup.sh vm
    .venv/bin/vmad lab run --kernel 6.12 -- sh -c 'uname -r; .venv/bin/vmad scan'
    """
    said = new_machine.sh(script).well()
    assert "6.12." in said
    assert "nearest to the limit" in said
