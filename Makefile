# Every target makes its own environment: nothing but Python 3.11 or newer, make and git is needed.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/options-bt run
PIP := -m pip install --quiet --disable-pip-version-check
PYTEST := -m pytest --numprocesses logical --dist loadfile --no-loadscope-reorder
QUICK := -m 'not (slow or long or server or browser)'

.DEFAULT_GOAL := help
.PHONY: help setup constraints grid delta dte walk-forward quick check test test-all test-newest test-lowest lint format \
	bench bench-growth bench-dolt scale-out mutations peer thinning null-study clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

setup: .venv/.installed ## make .venv with options-bt and what its tests need

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "options-bt needs Python 3.11 or newer; name one: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python $(PIP) --constraint constraints.txt --editable '.[dask,report,test,lint]'
	@touch $@

constraints: ## renew constraints.txt with the newest versions that every supported Python can have
	@rm -rf .venv/renewed && $(PYTHON) -m venv .venv/renewed
	@.venv/renewed/bin/python $(PIP) '.[dask,report,test,lint]'
	@{ sed -n '/^#/p' constraints.txt; .venv/renewed/bin/python -m pip freeze --exclude options-bt; } > .venv/constraints.txt
	@mv .venv/constraints.txt constraints.txt

grid: setup ## 4 symbols x 5 deltas x 3 DTE ranges = 60 backtests
	@$(RUN) jobs/grid.yaml

delta: setup ## 4 symbols x 5 deltas = 20 backtests
	@$(RUN) jobs/delta.yaml

dte: setup ## 4 symbols x 4 DTE ranges = 16 backtests
	@$(RUN) jobs/dte.yaml

walk-forward: setup ## 4 symbols x 4 windows x (train, test) x 5 deltas = 160 backtests
	@$(RUN) jobs/walk_forward.yaml

quick: setup ## the grid on the last two years only
	@$(RUN) jobs/grid.yaml --quick

check: lint ## lint, types and the tests that need no server, browser or long run: before each commit
	@$(BIN)/python $(PYTEST) $(QUICK)

test: setup ## the tests, without more of the same
	@$(BIN)/python $(PYTEST) -m 'not long'

test-all: setup ## every test, as CI runs them
	@$(BIN)/python $(PYTEST)

test-newest: ## the quick tests with the newest version of everything
	@$(PYTHON) -m venv .venv/newest
	@.venv/newest/bin/python $(PIP) --upgrade --upgrade-strategy eager --editable '.[dask,report,test]'
	@.venv/newest/bin/python $(PYTEST) $(QUICK)

test-lowest: .venv/uv/bin/uv ## the quick tests with the lowest versions that pyproject.toml allows
	@$(PYTHON) -m venv .venv/lowest
	@$< pip install --quiet --python .venv/lowest --resolution lowest-direct --editable '.[dask,report,test]'
	@.venv/lowest/bin/python $(PYTEST) $(QUICK)

.venv/uv/bin/uv:
	@$(PYTHON) -m venv .venv/uv
	@.venv/uv/bin/python $(PIP) uv

lint: setup ## format, lint, and types for Linux, macOS and Windows
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin --package options_bt
	@$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 --package options_bt

format: setup ## format the code, and fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## measure speed and memory as ratios, and save the table; PEER=... is a Python that has optopsy
	@$(BIN)/python -m benchmarks.bench --peer '$(PEER)'

bench-growth: setup ## measure growth with jobs, symbols, quotes and workers, in about half an hour
	@$(BIN)/python -m benchmarks.growth

bench-dolt: setup ## measure a real Dolt server; FOLDER=... has room for its ten million quotes
	@$(BIN)/python benchmarks/dolt.py $(FOLDER)

scale-out: setup ## measure a Dask cluster against local workers
	@$(BIN)/python -m benchmarks.scale_out

mutations: setup ## put faults into the engine, and see the tests catch them
	@$(BIN)/python benchmarks/mutations.py

thinning: setup ## measure what the gaps of the source do to results
	@$(BIN)/python benchmarks/thinning.py

peer: setup ## compare with optopsy trade by trade; PEER=... is a Python that has it
	@$(BIN)/python -m benchmarks.peer --python '$(PEER)'

null-study: setup ## let every overfitting statistic judge 200 grids that cannot win
	@$(BIN)/python benchmarks/null_study.py

clean: ## remove the environment, not the cache or the runs
	rm -rf .venv
