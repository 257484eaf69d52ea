#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# numpy's argsort is silently wrong on the AVX2 of QEMU 7.2.
#
# Seen:     qemu-user 1:7.2+dfsg-7+deb12u18+b3 (Debian 12, amd64), numpy 2.3.5 from its wheel:
#           with `-cpu max` the order that argsort gives for 64-bit integers does not sort them, in
#           187 of 286 arrays of 1 to 2,000 numbers; it is a permutation still, np.sort is right,
#           and so is argsort without AVX2. QEMU 7.2 is the first release that emulates AVX2, and
#           `-cpu max` offers it.
# Expected: an emulator that offers an instruction set computes as the processor does; and if not,
#           a crash, not an order that is only nearly right (np.unique, searchsorted and
#           group-by code are wrong with it).
# Gone in:  QEMU 10.0 (Debian 13): none of the arrays is wrong.
# Not shown: which instruction it is. 2,533 results of 40 single AVX2 instructions were equal.
# Way out:  -cpu max,avx2=off
#
# Needs Debian 12 on amd64, Python 3.11 or later with venv; some 60 MB in a temporary folder.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

apt-get -o APT::Sandbox::User=root download 'qemu-user=1:7.2+dfsg-7+deb12u18+b3' >/dev/null
dpkg -x qemu-user_*.deb unpacked
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: numpy==2.3.5 2>pip.log ||
	{ cat pip.log >&2; exit 1; }

cat >sort.py <<'PYTHON'
import numpy as np

random = np.random.default_rng(1)
wrong = lost = 0
for size in range(1, 2000, 7):
    numbers = random.integers(0, 2**63 - 1, size, dtype=np.uint64)
    order = np.argsort(numbers)
    lost += bool((np.bincount(order, minlength=size) != 1).any())
    wrong += bool((numbers[order][:-1] > numbers[order][1:]).any())
print(f"{wrong} of 286 out of order, {lost} that are no permutation")
PYTHON

real=$(venv/bin/python sort.py)
with=$(unpacked/usr/bin/qemu-x86_64 -cpu max venv/bin/python sort.py)
without=$(unpacked/usr/bin/qemu-x86_64 -cpu max,avx2=off venv/bin/python sort.py)
echo "orders that argsort gives"
echo "  this processor             $real"
echo "  QEMU 7.2, -cpu max         $with"
echo "  QEMU 7.2, max,avx2=off     $without"
[ "$real" = '0 of 286 out of order, 0 that are no permutation' ]
[ "$with" = '187 of 286 out of order, 0 that are no permutation' ]
[ "$without" = '0 of 286 out of order, 0 that are no permutation' ]
