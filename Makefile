# What a contributor and CI run. Every target sets up what it needs; nothing has to be done by hand before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# What needs no engine, no hosts and no installation; it runs on all processors.
FAST := not gpu and not rehearsal and not hosts and not contract and not calibration and not install
# What measures, and so has the machine to itself. The rest waits for hosts most of the time: two at once.
ALONE := rehearsal or calibration or install

export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: haproxy help up down test test-fast check format golden schemas lock engine-lock engine-flags bench bench-hosts bench-loadgen calibration clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

up: $(VENV)/.runtime ## Rehearse the whole road on this machine: plan, provision, serve, load-test, report
	$(BIN)/deploykit up

down: $(VENV)/.runtime ## Stop what `make up` started
	$(BIN)/deploykit down

test: $(VENV)/.dev haproxy ## All tests but those that need a GPU; the rehearsal tests run real vLLM
	$(PYTEST) -n auto -m "$(FAST)"
	$(PYTEST) -m "$(ALONE)"
	$(PYTEST) -n 2 --dist loadfile -m "not gpu and not ($(FAST)) and not ($(ALONE))"

test-fast: $(VENV)/.dev haproxy ## The tests that take seconds
	$(PYTEST) -n auto -m "$(FAST)"

check: $(VENV)/.dev ## Linters and types, as CI runs them first
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	ANSIBLE_CONFIG=$(CURDIR)/playbooks/ansible.cfg $(BIN)/ansible-lint --offline --strict playbooks

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(VENV)/.dev ## Rewrite the golden files; the diff is the review
	$(PYTEST) -m "$(FAST)" --update-golden -q
	$(BIN)/python scripts/fit_table.py
	$(BIN)/python scripts/dashboard.py

schemas: $(VENV)/.dev ## Rewrite the JSON Schemas of profiles/ and deploykit.yaml
	$(BIN)/python scripts/schemas.py

lock: $(VENV)/.dev ## Lock the dependencies with hashes, for every supported Python and system
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -q -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -q -o requirements-dev.lock

engine-lock: $(VENV)/.dev ## Lock the CPU engine's environment with hashes
	UV=$(BIN)/uv sh scripts/engine_lock.sh

engine-flags: ## Dump the flag table from an engine's own parser: ENGINE=path/to/bin/python MINOR=0.32
	$(ENGINE) scripts/engine_flags.py profiles/engines/vllm-$(or $(MINOR),0.32).flags.json

bench: $(VENV)/.dev ## Measure start-up times (method: benchmarks/README.md)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/planning.py

bench-hosts: $(VENV)/.dev ## Measure `up` on 1 to 8 hosts of the tests (root; minutes; method: benchmarks/README.md)
	$(BIN)/python benchmarks/provision.py

bench-loadgen: $(VENV)/.dev ## Compare load generators side by side: VLLM=path/to/bin/python (minutes; method: benchmarks/README.md)
	PYTHONPATH=$(CURDIR) $(BIN)/python benchmarks/loadgen/compare.py $(if $(VLLM),--vllm $(VLLM))

calibration: $(VENV)/.dev ## Fit the predictions' coefficients to measured points again (method: benchmarks/calibration/README.md)
	$(BIN)/python benchmarks/calibration/calibrate.py

clean: ## Remove what the targets above made in this folder
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The gateway's tests run it. CI fails without it; elsewhere they are skipped and say so.
haproxy:
	@PATH="$$PATH:/usr/sbin"; command -v haproxy >/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -q && apt-get install -y -q --no-install-recommends haproxy; } \
	  || echo "haproxy is not installed: the gateway's tests are skipped"

# --- setup ---------------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 14)))' \
	  || { echo "deploykit needs Python 3.11, 3.12 or 3.13; set PYTHON=python3.12 or the like"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements-dev.lock
	$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@ $(VENV)/.runtime
