# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# make run    set up what is missing, then the daemon on 127.0.0.1:19797
#             (ARGS='--web.listen-address 127.0.0.1:19798': options of vmad serve)
# make test   set up what is missing, then every test
# make test-e2e [SUITES="bookworm trixie sid"]   the package under systemd in QEMU: a march, a burst,
#             crashes, an upgrade; Debian 12 unless told otherwise
# make test-oldest, make test-newest   the unit tests with other versions than those of requirements/
# make test-setup   set-up itself, killed; pip and pipx
# make lock   renew requirements/
# make test-machines [MACHINES="trixie sid"]   make run, make test, the package and the lab on other Debians
# make check-kernel-series   the patch series on Debian's newest 6.12 source (daily, say)
# make siege [MINUTES=5]   the daemon under load, beside its peers (docs/reliability.md)
# make deb [DEB_ARCH=arm64]   the Debian package, into build/deb
# make atlas  the VMAs of real programs, before and after advice, into docs/atlas.md
# make fuzz-blame [BOUNDARIES=100000], make blame-stacks   `vmad blame`: makers held against the kernel's
#             word; whether the stacks of real programs are whole
# make test-vm [KERNELS="5.10 6.1"]   the same questions to other kernels, in QEMU (docs/lab.md)
# make test-vm-arm64   the same to kernels of 64-bit Arm, with pages of 4 and 16 KiB

PYTHON ?= python3
PYTEST_ARGS ?=
ARGS ?=
export PATH := $(CURDIR)/build/tools/usr/bin:$(PATH)

run: setup
	@deploy/run.sh $(ARGS)

setup:
	@PYTHON=$(PYTHON) deploy/setup.sh run

setup-test:
	@PYTHON=$(PYTHON) deploy/setup.sh test

test: setup-test lint
	.venv/bin/python -m pytest $(PYTEST_ARGS)

test-vm: setup-test
	@PYTHON=$(PYTHON) KERNELS="$(KERNELS)" deploy/setup.sh vm
	.venv/bin/python -m vmad.lab matrix $(if $(KERNELS),--kernels "$(KERNELS)") $(MATRIX_ARGS)

test-vm-arm64: KERNELS ?= 6.12-arm64 6.12-arm64-16k newest-arm64
test-vm-arm64: test-vm

test-oldest test-newest: setup-test
	@PYTHON=$(PYTHON) deploy/try-versions.sh $(@:test-%=%) $(PYTEST_ARGS)

# set-up itself, from nothing and killed; pip and pipx
test-setup: setup-test
	.venv/bin/python -m pytest $(PYTEST_ARGS) tests/setup

# the exact versions, with hashes, that set-up installs
lock:
	@PYTHON=$(PYTHON) deploy/lock.sh

# the package in a virtual machine with systemd, watched by a real Prometheus and Alertmanager
SUITES ?= bookworm
test-e2e: setup-test
	@PYTHON=$(PYTHON) deploy/setup.sh e2e
	VMAD_TEST_SUITES="$(SUITES)" .venv/bin/python -m pytest $(PYTEST_ARGS) tests/package

# the patch series on the newest source that Debian offers: does it still apply?
check-kernel-series: setup-test
	@.venv/bin/python -m vmad.lab kernels --refresh >/dev/null
	@.venv/bin/python -m vmad.lab build --apply-only --source newest

# the README's commands, the package and the lab on other releases of Debian, entered
MACHINES ?= trixie sid
test-machines: setup-test
	@PYTHON=$(PYTHON) deploy/setup.sh machines
	VMAD_TEST_MACHINES="$(MACHINES)" .venv/bin/python -m pytest $(PYTEST_ARGS) tests/machines

lint: setup-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/vulture

# files that code writes; tests hold the committed ones against it
docs: setup-test
	.venv/bin/python -m vmad.export.metrics.document > docs/metrics.md
	.venv/bin/python -m vmad.operations.reasons_page > docs/reasons.md
	.venv/bin/python -m vmad.operations.runbook docs/runbook.md
	.venv/bin/python -m vmad.operations.rule_files deploy/prometheus/rules
	.venv/bin/python -m vmad.operations.dashboards.files deploy/grafana
	.venv/bin/python -m vmad.operations.kubernetes.files deploy/kubernetes

