#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# vmalert-tool runs unit tests of rules on other numbers than the file says when these have exponents.
#
# Seen:     victoria-metrics 1.112.0+ds1-2 (Debian 13). In input_series, `1e11x10` (eleven samples of
#           100,000,000,000) is read as 1 - 11 n: at five minutes the series is at -54. `1_000x10`
#           is read as ones. Neither a warning nor an error; an alert that must fire stays silent, and
#           one that must not fire passes its test. `8e10+8e9x10`, in the same notation, is refused.
# Expected: the test files are promtool's, by its documentation, and promtool reads 1e11; what is not
#           understood is refused, as the third form is.
# Gone in:  the expression that cuts numbers out of a series knows exponents upstream by now.
# Way out:  write the figures out: 100000000000x10 reads the same everywhere.
#
# Needs what debian.sh needs; 40 MB in a temporary folder. Listens on a port of loopback.
set -eu
. "$(dirname "$0")/debian.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
fetch_from_debian trixie victoria-metrics=1.112.0+ds1-2 unpacked

cat >rules.yml <<'YAML'
groups:
  - name: none
    rules: [{record: not_asked_for, expr: vector(1)}]
YAML

# what a series of these values holds after five minutes, by a test that cannot hold
after_five_minutes() {
	cat >test.yml <<YAML
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: memory_bytes
        values: '$1'
    metricsql_expr_test:
      - expr: memory_bytes
        eval_time: 5m
        exp_samples:
          - value: 123456
            labels: memory_bytes
YAML
	unpacked/usr/bin/vmalert-tool unittest --files test.yml 2>&1 |
		sed -n 's/.*got: {[^}]*} \([^]]*\).*/\1/p; s/.*\(unsupported input\).*/\1/p'
}

wrong=0
while read -r values expected; do
	seen=$(after_five_minutes "$values")
	echo "$values is $seen after five minutes"
	[ "$seen" = "$expected" ] || wrong=1
done <<'VALUES'
100000000000x10 1E+11
1e11x10 -5.4E+01
1_000x10 1E+00
8e10+8e9x10 unsupported input
VALUES
exit $wrong
