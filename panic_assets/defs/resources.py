"""What is injected into assets: the lake, the experiment files, warm models.

Here belongs turning configuration into the plain objects of other rooms; no science.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import PrivateAttr

from panic_assets import paths
from panic_assets.files import ExperimentFiles
from panic_assets.lake import Lake

if TYPE_CHECKING:
    from panic_assets.experiment import Experiment
    from panic_assets.models.entry import ModelEntry
    from panic_assets.models.pool import ModelPool
    from panic_assets.models.registry import Registry


class Laboratory(dg.ConfigurableResource):
    """The data directory and what is in it. Empty ``data`` means ``$PANIC_DATA``, else ``data`` where Dagster runs.

    ``seconds_per_diagram``: processor time that one attempt at a persistence diagram may take; None for no limit.
    """

    data: str = ""
    seconds_per_diagram: float | None = 60.0

    @property
    def root(self) -> Path:
        """The data directory."""
        return Path(self.data).absolute() if self.data else paths.data_dir()

    @property
    def lake(self) -> Lake:
        """The lake of that directory."""
        return Lake(self.root / "lake")

    @property
    def files(self) -> ExperimentFiles:
        """Its experiment files."""
        return ExperimentFiles(self.root / "experiments")

    @property
    def catalog(self) -> Path:
        """Where the DuckDB catalog goes."""
        return self.root / "catalog.duckdb"


class Models(dg.ConfigurableResource):
    """The registry and the models that are loaded; they stay loaded as long as the process that runs the steps."""

    device: str = "auto"
    capacity_gb: float | None = None
    registry_file: str | None = None

    _pool: ModelPool | None = PrivateAttr(default=None)

    @property
    def registry(self) -> Registry:
        """All models that exist."""
        from panic_assets.models.registry import load_registry

        return load_registry(Path(self.registry_file) if self.registry_file else None)

    @property
    def pool(self) -> ModelPool:
        """The loaded models."""
        from panic_assets.models.pool import ModelPool

        if self._pool is None:
            self._pool = ModelPool(self.device, self.capacity_gb)
        return self._pool

    def resolve(self, experiment: Experiment) -> dict[str, ModelEntry]:
        """Check an experiment against the registry; the entries of its models with its overrides.

        Raises:
            ExperimentError: the experiment can't be run as written.
        """
        from panic_assets.loop.planning import resolve_models

        experiment.check(self.registry)
        return resolve_models(experiment, self.registry)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Give the memory back when the run is over."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