# real programs under real loads, before and after each advice; docs/atlas.md. ROWS="NAME...": those
ROWS ?=
atlas: setup-test
	.venv/bin/python -m bench.atlas $(ROWS)
	.venv/bin/python -m bench.atlas.page
# what vmad shows, as text that the tests hold it to (tests/unit/goldens); read git diff afterwards
goldens: setup-test
	.venv/bin/python -m tests.unit.goldens.renew

bench: setup-test
	.venv/bin/python -m bench.run

# a full scan against cat of the maps, by instructions, in guests of both architectures (docs/bench.md)
bench-instructions: setup-test
	@PYTHON=$(PYTHON) KERNELS="6.12-arm64" deploy/setup.sh vm
	.venv/bin/python -m bench.instructions

# coverage-guided fuzzing of every parser (atheris), SECONDS for all of them, at most INPUTS each;
# what is found new is kept in build/fuzz-parsers; tests/fuzz
SECONDS ?= 600
INPUTS ?= -1
fuzz-parsers: setup-test
	.venv/bin/python -m pip install --quiet --disable-pip-version-check 'atheris>=3'
	.venv/bin/python -m tests.fuzz.run --seconds $(SECONDS) --inputs $(INPUTS)

# random programs of system calls, the kernel as the judge; resumes from build/fuzz/state.json
PAIRS ?= 100000
SEED ?= 1
fuzz: setup-test
	@mkdir -p build/fuzz
	.venv/bin/python -m tests.differential.fuzz --seed $(SEED) --pairs $(PAIRS) \
		--workers $$(nproc) --state build/fuzz/state.json

# the same, with rebuilds as the judge of the rules of the patched kernel and of rebuilds
fuzz-rebuilds fuzz-relaxed: setup-test
	.venv/bin/python -m tests.differential.fuzz_rebuild --seed $(SEED) --pairs $(PAIRS)

# rebuilds of a process of which every byte is known and that never rests
load-rebuild: setup-test
	.venv/bin/python -m tests.live.rebuild.content_load --seconds $(SECONDS) --seed $(SEED)

# `vmad blame` held against the kernel's word, boundary by boundary; and the stacks of real programs
BOUNDARIES ?= 100000
fuzz-blame: setup-test
	.venv/bin/python -m tests.live.blame.boundaries $(BOUNDARIES) $(SEED)
blame-stacks: setup-test
	.venv/bin/python -m tests.live.blame.stacks

# vmad under load, beside Debian's exporters where `make peers` has fetched them; docs/reliability.md
MINUTES ?= 5
SIEGE_ARGS ?=
siege: setup-test
	.venv/bin/python -m tests.siege --minutes $(MINUTES) $(SIEGE_ARGS)

# unpacked, not installed
peers:
	@mkdir -p build/peers
	cd build/peers && apt-get download prometheus-process-exporter prometheus-node-exporter netdata-core
	for package in build/peers/*.deb; do dpkg-deb -x $$package build/peers; done

deb:
	@DEB_ARCH=$(DEB_ARCH) deploy/deb.sh $(VERSION)

# a .venv that is half gone is no .venv: see deploy/setup.sh
clean:
	@[ ! -d .venv ] || touch .venv/vmad-unfinished
	rm -rf .venv build bench/out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	$(MAKE) --silent -C vmad/sources/bpf clean
	$(MAKE) --silent -C vmad/probe/payload clean

.PHONY: run setup setup-test test test-oldest test-newest test-setup lock test-vm test-vm-arm64 test-e2e lint docs bench
.PHONY: test-machines check-kernel-series deb clean fuzz fuzz-parsers fuzz-relaxed
.PHONY: siege peers load-rebuild atlas fuzz-blame blame-stacks
.PHONY: test-machines check-kernel-series deb clean fuzz fuzz-parsers fuzz-rebuilds fuzz-relaxed
.PHONY: siege peers goldens load-rebuild bench-instructions
