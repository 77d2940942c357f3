"""What is injected into assets: the lake, the experiment files, warm models.

Here belongs turning configuration into the plain objects of other rooms; no science.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import PrivateAttr

from panic_assets import paths
from panic_assets.defs.alive import hold, let_go
from panic_assets.errors import PanicError
from panic_assets.files import ExperimentFiles
from panic_assets.lake import Lake

if TYPE_CHECKING:
    from panic_assets.devices.base import Device
    from panic_assets.devices.fleet import Fleet
    from panic_assets.devices.known import KnownFacts
    from panic_assets.experiment import Experiment
    from panic_assets.models.entry import ModelEntry
    from panic_assets.models.registry import Registry


DEVICES_VARIABLE, LANES_VARIABLE = "PANIC_DEVICES", "PANIC_LANES"


class Laboratory(dg.ConfigurableResource):
    """The data directory and what is in it. Empty ``data`` means ``$PANIC_DATA``, else ``data`` where Dagster runs.

    ``seconds_per_diagram``: processor time that one attempt at a persistence diagram may take; None for no limit.
    """

    data: str = ""
    seconds_per_diagram: float | None = 60.0

    _lock: int | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Hold the lock of the run, by which others see that its process lives; every step needs this resource."""
        if context.run is not None and context.instance is not None:
            self._lock = hold(context.instance, context.run.run_id)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Give the lock back."""
        if self._lock is not None and context.run is not None and context.instance is not None:
            let_go(context.instance, context.run.run_id, self._lock)
            self._lock = None

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
    def facts(self) -> KnownFacts:
        """What is remembered of models on devices: batch sizes that fit, seconds."""
        from panic_assets.devices.known import KnownFacts

        return KnownFacts(self.root / "cache" / "devices.json")

    @property
    def catalog(self) -> Path:
        """Where the DuckDB catalog goes."""
        return self.root / "catalog.duckdb"


class Models(dg.ConfigurableResource):
    """The registry and the devices that models are loaded on; they stay loaded as long as this process runs steps.

    ``devices`` says where models compute (see `panic_assets.devices.fleet`): empty means ``$PANIC_DEVICES``, else
    ``auto``. ``capacity_gb`` bounds what is loaded on each device. ``lanes`` calls are made at once on each, of models
    that share no weights: with 2, a captioner computes beside a generator; empty means ``$PANIC_LANES``, else 1.
    """

    devices: str = ""
    capacity_gb: float | None = None
    lanes: int | None = None
    registry_file: str | None = None

    _fleet: Fleet | None = PrivateAttr(default=None)

    @property
    def registry(self) -> Registry:
        """All models that exist."""
        from panic_assets.models.registry import load_registry

        return load_registry(Path(self.registry_file) if self.registry_file else None)

    @property
    def opened(self) -> list[Device]:
        """The devices, opened when they are first asked for."""
        from panic_assets.devices.fleet import open_devices

        if self._fleet is None:
            spec = self.devices or os.environ.get(DEVICES_VARIABLE) or "auto"
            asked = os.environ.get(LANES_VARIABLE, "")
            if asked and not asked.isdecimal():
                raise PanicError(f"{LANES_VARIABLE}: {asked!r} is not a whole number; give 1 or more, or unset it")
            lanes = self.lanes or (int(asked) if asked else None)
            self._fleet = open_devices(spec, capacity_gb=self.capacity_gb, lanes=lanes)
        return self._fleet.devices

    def resolve(self, experiment: Experiment) -> dict[str, ModelEntry]:
        """Check an experiment against the registry; the entries of its models with its overrides.

        Raises:
            ExperimentError: the experiment can't be run as written.
        """
        from panic_assets.loop.planning import resolve_models

        experiment.check(self.registry)
        return resolve_models(experiment, self.registry)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Give the devices back when the run is over."""
        if self._fleet is not None:
            self._fleet.close()
            self._fleet = None
