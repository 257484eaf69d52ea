#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# The unit tests with other versions of what vmad depends on, in virtual environments of their own.
#
#   deploy/try-versions.sh oldest   the lower bounds of pyproject.toml; needs the oldest Python, 3.11
#   deploy/try-versions.sh newest   what is on offer today, past requirements/
set -eu
cd "$(dirname "$0")/.."
which=$1
shift
python=${PYTHON:-python3}
say() { echo "vmad $which versions: $*" >&2; }

if [ "$which" = oldest ] && ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
	say "the oldest versions are those of Python 3.11, and $python is $("$python" -V) (set PYTHON=)"
	exit 1
fi
home=build/$which-versions
rm -rf "$home"
"$python" -m venv "$home"
"$home/bin/python" - "$which" >"$home/wanted.txt" <<'END'
import re, sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
oldest = sys.argv[1] == "oldest"
print(*(re.sub("[>~]=", "==", one) if oldest else one for one in wanted), sep="\n")
END
say "installing into $home"
"$home/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade -r "$home/wanted.txt"
"$home/bin/python" -m pip --disable-pip-version-check freeze |
	tr A-Z_ a-z- | grep '==' | sort >"$home/has.txt"
sed -n 's/^\([a-z0-9-]*==[^ ]*\).*/\1/p' requirements/test.txt | sort >"$home/pinned.txt"
others=$(comm -23 "$home/has.txt" "$home/pinned.txt" | tr '\n' ' ')
say "other than in requirements/: ${others:-none}"
"$home/bin/python" -m pytest -q -p no:cacheprovider tests/unit "$@" || {
	say "the unit tests fail with ${others:-the same versions}"
	exit 1
}
