#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Writes requirements/: the newest versions that pyproject.toml allows for every Python from 3.11
# on, with the hashes of all their files. uv finds them, in a virtual environment of its own.
set -eu
cd "$(dirname "$0")/.."
${PYTHON:-python3} -m venv build/lock
build/lock/bin/python -m pip install --quiet --disable-pip-version-check --upgrade uv

# what builds the project is installed from here too, since pip is given --no-build-isolation
build=$(build/lock/bin/python -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")')

compile() { # LIST ARGUMENTS...
	list=$1
	shift
	{
		echo '# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only'
		echo '# Written by `make lock`.'
		printf '%s\n' "$build" | build/lock/bin/uv pip compile --quiet --universal \
			--python-version 3.11 --generate-hashes --no-header --no-config "$@" pyproject.toml -
	} >"build/lock/$list.txt"
	mv "build/lock/$list.txt" requirements/
}
compile test --extra dev --extra bench --extra top --upgrade
compile run --extra top --constraint requirements/test.txt
