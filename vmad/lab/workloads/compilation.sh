# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# make -j of Lua's own sources, again and again until the time is up. $1: its unpacked source.
set -eu
dir=$(mktemp -d)
cp -r "$1" "$dir/source"
cd "$dir/source"
ends=$(($(date +%s) + VMAD_LAB_SECONDS))
built=0
while left=$((ends - $(date +%s))) && [ "$left" -gt 0 ]; do
	timeout "$left" make -s -j"$(nproc)" -C src all SYSCFLAGS=-DLUA_USE_LINUX \
		SYSLIBS="-Wl,-E -ldl" MYCFLAGS=-g >/dev/null 2>&1 && built=$((built + 1))
	echo "$(find . -name '*.o' | wc -l) object files" >&2
	find . -name '*.o' -delete
done
: >"$VMAD_LAB_END"
while [ -e "$VMAD_LAB_END" ]; do sleep 0.05; done
echo "$built builds"
