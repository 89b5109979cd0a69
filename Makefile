# Every target makes its own environment: nothing but Python 3.11 or newer, make and git is needed.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/options-bt run

.DEFAULT_GOAL := help
.PHONY: help setup grid delta dte walk-forward quick test lint bench bench-growth bench-dolt scale-out mutations peer \
	thinning null-study clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

setup: .venv/.installed ## make .venv with options-bt and what its tests need

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "options-bt needs Python 3.11 or newer; name one: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dask,report,test]'
	@touch $@

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

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test: lint ## lint, types and tests
	@$(BIN)/pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

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
