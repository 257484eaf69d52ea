# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Headless Chromium on a page that allocates, for so many seconds: of all the workloads this one
# does as much as it can in its time, not a set amount of work. $1: the directory of the page.
set -eu
dir=$(mktemp -d)
chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
	--disable-background-networking --user-data-dir="$dir" --remote-debugging-port=0 \
	"file://$1/allocate.html" >/dev/null 2>&1 &
browser=$!
# without KVM it takes a minute to come up
until [ -s "$dir/DevToolsActivePort" ]; do
	kill -0 "$browser" 2>/dev/null || { echo "chromium did not start" >&2; exit 1; }
	sleep 0.2
done
ends=$(($(date +%s) + VMAD_LAB_SECONDS))
while [ "$(date +%s)" -lt "$ends" ] && kill -0 "$browser" 2>/dev/null; do sleep 0.2; done
: >"$VMAD_LAB_END"
while [ -e "$VMAD_LAB_END" ]; do sleep 0.05; done
kill "$browser" 2>/dev/null || { echo "chromium had ended by itself" >&2; exit 1; }
wait "$browser" || true
