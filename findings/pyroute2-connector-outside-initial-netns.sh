#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# An error of pyroute2's process connector that is caught and cleaned up still fills stderr.
#
# Seen:     pyroute2 0.9.7. In a network namespace of its own (every container, PrivateNetwork= of
#           systemd) the kernel has no proc connector, and ProcEventSocket.control() raises
#           ConnectionRefusedError, as it should. But close() then leaves two callbacks in the
#           socket's event loop, each of which prints a traceback that ends in `KeyError: 0`: the
#           queue that they write to was removed with the refused request.
# Expected: an error that was caught and a socket that was closed leave nothing behind; whoever reads
#           the log takes the tracebacks for a crash of the program that handled it well.
# Way out:  before pyroute2's socket is made, send a message that nobody asked for to the connector on
#           a bare netlink socket: it is refused in the same way, without an event loop.
#
# Needs root (unshare), Python 3.11 or later with venv.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyroute2==0.9.7 2>pip.log ||
	{ cat pip.log >&2; exit 1; }
cat >ask.py <<'PYTHON'
from pyroute2.netlink.connector.cn_proc import ProcEventSocket

connector = ProcEventSocket()
try:
    connector.bind()
    connector.control(listen=True)
except ConnectionRefusedError as error:
    print("caught:", error)
finally:
    connector.close()
PYTHON
unshare --net venv/bin/python ask.py >out 2>err
cat out
echo "tracebacks on stderr all the same: $(grep -c '^Traceback' err)"
[ "$(cat out)" = 'caught: [Errno 111] Connection refused' ]
[ "$(grep -c '^KeyError: 0' err)" = 2 ]
