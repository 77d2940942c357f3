"""Where things lie: the data directory and what is in it.

Here belong names of places, nothing that opens them.
"""

from __future__ import annotations

import os
from pathlib import Path

DATA_VARIABLE = "PANIC_DATA"


def data_dir() -> Path:
    """The data directory: ``$PANIC_DATA``, or ``data`` under the working directory. Absolute."""
    return Path(os.environ.get(DATA_VARIABLE, "data")).absolute()


def lake_dir() -> Path:
    """Root of the lake's tables."""
    return data_dir() / "lake"


def catalog_path() -> Path:
    """The DuckDB file of views over the lake."""
    return data_dir() / "catalog.duckdb"


def cache_dir() -> Path:
    """Disposable files: anything here can be deleted and is made again."""
    return data_dir() / "cache"


def experiments_dir() -> Path:
    """The experiment files."""
    return data_dir() / "experiments"


def studies_dir() -> Path:
    """The study files."""
    return data_dir() / "studies"


def training_dir() -> Path:
    """What studies make while they train: their state, their checkpoints, and the store of their events."""
    return data_dir() / "training"


def mlflow_dir() -> Path:
    """MLflow's own database and artifacts, where no server is named."""
    return data_dir() / "mlflow"


def project_dir() -> Path:
    """The checkout that holds this package: where the bundled models and ``dagster.yaml`` lie."""
    return Path(__file__).parent.parent
