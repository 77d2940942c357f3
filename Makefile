# Everything a person types: demo, live, test, dev, lint, bench. Each makes the virtual environment first, if need be.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export DAGSTER_HOME := $(CURDIR)
export PANIC_DATA ?= $(CURDIR)/data
export PANIC_DAGSTER_STATE ?= $(PANIC_DATA)/.dagster
# Settings in dagster.yaml turn telemetry off; without this its empty folders would still be made here.
export DAGSTER_DISABLE_TELEMETRY := 1

.PHONY: demo live test dev lint format bench install clean

demo: install
	$(BIN)/panic run data/experiments/demo.yaml

live: install
	$(BIN)/panic serve --demo

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

dev: install
	@mkdir -p $(PANIC_DAGSTER_STATE)
	$(BIN)/dagster dev -w workspace.yaml

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/pip install --quiet --editable ".[bench]"
	$(BIN)/python -m benchmarks

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable ".[demo,dev,live,onnx,studies]"
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
