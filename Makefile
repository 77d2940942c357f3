# Everything a person types: demo, live, mlflow, test, dev, lint, bench. Each makes its virtual environment if need be.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export DAGSTER_HOME := $(CURDIR)
export PANIC_DATA ?= $(CURDIR)/data
export PANIC_DAGSTER_STATE ?= $(PANIC_DATA)/.dagster
# Settings in dagster.yaml turn telemetry off; without this its empty folders would still be made here.
export DAGSTER_DISABLE_TELEMETRY := 1
# Where it is set, each of the many processes of a run or of the tests would compile the whole package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo live mlflow test dev lint format bench install clean

demo: install
	$(BIN)/panic run data/experiments/demo.yaml

live: install
	$(BIN)/panic serve --demo

# MLflow's pages over data/mlflow. The whole of MLflow wants an older pyarrow than the lake: an environment of its own,
# with the very version that made the database.
MLFLOW_VENV ?= .venv-mlflow
MLFLOW_PORT ?= 5000

mlflow: $(MLFLOW_VENV)/.installed
	@mkdir -p $(PANIC_DATA)/mlflow/artifacts
	MLFLOW_DISABLE_TELEMETRY=true $(MLFLOW_VENV)/bin/mlflow server --host 127.0.0.1 --port $(MLFLOW_PORT) --workers 1 \
		--backend-store-uri sqlite:///$(PANIC_DATA)/mlflow/mlflow.db --default-artifact-root file://$(PANIC_DATA)/mlflow/artifacts

$(MLFLOW_VENV)/.installed: $(VENV)/.installed
	$(PYTHON) -m venv $(MLFLOW_VENV)
	$(MLFLOW_VENV)/bin/pip install --quiet --upgrade pip
	$(MLFLOW_VENV)/bin/pip install --quiet "mlflow==$$($(BIN)/python -c 'from importlib.metadata import version as v; print(v("mlflow-skinny"))')"
	@touch $@

test: install
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

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
	$(BIN)/pip install --quiet --editable ".[demo,dev,live,onnx,studies,codec]"
	@touch $@

clean:
	rm -rf $(VENV) $(MLFLOW_VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
