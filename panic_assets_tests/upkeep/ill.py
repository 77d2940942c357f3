"""What the doctor's tests share: a healthy laboratory of every kind of run, made once by the real stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from panic_assets.clustering.density import Parameters
from panic_assets.clustering.stage import cluster_lake
from panic_assets.devices.local import LocalDevice
from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.dynamics.stage import analyse
from panic_assets.experiment import Experiment
from panic_assets.lake import TABLES, Lake
from panic_assets.lake.catalog import build_catalog
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.planning import resolve_models
from panic_assets.topology.distance_stage import relate_experiment
from panic_assets.topology.stage import persist_experiment
from panic_assets_tests.loop.parts import content, experiment, plain_pool, registry, run

NAME = "small"
BOTH = ["DummyText", "DummyVision"]
_FEW = {"states": 3}
#: Tables whose rows a run makes again just as they were; what analyses find follows from these.
COMPARED = (
    *("experiments", "prompts", "runs", "invocations", "images", "outcomes", "embeddings"),
    *("persistence_diagrams", "persistence_features", "diagram_distances", "dynamics", "run_statistics", "curves"),
)
_SHARED = ("clusterings", "clusters", "cluster_assignments")


def asked(**values: Any) -> Experiment:
    """Runs that end in a cycle, at their length, seeded and not, and that fail at once ("cave")."""
    return experiment(
        **{
            "networks": [["DummyT2I", "DummyI2T"], ["DummyT2T"]],
            "prompts": [{"text": "a boat", "tags": {"kind": "thing"}}, "a hill", "a cave"],
            "seeds": [7, -1],
            "models": {
                "DummyT2I": {"parameters": {"side": 8, "fail_on": "cave"} | _FEW},
                "DummyI2T": {"parameters": _FEW},
            },
            "embedding_models": BOTH,
        }
        | values
    )


def work(data: Path, one: Experiment, analyses: bool = True) -> Lake:
    """All stages, as the job runs them."""
    lake = Lake(data / "lake")
    path = data / "experiments" / f"{one.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(one.config))
    run(lake, one)
    embed_experiment(lake, one, resolve_models(one, registry()), [LocalDevice(plain_pool())])
    persist_experiment(lake, one.name)
    relate_experiment(lake, one.name)
    cluster_lake(lake, Parameters(floor=2, min_samples=2))
    for analysis in ANALYSES if analyses else ():
        analyse(lake, one.name, analysis)
    build_catalog(lake.root, data / "catalog.duckdb")
    return lake


def contents(lake: Lake, name: str = NAME, tables: tuple[str, ...] = COMPARED) -> dict[str, list[dict[str, Any]]]:
    """Rows of the tables that a run makes again, and of the clusters."""
    found = {table: content(lake, table, name, ("seconds",)) for table in tables}
    return found | {table: _without_times(lake, table) for table in _SHARED}


def _without_times(lake: Lake, table: str) -> list[dict[str, Any]]:
    rows = lake.read(table).to_pylist()
    return [{key: value for key, value in row.items() if key != "created_at"} for row in rows]


def rewritten(lake: Lake, table: str, how: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Change rows behind the back of the stages, by an ordinary commit."""
    key = NAME if TABLES[table].partitioned else None
    rows = how(lake.read(table, key).to_pylist())
    with lake.writer(table, key) as writer:
        writer.replace(rows, {})
        writer.commit()


def parts(lake: Lake, table: str) -> list[Path]:
    """Files of the partition, as its manifest lists them."""
    key = NAME if TABLES[table].partitioned else None
    manifest = lake.manifest(table, key)
    return [lake.folder(table, key) / part.file for part in manifest.parts] if manifest else []


def rows_everywhere(lake: Lake) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(table, key) of every row that the lake shows."""
    for name, spec in TABLES.items():
        for row in lake.read(name, columns=list(spec.key)).to_pylist():
            yield name, tuple(row.values())
