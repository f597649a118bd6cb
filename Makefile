# Every target sets up what it needs; `make help` lists them.
PYTHON  ?= python3
REQUIRE ?=
TESTS   ?=
DRILL   ?=
WORKERS ?= 3
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Three workers keep two cores busy: half of a test is waiting. A worker takes over what another has not come to yet.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
SPREAD := -n $(WORKERS) --dist worksteal

export REQUIRE

.PHONY: help install run stop test test-slow bench drill check format lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.run-ready ## set up .venv with what `chat` and `opskit` need

run: install ## put this checkout's commit into service on 127.0.0.1:8000
	@$(BIN)/opskit deploy HEAD --yes

stop: install ## end the service that `make run` started
	@$(BIN)/opskit stop --yes

test: $(VENV)/.dev-ready ## run the tests; REQUIRE=all fails where it would skip; TESTS="-k name" chooses
	@$(PYTEST) $(SPREAD) -m "not slow" $(TESTS)

test-slow: $(VENV)/.dev-ready ## run what `make test` leaves out: load, soak and crash matrices
	@status=0; \
	$(PYTEST) $(SPREAD) -m "slow and not alone" --timeout 900 $(TESTS) || status=1; \
	$(PYTEST) -m "slow and alone" --timeout 900 $(TESTS) || status=1; \
	exit $$status

bench: $(VENV)/.dev-ready ## measure, beside peers; BENCH="fanout durable" chooses
	@$(BIN)/python -m loadtests.bench $(BENCH)

drill: install ## rehearse an incident and its hotfix in a sandbox; DRILL="bad-deploy --practice" chooses
	@$(BIN)/opskit drill $(DRILL)

check: $(VENV)/.dev-ready ## format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(PYTEST) -q tests/test_layers.py

format: $(VENV)/.dev-ready ## format and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(VENV)/.dev-ready ## write both lock files anew from pyproject.toml
	@$(PIP) install uv
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-annotate --no-header --quiet pyproject.toml --extra postgres --extra redis --group build -o requirements.lock
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-annotate --no-header --quiet pyproject.toml --all-extras --group build --group dev -c requirements.lock -o requirements-dev.lock

clean: ## remove .venv and what tools left
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "opskit needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Say which: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "this Python lacks venv. On Debian: sudo apt-get install python3-venv" >&2; exit 2; }
	@echo "setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run-ready: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing what chat and opskit need …"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev-ready: requirements-dev.lock $(VENV)/.run-ready
	@echo "installing what the tests need …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
