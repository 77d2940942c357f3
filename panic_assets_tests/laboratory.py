"""A small laboratory for tests: experiments of dummy models in a data directory, and the job that runs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from panic_assets.defs.assets import ASSETS
from panic_assets.defs.checks import CHECKS
from panic_assets.defs.resources import Laboratory, Models
from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.lake import Lake

CHAIN = ["runs", "invocations", "embeddings", "persistence_diagrams", "diagram_distances", "clusters", "catalog"]
PARTITIONED = [
    *("runs", "invocations", "images", "outcomes", "embeddings", "persistence_diagrams", "diagram_distances"),
]
#: One asset for each analysis.
ANALYSED = [analysis.name for analysis in ANALYSES]


def content(**values: Any) -> dict[str, Any]:
    """An experiment of small pictures that runs in a moment: two seeded runs that cycle, two unseeded ones."""
    states = {"states": 6}
    given: dict[str, Any] = {
        "networks": [["DummyT2I", "DummyI2T"]],
        "prompts": ["a cat", "a dog"],
        "seeds": [1, -1],
        "max_length": 24,
        "embedding_models": ["DummyText", "DummyVision"],
        "models": {"DummyT2I": {"parameters": {"side": 16} | states}, "DummyI2T": {"parameters": states}},
    } | values
    used = {name for network in given["networks"] for name in network}
    return given | {"models": {name: settings for name, settings in given["models"].items() if name in used}}


def write(data: Path, stem: str, /, **values: Any) -> Path:
    """The experiment's file in a data directory."""
    path = data / "experiments" / f"{stem}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content(**values), sort_keys=False))
    return path


def resources(data: Path) -> dict[str, Any]:
    return {"laboratory": Laboratory(data=str(data)), "models": Models()}


def materialise(
    data: Path,
    instance: dg.DagsterInstance,
    experiment: str,
    selection: Sequence[str] | None = None,
    checks: bool = True,
    raise_on_error: bool = True,
) -> dg.ExecuteInProcessResult:
    """Materialise the graph, or some assets of it, for one experiment."""
    if experiment not in instance.get_dynamic_partitions("experiment"):
        instance.add_dynamic_partitions("experiment", [experiment])
    return dg.materialize(
        [*ASSETS, *CHECKS] if checks else ASSETS,
        instance=instance,
        partition_key=experiment,
        resources=resources(data),
        selection=selection,
        raise_on_error=raise_on_error,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def lake_of(data: Path) -> Lake:
    return Lake(data / "lake")


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Values of the only materialisation of an asset in a run."""
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
    return {name: value.value for name, value in event.materialization.metadata.items()}
