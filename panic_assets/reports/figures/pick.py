"""What figures choose from the lake: runs by network, a run that stands for its network, spaces that hold vectors.

Here belongs reading and choosing; no drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from panic_assets.dynamics.corpus import Corpus, NothingToAnalyse, Run, Trajectory, load_corpus
from panic_assets.lake import Lake
from panic_assets.loop.pictures import PictureShelf


def corpus_of(lake: Lake, experiment: str) -> Corpus | None:
    """The experiment's runs; None if it has none."""
    try:
        return load_corpus(lake, experiment)
    except NothingToAnalyse:
        return None


def networks_of(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs of each network, networks in the order of their first runs."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.network, []).append(run)
    return groups


def network_of_run(lake: Lake, experiment: str) -> dict[int, str]:
    """Run number to network."""
    runs = lake.read("runs", experiment, ["run_number", "network"])
    return dict(zip(runs.column(0).to_pylist(), runs.column(1).to_pylist(), strict=True))


def example(runs: Sequence[Run]) -> Run:
    """The run that shows most of what its network does: the one with the most different outputs, then the longest."""
    return max(runs, key=lambda run: (len(set(run.outputs)), len(run.outputs), -run.number))


def spread(points: np.ndarray, count: int) -> list[int]:
    """Rows of up to ``count`` points far from one another, (n, d): each the farthest from those before it."""
    if not len(points):
        return []
    chosen = [int(np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    gap = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)) and gap.max() > 0:
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen


def pictures(lake: Lake, experiment: str, hashes: Iterable[bytes], side: int = 64) -> dict[bytes, np.ndarray]:
    """Thumbnails by hash, uint8 (side, side, 3); pictures that the lake has lost are left out."""
    from PIL import Image

    shelf = PictureShelf(lake, experiment)
    pixels = shelf.load({image_hash for image_hash in hashes if image_hash in shelf})
    return {
        image_hash: np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.LANCZOS))
        for image_hash, one in pixels.items()
    }


def output_at(trajectory: Trajectory, row: int) -> str | bytes | None:
    """The output that a row of a trajectory embeds: a text, or the hash of a picture."""
    place = int(trajectory.sequence_numbers[row])
    return trajectory.run.outputs[place] if place < len(trajectory.run.outputs) else None
