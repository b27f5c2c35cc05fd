# What a person types. Each target finds or makes what it needs; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Named, because Ansible passes over an ansible.cfg in a directory that others may write to, as under WSL's /mnt/c.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help setup demo demo-tunnel demo-down test lint unit sanity molecule bench clean

help: ## list what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv with Ansible and the test tools
	@tools/bootstrap.sh

demo: setup ## build a stand-in host, provision the whole stack on it, verify it, say where to look
	@tools/demo.sh up

demo-tunnel: setup ## open the demo's four addresses on this machine until Ctrl+C
	@tools/demo.sh tunnel

demo-down: setup ## remove every trace of the demo, its images and caches too
	@tools/demo.sh down

test: setup ## run every test: lint, unit, sanity, molecule
	@tools/test.sh

lint: setup ## check the style and types of everything
	ansible-lint
	yamllint --strict .
	ruff check
	mypy collections/ansible_collections/coinpilot/ops/plugins
	MYPYPATH=tests/stand_in:tests/host:tests/sample_app mypy --python-version 3.12 --ignore-missing-imports \
	    tests/stand_in tests/host tests/bench tests/sample_app tools
	shellcheck --external-sources $$(git ls-files '*.sh') .ci/run tests/stand_in/images/host/stand-in-init
	antsibull-changelog lint

unit: setup ## run the unit tests
	@tools/promtool.sh
	pytest tests/unit --numprocesses auto --junit-xml .cache/junit/unit.xml

sanity: setup ## run ansible-test sanity on a copy of the tracked files
	@tools/sanity.sh

molecule: setup ## provision a stand-in host from bare and test it from outside
	@tools/molecule.sh

bench: setup ## measure what a person waits for, each beside its floor
	@tools/engine.sh
	@tests/sample_app/fetch_wheels.sh $(CURDIR)/.venv/bin/python
	@.venv/bin/python tests/bench/bench.py $(ARGS)

clean: demo-down ## remove the demo, .venv and all caches of this checkout
	@rm -rf .venv .cache
