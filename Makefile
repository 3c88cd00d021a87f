# Two commands do all the set-up: `make demo` shows the product, `make test` proves it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check format bench soak screenshots docs lock clean

NEWEST_FIRST := python3 python3.14 python3.13 python3.12 python3.11
PYTHON ?= $(shell for name in $(NEWEST_FIRST); do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
MINUTES ?= 10
SEED ?=

help:
	@echo "make demo         start everything with sample campaigns and made-up contacts (ARGS=--reset starts over)"
	@echo "make setup        create $(VENV); afterwards $(BIN)/notifier works"
	@echo "make test         run all tests with coverage, one process a core (ARGS='tests/domain -x' picks some, without)"
	@echo "make check        format, lint, types, floors, known vulnerabilities"
	@echo "make format       put code into the house's form"
	@echo "make bench        measure; needs Debian's postfix for the mail numbers"
	@echo "make soak         break a running installation at random for MINUTES=10, then compare its books (SEED=, ARGS=--workers 4)"
	@echo "make screenshots  photograph every page of a running demo into screenshots/; needs Debian's chromium"
	@echo "make docs         write docs/settings.md from the settings"
	@echo "make lock         pin the dependencies again; needs uv"
	@echo "make clean        remove $(VENV) and everything that was built; data in .notifier stays"

setup: $(VENV)/.installed

demo: setup
	@$(BIN)/notifier demo $(ARGS)

test: setup
	@$(BIN)/pytest -q $(if $(ARGS),$(ARGS),-n auto --dist loadfile --cov --cov-report=term:skip-covered)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python .ci/audit

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	@$(BIN)/python -m benchmarks $(ARGS)

soak: setup
	@$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

screenshots: setup
	@$(BIN)/python -m benchmarks.screenshots $(ARGS)

docs: setup
	$(BIN)/python -m notifier.settings > docs/settings.md

lock:
	@PATH="$(BIN):$$PATH"; command -v uv >/dev/null || { echo "make lock needs uv: $(BIN)/pip install uv" >&2; exit 1; }; \
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet -o requirements.lock

clean:
	rm -rf $(VENV) node_modules dist build notifier/web/assets/vendor .mypy_cache .ruff_cache .pytest_cache .coverage

# A virtual environment from whatever the machine offers: ensurepip (usual), uv, or a pip of its own.
$(BIN)/python:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "Notifier needs Python 3.11 or later. Install one, or name it: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; fi
	@rm -rf $(VENV)
	@if "$(PYTHON)" -c 'import ensurepip' 2>/dev/null; then "$(PYTHON)" -m venv $(VENV); \
	elif command -v uv >/dev/null; then uv venv --quiet --seed --python "$(PYTHON)" $(VENV); \
	elif "$(PYTHON)" -m pip --version >/dev/null 2>&1; then \
		"$(PYTHON)" -m venv --without-pip $(VENV) && "$(PYTHON)" -m pip --quiet --python $(BIN)/python install pip; \
	else echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; fi

$(VENV)/.locked: requirements.lock | $(BIN)/python
	@echo "installing the pinned dependencies into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python .ci/redis
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml hatch_build.py package-lock.json
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
