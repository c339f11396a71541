# Everything a person does with this repository. `make help` lists the targets.
# PYTHON chooses the interpreter of the environment, VENV where it lies: make test PYTHON=python3.13 VENV=.venv313

VENV ?= .venv
SEEDS ?= 10000
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CYCLES ?= 20
MINUTES ?=
SEED ?= 1
KINDS ?=
FAULTS ?= yes
# Most tests of processes wait for something: more at once than there are processors.
JOBS ?= 4
PACKAGES := definitions/hedgerow workers/hedgerow_workers scheduler/hedgerow_scheduler
# Alembic runs its migration scripts in an environment of its own; they can't be imported for doctests.
PYTEST := $(BIN)/python -m pytest --doctest-modules --ignore-glob='*/metadata/migrations/*'

.DEFAULT_GOAL := help
.PHONY: help demo dev test acceptance simulate chaos chaos-celery soak check bench bench-planner bench-reaction lint types types-all unit docs constraints wheel clean

help:  ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(STAMP)  ## Set everything up and run the whole example: three teams, a year of flights.
	$(BIN)/python deploy/example/demo.py

dev: $(STAMP)  ## Run the example platform until Ctrl-C, reloading a team when its code changes.
	$(BIN)/python deploy/example/environments.py
	$(BIN)/hedgerow dev deploy/example

test: $(STAMP)  ## Run every test but the acceptance runs and the benchmarks.
	$(PYTEST) -n $(JOBS) --dist loadfile $(PACKAGES) tests --ignore=tests/acceptance --ignore=tests/benchmarks --ignore=tests/support

acceptance: $(STAMP)  ## Run what takes minutes: fair shares, rates and deploys on real processes, and the demo.
	$(PYTEST) tests/acceptance -s --timeout 900

# With the servers of Debian instead of the embedded ones (apt-get install redis-server postgresql):
# make chaos REDIS_SERVER=/usr/bin/redis-server POSTGRES_BIN=/usr/lib/postgresql/15/bin
chaos: $(STAMP)  ## Kill, freeze and cut off real processes: make chaos CYCLES=20 (or MINUTES=60) SEED=1 KINDS=worker_killed,valkey_flushed
	PYTHONPATH=tests $(BIN)/python -m chaos --cycles $(CYCLES) $(if $(MINUTES),--minutes $(MINUTES)) --seed $(SEED) --kinds "$(KINDS)"

chaos-celery: $(STAMP)  ## The same faults on plain Celery, to compare.
	PYTHONPATH=tests $(BIN)/python -m chaos.plain --cycles $(CYCLES) --seed $(SEED) --kinds "$(KINDS)"

soak: $(STAMP)  ## Full load for long, and see that nothing grows: make soak MINUTES=30 SEED=1 FAULTS=no
	PYTHONPATH=tests $(BIN)/python -m chaos.soak --minutes $(or $(MINUTES),30) --seed $(SEED) $(if $(filter no,$(FAULTS)),--no-faults)

simulate: $(STAMP)  ## Live through SEEDS worlds in which all kinds of things fail, and see that planted defects are noticed.
	$(BIN)/python tests/simulation/simulate.py --seeds $(SEEDS)

check: lint types unit  ## Format, lint, types, import contracts, doctests, unit and architecture tests.

bench: $(STAMP)  ## Measure against plain Celery on this machine.
	$(BIN)/python tests/benchmarks/bench.py

DAGSTER := build/dagster
bench-planner: $(STAMP) $(DAGSTER)/bin/dagster  ## Measure what conditions of 100,000 assets cost, beside Dagster's evaluation of 1,000.
	$(BIN)/python tests/benchmarks/planner.py --dagster $(DAGSTER)/bin/python

bench-reaction: $(STAMP)  ## Measure how soon conditions answer what happens, beside 50,000 assets.
	$(BIN)/python tests/benchmarks/reaction.py

$(DAGSTER)/bin/dagster:
	$(PYTHON) -m venv $(DAGSTER)
	$(DAGSTER)/bin/python -m pip install --quiet dagster

lint: $(STAMP)  ## Format, lint, import contracts.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(STAMP)  ## mypy, strict, for the oldest Python that we support.
	$(BIN)/mypy

types-all: $(STAMP)  ## The same for every Python that we support.
	for version in 3.11 3.12 3.13 3.14; do $(BIN)/mypy --python-version $$version || exit 1; done

unit: $(STAMP)  ## Doctests, unit and architecture tests.
	$(PYTEST) $(PACKAGES) tests/unit tests/architecture

docs: $(STAMP)  ## Write the reference pages that are made from the code.
	$(BIN)/python docs/reference/generate.py

wheel: $(STAMP)  ## Build the wheel into dist/.
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

constraints:  ## Pin the newest versions that fit pyproject.toml, in a fresh environment; then run `make test`.
	$(if $(PYTHON),,$(error $(NO_PYTHON)))
	rm -rf build/constraints && $(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet -e '.[dev]'
	build/constraints/bin/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+$$' | LC_ALL=C sort -f > constraints.txt
	rm -rf build/constraints

clean:  ## Remove the environment, caches and build results; data under .hedgerow/ stays.
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(PACKAGES) tests deploy -name __pycache__ -type d -prune -exec rm -rf {} +

define NO_PYTHON
No Python of at least 3.11 with venv was found. Install one (Debian: python3 and python3-venv), or name it: make PYTHON=/path/to/python3.12
endef

$(STAMP): pyproject.toml constraints.txt
	$(if $(PYTHON),,$(error $(NO_PYTHON)))
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
