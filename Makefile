# make demo   see windlass at work, on real parts, in one command
# make test   everything that must be true before something lands
# make help   the rest
.DEFAULT_GOAL := help
SHELL := /bin/bash

## demo: install what is missing, bring a part of the lab up, and show a release, a failed one, and the way back
.PHONY: demo
demo: export PARTS = docker,registry,images,real,ingress
demo: setup
	@tests/demo

## test: the whole lab, then format, lints, unit tests and the end-to-end tests on the lab
.PHONY: test
test: setup
	@tests/run

## check: format, lints and unit tests only; needs no lab
.PHONY: check
check:
	@tests/run check

## nightly: what takes too long for every commit: a kill at every request, the oldest Kubernetes, more hostile inputs
.PHONY: nightly
nightly: setup
	@tests/run nightly

## bench: time, memory and requests beside kubectl, Helm and a bare client, on the lab: writes docs/performance.md
.PHONY: bench
bench: setup
	@tests/bench

## dist: what is released: static binaries for x86_64 and aarch64, Debian packages, manual pages, completions, checksums
.PHONY: dist
dist:
	@scripts/dist

## fuzz: hostile inputs for all that is read from outside, SECONDS (60) for each reader; READERS=dumps for one
SECONDS ?= 60
.PHONY: fuzz
fuzz:
	@rustup component add llvm-tools >/dev/null 2>&1 || echo "without llvm-tools: no coverage is shown"
	@LLVM_PROFILE_FILE=/dev/null RUSTC_WORKSPACE_WRAPPER="$(CURDIR)/tests/fuzz/rustc" cargo test --locked --profile fuzz --test fuzz -- $(READERS) \
		--seconds $(SECONDS)

## up: start the lab (PARTS=docker,registry starts only these and what they need)
.PHONY: up
up:
	@tests/lab/lab up $(PARTS)

## down: stop the lab and leave nothing behind but the cache of what was built
.PHONY: down
down:
	@tests/lab/lab down

## env: shell exports for the lab: eval "$$(make -s env)"
.PHONY: env
env:
	@tests/lab/lab env

## lab-status: which parts of the lab run
.PHONY: lab-status
lab-status:
	@tests/lab/lab status

## lab-selftest: kill the lab with SIGKILL, bring it back, check that a pod starts
.PHONY: lab-selftest
lab-selftest:
	@tests/lab/lab selftest

## clean-cache: remove what the lab has built
.PHONY: clean-cache
clean-cache:
	rm -rf "$${WINDLASS_LAB_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/windlass-lab}"

.PHONY: setup
setup:
	@tests/setup

## help: this list
.PHONY: help
help:
	@sed -n 's/^## \([a-z-]*\): \(.*\)/\1@\2/p' $(MAKEFILE_LIST) | sed 's/\$$\$$/$$/' | column -t -s@
