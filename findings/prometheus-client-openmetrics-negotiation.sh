#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# prometheus-client labels its OpenMetrics answer with any version that the client names, and gives
# it to a client that refuses it.
#
# Seen:     prometheus-client 0.26.0. `Accept: application/openmetrics-text;version=2.0.0` is
#           answered with that Content-Type and exactly the bytes of 1.0.0; so is version 9.9.9.
#           `Accept: application/openmetrics-text;q=0, text/plain` is answered in OpenMetrics.
# Expected: a media type says what the body is, so the newest version that the library writes; and
#           q=0 means "not acceptable" (RFC 9110, 12.4.2), so text/plain. It matters from OpenMetrics
#           2.0 on (release candidate of 2026-04): its counters need no _total, and a parser that
#           believes the label reads a 1.0 body by other rules.
# Way out:  negotiate before calling the library; never hand a scraper's Accept header through.
#
# Needs Python 3.9 or later with venv.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check prometheus-client==0.26.0 2>pip.log ||
	{ cat pip.log >&2; exit 1; }
venv/bin/python - <<'PYTHON'
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

registry = CollectorRegistry()
Counter("requests", "Requests.", registry=registry).inc()
bodies = {}
for version in ("1.0.0", "2.0.0", "9.9.9"):
    encode, label = choose_encoder(f"application/openmetrics-text;version={version}")
    bodies[version] = b"\n".join(
        line for line in encode(registry).split(b"\n") if b"_created" not in line
    )
    print(f"asked for {version}: told {label}")
    assert f"version={version}" in label
assert bodies["1.0.0"] == bodies["2.0.0"] == bodies["9.9.9"]
print("and the three bodies are the same:", bodies["1.0.0"].decode().split("\n")[2])

_, label = choose_encoder("application/openmetrics-text;q=0, text/plain")
print(f"refused OpenMetrics by q=0: told {label}")
assert label.startswith("application/openmetrics-text")
PYTHON
