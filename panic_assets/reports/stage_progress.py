"""How far the stages after the loop are: embeddings, persistence diagrams, distances, clusters, analyses.

Here belongs what there is to be done, counted from what the loop has made and is still to make, and what of it is done.
What is to come is counted at most: a run that will end early makes less. No vector and no diagram is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.models.errors import UnknownModel
from panic_assets.models.registry import ModelEntry, Registry
from panic_assets.reports.loop_progress import LoopProgress, RunProgress

#: Tables that `later_stages` reads.
TABLES = ("invocations", "embeddings", "persistence_diagrams", "clusterings", "cluster_assignments")
_DIMENSIONS = 3  # a trajectory has diagrams in so many homology dimensions

_EMBEDDED = """
    SELECT embedding_model, space, count(*) FILTER (sequence_number >= 0), count(*) FILTER (sequence_number < 0)
    FROM embeddings WHERE experiment = $name GROUP BY ALL
"""
_ASSIGNED = """
    SELECT g.embedding_model, g.space, count(*) FROM cluster_assignments a JOIN clusterings g USING (clustering_id)
    WHERE a.experiment = $name GROUP BY ALL
"""
# A diagram counts if it is of all points that its trajectory has now.
_DIAGRAMS = """
    WITH held AS (SELECT run_number, type AS modality, count(*) AS points FROM invocations
                  WHERE experiment = $name GROUP BY ALL),
         made AS (SELECT embedding_model, run_number, modality, max(points) AS points, count(*) AS diagrams
                  FROM persistence_diagrams WHERE experiment = $name GROUP BY ALL)
    SELECT embedding_model, count(*), sum(diagrams)::BIGINT FROM made JOIN held USING (run_number, modality, points)
    GROUP BY ALL
"""


@dataclass(frozen=True)
class Stage:
    """A stage of an experiment; ``of`` is the embedding model where there is one stage for each.

    ``outdated`` are done once, but not of what the lake holds now; they are no part of ``done``.
    """

    name: str
    of: str
    done: int
    total: int
    unit: str
    outdated: int = 0

    @property
    def share(self) -> float:
        """Done over total, 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be done."""
        return self.done >= self.total


def later_stages(
    connection: duckdb.DuckDBPyConnection, lake: Lake, asked: Experiment, loop: LoopProgress, registry: Registry
) -> Iterator[Stage]:
    """Every stage after the loop; ``connection`` shows at least `TABLES`."""
    from panic_assets.loop.embedding import space_of

    name = {"name": asked.name}
    embedded = {(model, space): (out, prompts) for model, space, out, prompts in _rows(connection, _EMBEDDED, name)}
    assigned = {(model, space): count for model, space, count in _rows(connection, _ASSIGNED, name)}
    diagrams = {model: (runs, count) for model, runs, count in _rows(connection, _DIAGRAMS, name)}
    points_done = points_total = trajectories_total = trajectories_done = diagrams_held = 0
    for model, entry in embedders(asked, registry).items():
        points, trajectories = outputs_of(loop, entry, registry), _trajectories(loop, entry, registry)
        prompts = len(loop.runs) if "text" in entry.takes else 0
        made, prompts_made = embedded.get((model, space_of(entry)), (0, 0))
        yield Stage("embeddings", model, made + prompts_made, points + prompts, "vectors")
        points_total += points
        points_done += assigned.get((model, space_of(entry)), 0)
        done, held = diagrams.get(model, (0, 0))
        trajectories_total += trajectories
        trajectories_done += done
        diagrams_held += held
    yield Stage("persistence diagrams", "", trajectories_done, trajectories_total, "trajectories")
    related = lake.properties("diagram_distances", asked.name).get("diagrams", {})
    compared = sum(len(runs) for place, runs in related.items() if place.rsplit("/", 2)[0] in diagrams)
    to_compare = diagrams_held + _DIMENSIONS * (trajectories_total - trajectories_done)
    yield Stage("distances", "", min(compared, to_compare), to_compare, "diagrams compared")
    yield Stage("clusters", "", points_done, points_total, "outputs")
    yield analyses(lake, asked.name)


def analyses(lake: Lake, experiment: str) -> Stage:
    """How many analyses were made of what the lake holds now."""
    from panic_assets.dynamics.analyses import ANALYSES
    from panic_assets.dynamics.stage import is_current

    marks = lake.properties("dynamics", experiment)
    made = [analysis for analysis in ANALYSES if f"analysis:{analysis.name}" in marks]
    current = sum(is_current(lake, experiment, analysis) for analysis in made)
    return Stage("analyses", "", current, len(ANALYSES), "analyses", len(made) - current)


def embedders(asked: Experiment, registry: Registry) -> dict[str, ModelEntry]:
    """The embedding models of an experiment as it has them; those that the registry does not know are left out."""
    found = {}
    for name in asked.embedding_models:
        try:
            found[name] = registry[name].with_overrides(asked.models.get(name, {}))
        except UnknownModel:
            continue
    return found


def _rows(connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, str]) -> list[tuple[Any, ...]]:
    return connection.execute(query, dict(values)).fetchall()


def outputs_of(loop: LoopProgress, entry: ModelEntry, registry: Registry) -> int:
    """Outputs that the model embeds, made and to come."""
    coming: Counter[tuple[tuple[str, ...], int, int]] = Counter()
    count = 0
    for run in loop.runs:
        count += sum(made for medium, made in run.media.items() if medium in entry.takes)
        if run.to_come:
            coming[run.models, run.to_come.start, run.to_come.stop] += 1
    for (ring, start, stop), runs in coming.items():
        for place, name in enumerate(ring):
            if _gives(name, registry) in entry.takes:
                count += runs * len(range(start + (place - start) % len(ring), stop, len(ring)))
    return count


def _trajectories(loop: LoopProgress, entry: ModelEntry, registry: Registry) -> int:
    """Sequences of outputs of one medium that the model embeds, one or two of a run."""
    return sum(len(_media(run, registry) & entry.takes) for run in loop.runs)


def _media(run: RunProgress, registry: Registry) -> set[str | None]:
    """Media of which the run has outputs, or will have."""
    coming = run.to_come[: len(run.models)]
    return {*run.media} | {_gives(run.models[place % len(run.models)], registry) for place in coming}


def _gives(name: str, registry: Registry) -> str | None:
    return registry[name].gives if name in registry else None
