# Two commands do everything: `make demo` runs the main job, `make test` runs the tests.
# Both install what they need into .venv first; nothing outside this folder is changed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install dev systems demo test check proof flakes dist clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## outlast with all extras into .venv, from PyPI alone

dev: $(VENV)/.dev ## the same with the developers' tools

$(VENV)/.installed: pyproject.toml
	@sh tools/venv.sh $(PYTHON) $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 -e '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@$(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 -e '.[dev]'
	@touch $@

systems: ## the Debian programs that some systems and routes need; as root, starts none of them
	@sh tools/systems.sh

demo: install ## cut the power of a primary and say what was lost
	@$(BIN)/outlast drill primary-power-off

LOG    := $(VENV)/tests.jsonl
PYTEST := OUTLAST_TESTS_LOG=$(LOG) $(BIN)/pytest -q

check: dev ## format, lint, types, import contracts, unit tests: under a minute
	@$(BIN)/ruff format --check --quiet src tests benchmarks
	@$(BIN)/ruff check --quiet src tests benchmarks
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@rm -f $(LOG)
	@$(PYTEST) -n 2 tests/unit tests/tidy

# A lab idles at 1 % of a core, so several are up at once. What measures time has the machine to itself, afterwards.
AT_ONCE ?= 3
REAL    := tests/negative tests/sim tests/oracle tests/contract tests/drills tests/e2e

test: check ## all tests, real clusters included
	@failed=0; \
	$(PYTEST) -n $(AT_ONCE) --dist loadgroup -m "not slow and not alone" $(REAL) || failed=1; \
	$(PYTEST) -m "alone and not slow" $(REAL) || failed=1; \
	$(BIN)/python tests/support/record.py $(LOG) || failed=1; \
	exit $$failed

proof: dev ## what takes longer: drills of known verdict, 100,000 histories a model, 200 kills at random moments
	@$(BIN)/pytest -q -m slow tests/contract tests/drills tests/e2e
	@$(BIN)/pytest -q tests/proof
	@OUTLAST_ORACLE_HISTORIES=100000 $(BIN)/pytest -q -n 2 tests/oracle
	@OUTLAST_KILLS=200 $(BIN)/pytest -q tests/e2e/test_nothing_left.py

flakes: dev ## repeat a test and give its rate of failure: make flakes TEST=tests/…::test_name N=50
	@$(BIN)/python tests/support/flakes.py "$(TEST)" $(or $(N),20)

dist: dev ## sdist and wheel into dist/, checked
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . >/dev/null
	@$(BIN)/twine check --strict dist/*

clean: ## remove labs, then the virtual environment
	@if [ -x $(BIN)/outlast ]; then $(BIN)/outlast down --all; fi
	@rm -rf $(VENV)
