# The commands of this repository. All are idempotent; each installs what it needs and says what it does.
# STREAMJOB_CACHE (default ~/.cache/streamjob) holds what outlives a clone: Python with DuckDB, Kafka, an S3 server, Kubernetes, Flink, downloads,
# bench inputs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

export STREAMJOB_CACHE ?= $(HOME)/.cache/streamjob
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## this list
	@echo 'make <what>:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: demo
demo: ## install, build, run the flights job on real input, kill it half-way, run it again, compare with DuckDB (first time about 11 min on 2 cores, then seconds)
	@tests/setup build answers
	@echo 'demo: building target/release/streamjob (first time about 11 minutes on 2 cores)'
	cargo build --locked --release --bin streamjob
	@examples/flights/demo $(TARGET)/release/streamjob

# Property tests draw the same cases each time, so that what fails here fails everywhere; who asks for more draws others.
SEED := $(if $(STREAMJOB_LONG)$(PROPTEST_CASES),$(shell date +%s),1)

# Most tests wait for brokers, clocks and pods: with one for each core, two fifths of the cores were idle.
export RUST_TEST_THREADS ?= $(shell expr $$(nproc) + 1)

.PHONY: test
test: export PROPTEST_RNG_SEED ?= $(SEED)
test: ## install, then every test at sizes that fit: format, lints, tests, docs, examples (half an hour on 2 cores; the first time as much again for building)
	@tests/setup build trace answers kafka s3 $(if $(STREAMJOB_NO_CLUSTER),,cluster)
	@$(MAKE) --no-print-directory lint
	# One build for all: without --all-targets the tests would compile every dependency once more.
	cargo build --locked --workspace --all-targets --features streamjob-tests/faults
	@echo "test: PROPTEST_RNG_SEED=$$PROPTEST_RNG_SEED draws the same cases of property tests again"
	cargo test --locked --workspace --features streamjob-tests/faults
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet
	# Needs Go, as the S3 server of the tests does.
	cd tests/gitops && go test ./...
	@examples/flights/demo --part $(TARGET)/debug/streamjob
	@echo 'test: all passed'

.PHONY: test-long
test-long: ## make test, then everything again at full figures (about three hours; STREAMJOB_SEED takes a run up again)
	@$(MAKE) --no-print-directory test
	export PROPTEST_RNG_SEED=$${PROPTEST_RNG_SEED:-$$(date +%s)}; \
	  echo "test-long: PROPTEST_RNG_SEED=$$PROPTEST_RNG_SEED draws the same cases of property tests again"; \
	  STREAMJOB_LONG=1 PROPTEST_CASES=5120 cargo test --locked --workspace --features streamjob-tests/faults -- --show-output
	# Both engines must give the same results; what a debug build takes for it is of no interest.
	@tests/setup kafka flink
	$(TARGET)/debug/$(COMPARE) --streamjob $(TARGET)/debug/streamjob --rows 200000 --rate 5000 --seconds 10 --pairs 1 --attempts 1 \
	  --cells w1-100k,w2-100k-p2,w3-100k-1s,w3-100k-1s-rocksdb,recovery-10k

.PHONY: lint
lint: ## formatting and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features streamjob-tests/faults -- -D warnings

.PHONY: generate
generate: ## write what is made from the API's types again: the chart of the definitions, docs/api.md
	cargo run --locked -p streamjob-crds --bin crdgen

.PHONY: bundle
bundle: ## write install/streamjob.yaml again: both charts as plain manifests
	@tests/setup cluster
	HELM="$$(tests/cluster/tools/build folder)/helm" charts/bundle >install/streamjob.yaml

.PHONY: kafka
kafka: ## a Kafka broker on 127.0.0.1:9092 to try things on; it stays until make kafka-down
	@tests/setup kafka
	@tests/broker up

.PHONY: kafka-down
kafka-down: ## stop that broker and throw its data away
	@tests/broker down

PROGRAMS = --bin streamjob-operator --bin kubectl-streamjob --bin streamjob-worker

.PHONY: cluster
cluster: ## a Kubernetes with the operator, Kafka and S3 on this machine, as root, to try things on; it stays until make cluster-down
	@tests/setup build cluster
	@echo 'cluster: building the operator and the worker (first time about 13 minutes on 2 cores)'
	cargo build --locked --release $(PROGRAMS)
	@tests/cluster/cluster up
	@tests/cluster/install definitions
	@tests/cluster/install operator $(TARGET)/release
	@tests/cluster/cluster help

.PHONY: cluster-down
cluster-down: ## stop that cluster; nothing of it is left
	@tests/cluster/cluster down

.PHONY: images-from-source
images-from-source: ## build the images of operator and worker as users do, from their whole Dockerfiles, without a registry
	@tests/setup build cluster
	@mkdir -p $(TARGET)/images
	tests/cluster/images from-source operator $(TARGET)/images/operator.tar
	tests/cluster/images from-source worker $(TARGET)/images/worker.tar

.PHONY: bench
bench: ## measure the table of BENCHMARKS.md on this machine (8 GB of disk, 30 minutes; keep the machine quiet)
	@tests/setup build
	cargo build --locked --release --bin streamjob --bin streamjob-bench
	$(TARGET)/release/streamjob-bench --streamjob $(TARGET)/release/streamjob --cache $(STREAMJOB_CACHE)/bench

.PHONY: bench-cluster
bench-cluster: ## measure jobs on the cluster of make cluster: apply, kill, upgrade, writes to the API (20 rounds, 15 minutes; keep the machine quiet)
	cargo build --locked --release --bin streamjob-bench
	tests/cluster/cluster in $(TARGET)/release/streamjob-bench cluster $(FLAGS)

COMPARE = streamjob-bench flink --cache $(STREAMJOB_CACHE)/bench --results $(TARGET)/bench-flink

.PHONY: bench-flink
bench-flink: ## measure StreamJob and Flink by turns; goes on where it stopped (CELLS=w3-100k-1s,w1; FLAGS=--list; two hours, 12 GB of disk)
	@tests/setup build kafka flink
	cargo build --locked --release --bin streamjob --bin streamjob-bench
	$(TARGET)/release/$(COMPARE) --streamjob $(TARGET)/release/streamjob $(addprefix --cells ,$(CELLS)) $(FLAGS)
