# make demo   see windlass at work, on real parts, in one command
# make test   everything that must be true before something lands
# make help   the rest
.DEFAULT_GOAL := help
SHELL := /bin/bash

## demo: install what is missing, bring the lab up, and show a release, a failed one, and the way back
.PHONY: demo
demo: setup
	@tests/demo

## test: the same set-up, then format, lints, unit tests and the end-to-end tests on the lab
.PHONY: test
test: setup
	@tests/run

## check: format, lints and unit tests only; needs no lab
.PHONY: check
check:
	@tests/run check

## bench: how long a release takes beside kubectl, Helm and a bare client, on the lab's fake nodes
.PHONY: bench
bench: setup
	@eval "$$(tests/lab/lab env)" && cargo test --locked --release --test speed -- --ignored --nocapture

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
