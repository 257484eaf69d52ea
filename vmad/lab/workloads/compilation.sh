# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# make -j of Lua's own sources: an object file for every four seconds. $1: the unpacked source.
set -eu
dir=$(mktemp -d)
cp -r "$1" "$dir/source"
cd "$dir/source/src"
left=$((VMAD_LAB_SECONDS / 4 + 1))
all=$(ls ./*.c | sed -n 's/^\.\/\(.*\)\.c$/\1.o/p')
while [ "$left" -gt 0 ]; do
	objects=$(echo "$all" | head -n "$left")
	# shellcheck disable=SC2086  # a list of words
	make -s -j"$(nproc)" MYCFLAGS=-g SYSCFLAGS=-DLUA_USE_LINUX $objects
	left=$((left - $(echo "$objects" | wc -l)))
	rm -f $objects
done
: >"$VMAD_LAB_END"
while [ -e "$VMAD_LAB_END" ]; do sleep 0.05; done
