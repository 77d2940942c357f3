"""Data directories with real experiments of dummy models, and how to compare and judge them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import yaml

from panic_assets.clustering.stage import cluster_lake
from panic_assets.devices.local import LocalDevice
from panic_assets.lake import TABLES, Lake, build_catalog, connect
from panic_assets.lake.rules import RULES, judge
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.engine import run_experiment
from panic_assets.loop.planning import register, resolve_models
from panic_assets.topology.stage import persist_experiment
from panic_assets.upkeep.snapshot import experiments_of
from panic_assets_tests.loop.parts import experiment, plain_pool, registry

#: What an experiment breaks while it is being run.
UNFINISHED = {"every_run_has_an_outcome", "embeddings_are_complete", "every_trajectory_has_its_diagrams"}


def grow(data: Path, name: str, length: int = 12, diagrams: bool = True, file: bool = True) -> None:
    """Run an experiment in a data directory: loops, embeddings, diagrams."""
    lake, device = Lake(data / "lake"), LocalDevice(plain_pool())
    asked = experiment(name=name, max_length=length)
    if file:
        path = data / "experiments" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(asked.config))
    entries = resolve_models(asked, registry())
    run_experiment(lake, asked, register(lake, asked, entries), entries, [device], commit_seconds=0.0)
    embed_experiment(lake, asked, entries, [device])
    if diagrams:
        persist_experiment(lake, name, workers=1)


def laboratory(data: Path, *names: str) -> Lake:
    """A data directory in which these experiments were run and clustered."""
    for name in names:
        grow(data, name)
    lake = Lake(data / "lake")
    cluster_lake(lake)
    build_catalog(lake.root)
    return lake


def copied(data: Path, target: Path) -> Lake:
    shutil.copytree(data, target)
    build_catalog(target / "lake")
    return Lake(target / "lake")


def tables(lake: Lake, *experiments: str) -> dict[str, pa.Table]:
    """All tables of a lake that hold rows, or those of some experiments."""
    read = {
        name: lake.read(name) if not experiments else lake.read(name, where={"experiment": list(experiments)})
        for name, spec in TABLES.items()
        if not experiments or spec.of_experiment
    }
    return {name: table for name, table in read.items() if table.num_rows}


def files(folder: Path, pattern: str = "**/*") -> dict[str, bytes]:
    """Content of all files but locks, by their path."""
    found = (path for path in folder.glob(pattern) if path.is_file() and not path.name.endswith("lock"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def broken(lake: Lake, allowed: set[str] | None = None) -> list[str]:
    """What is wrong with a lake, by its rules and by its files. ``allowed`` rules may be broken."""
    found = []
    names = experiments_of(lake)
    with connect(lake.root) as connection:
        for rule in RULES:
            for name in names if rule.of_experiment else [None]:
                verdict = judge(connection, rule, name)
                if not verdict.holds and rule.name not in (allowed or ()):
                    found.append(f"{name}: {verdict.sentence}")
    for table, key in lake.places():
        found += [problem.message for problem in lake.verify(table, key)]
    return found
