"""Snapshots: the manifests of an experiment, a study, or of what is made of all, as they were at one moment.

Here belongs the order and the repetition that make them fit each other while writers commit. Copying is elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from panic_assets.lake import TABLES, Lake
from panic_assets.lake.catalog import connect_to
from panic_assets.lake.manifest import Manifest
from panic_assets.lake.rules import RULES, judge
from panic_assets.lake.specs import EXPERIMENT_KEY

#: A writer commits every few seconds, and looking takes milliseconds: so many looks are more than enough.
_LOOKS = 50
State = dict[str, Manifest]


def referring_first() -> list[str]:
    """Names of all tables, each before those that its rows refer to, as far as tables only grow."""
    last = ["outcomes", "events", "invocations", "images", "runs", "prompts", "experiments"]
    return [table for table in reversed(TABLES) if table not in last] + last


def experiments_of(lake: Lake) -> list[str]:
    """Experiments that any table holds rows of, sorted."""
    return sorted({key for name, spec in TABLES.items() if spec.of_experiment for key in lake.experiments(name)})


def studies_of(lake: Lake) -> list[str]:
    """Studies that any table holds rows of, sorted."""
    return sorted({key for name, spec in TABLES.items() if spec.of_study for key in lake.studies(name)})


def state_of(lake: Lake, key: str | None, partition: str = EXPERIMENT_KEY) -> State:
    """Manifests by table, of one experiment or study, or (None) of the tables that are made of all.

    Two looks that see the same say that all manifests were current at the moment between them. Where a writer commits
    faster than that, the order alone sees to it that what a row refers to is there.

    Raises:
        CorruptPart: a manifest is damaged.
    """
    state = _look(lake, key, partition)
    for _ in range(_LOOKS):
        again = _look(lake, key, partition)
        if again == state:
            break
        state = again
    return state


def _look(lake: Lake, key: str | None, partition: str) -> State:
    wanted = partition if key is not None else None
    tables = [name for name in referring_first() if TABLES[name].partition == wanted]
    manifests = ((name, lake.manifest(name, key)) for name in tables)
    return {name: manifest for name, manifest in manifests if manifest is not None}


def clusters_fit(lake: Lake, clusters: State, experiments: dict[str, State]) -> bool:
    """Whether the clusters count and name exactly what these states of the experiments hold.

    They are written in three commits, and after embeddings; between these they don't.
    """
    frozen = _Frozen(lake.root, clusters, experiments)
    try:
        with connect_to(frozen) as connection:
            return all(judge(connection, rule).holds for rule in RULES if rule.partition is None)
    except duckdb.Error:  # a part was removed meanwhile
        return False


class _Frozen(Lake):
    """A lake that tells of given manifests."""

    def __init__(self, root: Path, clusters: State, experiments: dict[str, State]) -> None:
        super().__init__(root)
        self._clusters, self._experiments = clusters, experiments

    def manifests(self, table: str) -> list[tuple[Path, Manifest]]:
        """Folder and manifest of the partitions of a table."""
        if TABLES[table].of_study:
            return []
        if not TABLES[table].partitioned:
            return [(self.folder(table), self._clusters[table])] if table in self._clusters else []
        states = sorted(self._experiments.items())
        return [(self.folder(table, key), state[table]) for key, state in states if table in state]
