# Two commands do everything: `make demo` runs the main job, `make test` runs the tests.
# Both install what they need into .venv first; nothing outside this folder is changed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install dev systems demo test check proof clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## outlast into .venv, from PyPI alone

dev: $(VENV)/.dev ## the same with the developers' tools

$(VENV)/.installed: pyproject.toml
	@sh tools/venv.sh $(PYTHON) $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@$(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 -e '.[dev]'
	@touch $@

systems: ## the Debian programs that some systems and routes need; as root, starts none of them
	@sh tools/systems.sh

demo: install ## cut the power of a primary and say what was lost
	@$(BIN)/outlast drill primary-power-off

check: dev ## format, lint, types, import contracts, unit tests: under a minute
	@$(BIN)/ruff format --check --quiet src tests benchmarks
	@$(BIN)/ruff check --quiet src tests benchmarks
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/pytest -q -n 2 tests/unit tests/tidy

# What fails on real clusters is tried once more, on fresh ones, and both results are printed: the machines are shared.
AGAIN = { echo "== failed above; tried once more:"; $(BIN)/pytest -q --last-failed --last-failed-no-failures none

# What has no lab runs on both cores, and so do the kills at random moments: one lab's death must not touch another.
# All other labs come one after another.
ALONGSIDE := tests/contract/raftlog tests/contract/pages/test_report_page.py tests/e2e/test_nothing_left.py
BOTH_CORES := -m "not slow" tests/negative tests/sim $(ALONGSIDE)
ONE_BY_ONE := -m "not slow" $(ALONGSIDE:%=--ignore=%) tests/contract tests/drills tests/e2e

test: check ## all tests, real clusters included
	@$(BIN)/pytest -q -n 2 $(BOTH_CORES) || $(AGAIN) $(BOTH_CORES); }
	@$(BIN)/pytest -q --durations=15 $(ONE_BY_ONE) || $(AGAIN) $(ONE_BY_ONE); }

proof: dev ## what takes longer: drills of known verdict, 200 kills at random moments
	@$(BIN)/pytest -q -m slow tests/contract tests/drills tests/e2e
	@$(BIN)/pytest -q tests/proof
	@OUTLAST_KILLS=200 $(BIN)/pytest -q tests/e2e/test_nothing_left.py

clean: ## remove labs, then the virtual environment
	@if [ -x $(BIN)/outlast ]; then $(BIN)/outlast down --all; fi
	@rm -rf $(VENV)
