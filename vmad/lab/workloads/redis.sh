# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# redis-server under its own benchmark, with a background save (a fork) whenever one has ended.
set -eu
dir=$(mktemp -d)
cd "$dir"
socket=$dir/redis
redis-server --port 0 --unixsocket "$socket" --save '' --dir "$dir" --daemonize no >/dev/null &
server=$!
until redis-cli -s "$socket" ping >/dev/null 2>&1; do sleep 0.1; done
for round in $(seq $((VMAD_LAB_SECONDS / 5 + 1))); do
	redis-cli -s "$socket" bgsave >/dev/null || true
	redis-benchmark -s "$socket" -q -n 2000 -c 10 -P 10 -r 100000 -d 512 \
		-t set,lpush,hset,zadd >/dev/null
done
: >"$VMAD_LAB_END"
while [ -e "$VMAD_LAB_END" ]; do sleep 0.05; done
redis-cli -s "$socket" info stats | grep total_commands_processed
kill "$server"
wait "$server" || true
