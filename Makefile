# `make` lists the targets. The work is in scripts/; this file only gives their order.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where rustup puts cargo, which a shell that is not a login shell may lack.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help setup image image-data server-image build demo test test-quick test-engines test-vm test-arm64 test-kubernetes cluster clients bench bench-egress lint clean-engine rust

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make sure that a Docker Engine answers, and make the image for sandboxes
	@scripts/setup-engine
	@scripts/build-tools-image

image: ## make the image casemate-tools:latest unless it is up to date
	@scripts/build-tools-image

image-data: image ## make the image casemate-data:latest (pandas, matplotlib, pandoc, ...) unless it is up to date
	@scripts/build-data-image

server-image: rust ## make the image casemate:latest, the server for `docker run -i` (ARCH=arm64: for that)
	@scripts/build-server-image

build: rust ## build the server
	cargo build --release --locked

demo: rust setup ## watch a client use the server
	@echo "Build the server and the demo. The first time this takes about 4 minutes on two cores; later, seconds."
	cargo build --profile demo --locked --package casemate --bin casemate --package casemate-demo --bin casemate-demo
	@target/demo/casemate-demo

# With all features everywhere, so that there is one build: two sets of features share few crates. `make lint` checks
# that the program builds without them. Most tests wait more than they compute.
test test-quick test-engines: export RUST_TEST_THREADS ?= $(shell cpus=$$(nproc 2>/dev/null || echo 4); echo $$((cpus < 3 ? 3 : cpus)))

# All steps also run after a failure, and the exit code is the first failure's.
test: rust setup ## run all tests, their core on other Engines too, and check that they left nothing on this machine
	@scripts/setup-tests
	@snapshot=$$(mktemp); trap 'rm -f "$$snapshot"' EXIT; \
	scripts/check-leftovers snapshot "$$snapshot"; \
	tests=0; scripts/run-tests || tests=$$?; \
	engines=0; ENGINES='26.1 28.5' scripts/test-engines core || engines=$$?; \
	leftovers=0; scripts/check-leftovers compare "$$snapshot" || leftovers=$$?; \
	exit $$((tests ? tests : engines ? engines : leftovers))

# The modules of the integration tests that a change breaks first, and that do not wait.
quick := commands:: edits:: encodings:: http_mcp:: identity:: listings:: patterns:: reads:: readme:: \
	serve:: settings:: writes::

test-quick: rust setup ## run the unit tests and the core of the integration tests: a few minutes after a build
	cargo test --workspace --all-features --locked --lib --bins
	cargo test --workspace --all-features --locked --test layers
	cargo test --workspace --all-features --locked --test integration -- $(quick)

test-engines: rust setup ## run all integration tests on this machine's Engine, and on others that it brings: an hour
	@scripts/test-engines

test-vm: rust setup ## run them in a virtual machine (cgroup v2, systemd, AppArmor), and outside it as with Docker Desktop
	@scripts/test-vm

test-arm64: rust setup ## run some of them in a virtual machine with an arm64 kernel, cross-compiled
	@scripts/test-arm64

test-kubernetes: rust setup ## try the server on a Kubernetes cluster of this machine's own (docs/kubernetes.md)
	@scripts/test-kubernetes

cluster: setup ## try the Kubernetes cluster of scripts/cluster-lab and its faults (docs/kubernetes-lab.md)
	@scripts/test-cluster-lab

clients: rust setup ## try real clients (Python, LangChain, curl, the MCP Inspector, the conformance suite) with the server
	@scripts/setup-clients
	cargo test --workspace --all-features --locked --test integration -- clients:: conformance::

bench: rust setup ## measure
	cargo bench --locked --bench stdio --bench files --bench pace
	cargo build --release --locked --bin casemate
	@scripts/bench-http

lint: rust ## check format, lints and documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	cargo check --workspace --locked
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --locked

bench-egress: rust setup ## measure connections by egress rules, in a release build
	cargo test --release --workspace --locked --test integration -- --ignored --nocapture --test-threads 1 egress::figures

clean-engine: ## remove Casemate's containers and prepared images, and its volumes after a question (YES=1: without)
	@scripts/clean-engine

rust:
	@source scripts/lib.sh; need_rust
