# Lightswitch: `make run` starts it, `make test` tests it. Both work from a bare clone.

PORT ?= 9000
PYTEST_FLAGS ?=

BIN := .venv/bin
STAMP := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run demo check test test-cgroup2 bench clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1	/'

setup: $(STAMP) ## Create .venv with everything in it

$(STAMP): pyproject.toml deploy/setup.sh
	@sh deploy/setup.sh
	@touch $(STAMP)

run: setup ## Run the whole system in the foreground, with an example function
	@exec $(BIN)/lightswitch up --port $(PORT) --example --stop-with-parent

demo: setup ## An uploaded picture becomes a thumbnail and a message; ends by itself
	@$(BIN)/python -m deploy.demo

check: setup ## Lint, format, types, layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup ## All tests but the benchmarks
	$(BIN)/pytest tests --ignore=tests/benchmarks -n 2 --dist loadfile --session-timeout=1140 $(PYTEST_FLAGS)

test-cgroup2: setup ## The sandbox under control groups version 2, in an emulated machine (needs qemu; minutes)
	@$(BIN)/python -m tests.cgroup2_guest

bench: setup ## Measure against Celery and Dramatiq on this machine
	$(BIN)/python -m tests.benchmarks

clean: ## Remove the environment and what tools left behind
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
