"""The distance stage: table ``diagram_distances`` from the persistence diagrams of a lake.

Here belongs which pairs are to be done and how they become rows; the mathematics is in ``pairwise``. Diagrams are
compared within one embedding model, modality and homology dimension: others have no common unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets.topology.diagram_distances import Bars, bars_of
from panic_assets.topology.pairwise import distances_of_pairs

TABLE = "diagram_distances"
WHOLE_RUNS = 400  # up to here every pair is computed; beyond, as many pairs as these runs have
BOTTLENECK_FROM = 1  # of hundreds of components one bottleneck distance takes milliseconds, of loops a tenth of one
_SEED = 0


@dataclass(frozen=True)
class DistanceSummary:
    """``pairs``: rows of the table; ``computed``: this time; ``sampled``: places where not every pair is in it."""

    pairs: int
    computed: int
    sampled: tuple[str, ...]


class StageError(PanicError):
    """A setting of the stage that makes no sense."""


@dataclass(frozen=True)
class _Place:
    """Diagrams that can be compared, by rising run number."""

    model: str
    modality: str
    dimension: int
    runs: NDArray[np.int64]
    diagrams: list[Bars]

    @property
    def name(self) -> str:
        return f"{self.model}/{self.modality}/{self.dimension}"

    @property
    def where(self) -> dict[str, Any]:
        return {"embedding_model": self.model, "modality": self.modality, "homology_dimension": self.dimension}

    def signatures(self) -> dict[str, str]:
        """Equal exactly for equal diagrams."""
        return {
            str(run): blake2b(bars.content, digest_size=12).hexdigest()
            for run, bars in zip(self.runs, self.diagrams, strict=True)
        }


def relate_experiment(
    lake: Lake,
    experiment: str,
    whole_runs: int = WHOLE_RUNS,
    bottleneck_from: int = BOTTLENECK_FROM,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> DistanceSummary:
    """Bring the distances between the diagrams of an experiment up to date.

    A pair is computed when it is new or one of its diagrams has changed; pairs of runs that are gone are dropped. The
    bottleneck distance is computed from the homology dimension ``bottleneck_from`` on, and null below.

    Of more than ``whole_runs`` runs, a sample of pairs is taken, about as many as that number of runs has. A pair's
    place in it depends on its run numbers and a fixed seed alone, so the sample of a grown experiment keeps most of
    what was computed. The property ``sampled`` names the places with the share of pairs taken.

    Raises:
        StageError: ``whole_runs`` is less than 2.
        LakeError: a table can't be read or written.
    """
    if whole_runs < 2:
        raise StageError(f"whole_runs is {whole_runs}; a pair needs 2")
    places = _places(lake, experiment)
    settings = {"whole_runs": whole_runs, "bottleneck_from": bottleneck_from, "seed": _SEED}
    properties = lake.properties(TABLE, experiment)
    former: dict[str, dict[str, str]] = properties.get("diagrams", {})
    held = former if properties.get("settings") == settings else {}
    shares = {place.name: _share(len(place.runs), whole_runs) for place in places}
    pending = [place for place in places if held.get(place.name) != place.signatures()]
    gone = set(former) - {place.name for place in places}
    computed = 0
    if pending or gone:
        with lake.writer(TABLE, experiment) as writer:
            for name in sorted(gone):
                model, modality, dimension = _split(name)
                writer.replace([], {"embedding_model": model, "modality": modality, "homology_dimension": dimension})
            done = {name: signatures for name, signatures in held.items() if name not in gone}
            writer.set_property("diagrams", done)
            for number, place in enumerate(pending):
                known = _known(lake, experiment, place, held.get(place.name, {}))
                rows, new = _rows(experiment, place, shares[place.name], known, bottleneck_from, workers)
                writer.replace(rows, place.where)
                computed += new
                done = done | {place.name: place.signatures()}
                writer.set_property("settings", settings)
                writer.set_property("diagrams", done)
                writer.set_property("sampled", {name: share for name, share in shares.items() if share < 1})
                writer.commit()  # what is done stays done, whatever happens to the next
                if on_progress:
                    on_progress(number + 1, len(pending))
            writer.commit()
            writer.compact()
    rows_held = lake.read(TABLE, experiment, ["run_a"]).num_rows
    return DistanceSummary(rows_held, computed, tuple(name for name, share in shares.items() if share < 1))


def _places(lake: Lake, experiment: str) -> list[_Place]:
    columns = ["run_number", "embedding_model", "modality", "homology_dimension", "births", "deaths"]
    table = lake.read("persistence_diagrams", experiment, columns)
    found: dict[tuple[str, str, int], list[tuple[int, Bars]]] = {}
    for row in table.to_pylist():
        key = (row["embedding_model"], row["modality"], row["homology_dimension"])
        bars = bars_of(np.stack([np.array(row["births"], float), np.array(row["deaths"], float)], axis=1))
        found.setdefault(key, []).append((row["run_number"], bars))
    places = []
    for key, diagrams in sorted(found.items()):
        diagrams.sort(key=lambda pair: pair[0])
        places.append(_Place(*key, np.array([run for run, _ in diagrams]), [bars for _, bars in diagrams]))
    return places


def _split(name: str) -> tuple[str, str, int]:
    """Take a place's name apart; a model's name may hold slashes."""
    model, modality, dimension = name.rsplit("/", 2)
    return model, modality, int(dimension)


def _share(runs: int, whole_runs: int) -> float:
    """Return the share of pairs that is computed."""
    return 1.0 if runs <= whole_runs else whole_runs * (whole_runs - 1) / (runs * (runs - 1))


def _known(lake: Lake, experiment: str, place: _Place, then: dict[str, str]) -> dict[tuple[int, int], tuple[Any, Any]]:
    """Return the distances in the table that are still true, by run numbers."""
    now = place.signatures()
    same = {int(run) for run, signature in then.items() if now.get(run) == signature}
    if not same:
        return {}
    table = lake.read(TABLE, experiment, ["run_a", "run_b", "wasserstein_1", "bottleneck"], place.where)
    columns = (table.column(name).to_pylist() for name in ("run_a", "run_b", "wasserstein_1", "bottleneck"))
    return {(a, b): (w, n) for a, b, w, n in zip(*columns, strict=True) if a in same and b in same}


def _rows(
    experiment: str,
    place: _Place,
    share: float,
    known: dict[tuple[int, int], tuple[Any, Any]],
    bottleneck_from: int,
    workers: int | None,
) -> tuple[pa.Table | list[dict[str, Any]], int]:
    """Return the rows of one place, and how many pairs were computed for them."""
    pairs = _chosen(place.runs, share)
    if not len(pairs):
        return [], 0
    runs = place.runs[pairs]
    keys = list(map(tuple, runs.tolist()))
    new = np.array([key not in known for key in keys])
    wasserstein = np.array([known.get(key, (np.nan, None))[0] for key in keys], dtype=float)
    wasserstein[new] = distances_of_pairs(place.diagrams, pairs[new], "wasserstein_1", workers)
    if place.dimension >= bottleneck_from:
        widest = np.array([known.get(key, (None, np.nan))[1] for key in keys], dtype=float)
        widest[new] = distances_of_pairs(place.diagrams, pairs[new], "bottleneck", workers)
        bottleneck = pa.array(widest, pa.float64())
    else:
        bottleneck = pa.nulls(len(pairs), pa.float64())

    def same(value: Any, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), len(pairs))

    columns = {
        "experiment": same(experiment, pa.string()),
        "embedding_model": same(place.model, pa.string()),
        "modality": same(place.modality, pa.string()),
        "homology_dimension": same(place.dimension, pa.int8()),
        "run_a": pa.array(runs[:, 0], pa.int32()),
        "run_b": pa.array(runs[:, 1], pa.int32()),
        "wasserstein_1": pa.array(wasserstein, pa.float64()),
        "bottleneck": bottleneck,
    }
    return pa.table(columns), int(new.sum())


def _chosen(runs: NDArray[np.int64], share: float) -> NDArray[np.intp]:
    """Return pairs of positions in ``runs``: all of them, or those whose number drawn from their hash is low."""
    chosen = []
    for row in range(len(runs) - 1):
        others = np.arange(row + 1, len(runs))
        if share < 1:
            others = others[_uniform(runs[row], runs[others]) < share]
        chosen.append(np.stack([np.full(len(others), row), others], axis=1))
    return np.concatenate(chosen) if chosen else np.empty((0, 2), dtype=np.intp)


def _uniform(run: np.int64, others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each pair, that looks random: SplitMix64 (Steele, Lea, Flood 2014) of it."""
    mixed = (np.uint64(run) << np.uint64(32)) + others.astype(np.uint64) + np.uint64(_SEED)
    mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)
    return mixed.astype(np.float64) * 2.0**-53
