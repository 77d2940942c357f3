"""What is learnt: the inputs and targets of each task, from trajectories or from pictures of digits.

Here belongs what one row of a task is. Reading the lake, splitting and thinning belong to ``data``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from panic_assets.dynamics.corpus import Trajectory
from panic_assets.studies.records import Task


@dataclass(frozen=True)
class Rows:
    """Rows of a task before the split.

    ``x``, ``y`` and ``steps`` are as in `Part`. ``runs`` int64 (n,) are numbers from 0, each of a run in ``strata``,
    which says what a run has in common with others. ``classes`` is empty where ``y`` are vectors.
    """

    x: np.ndarray
    y: np.ndarray
    runs: np.ndarray
    steps: np.ndarray
    strata: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...] = ()

    def chosen(self, rows: np.ndarray) -> Rows:
        """Some of the rows, by number or by a mask."""
        return Rows(self.x[rows], self.y[rows], self.runs[rows], self.steps[rows], self.strata, self.classes)


@dataclass(frozen=True)
class Source:
    """One trajectory, and the experiment that it comes from."""

    experiment: str
    modality: str
    trajectory: Trajectory

    @property
    def ranks(self) -> np.ndarray:
        """Place of each vector among all outputs of the modality in its run, int64 (n,).

        Outputs without a vector are counted, so that vectors on both sides of a gap are not taken for neighbours.
        """
        wanted = str if self.modality == "text" else bytes
        places = np.cumsum([isinstance(output, wanted) for output in self.trajectory.run.outputs])
        return np.asarray(places[self.trajectory.sequence_numbers] - 1, np.int64)

    @property
    def stratum(self) -> tuple[str, ...]:
        """What makes runs alike: experiment, network, prompt, and whether noise is drawn anew at each step."""
        run = self.trajectory.run
        return self.experiment, run.network, run.prompt, "unseeded" if run.seed < 0 else "seeded"


def rows_of(task: Task, sources: Sequence[Source], horizon: int = 1) -> Rows:
    """Rows of a task on trajectories, in the order of the sources and of time.

    Args:
        task: any but digits.
        sources: trajectories of one space.
        horizon: for next_step, how many steps of the modality lie between input and target.
    """
    labelled = _LABELS.get(task)
    return _labelled(sources, labelled) if labelled else _next_steps(sources, horizon)


def digits() -> Rows:
    """The 1,797 pictures of handwritten digits that come with scikit-learn: x (n, 1, 8, 8) from 0 to 1, ten classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images[:, None] / 16).astype(np.float32)
    y = bunch.target.astype(np.int64)
    classes = tuple(str(name) for name in bunch.target_names)
    return Rows(x, y, np.arange(len(x)), np.zeros(len(x), np.int64), tuple((classes[label],) for label in y), classes)


def _next_steps(sources: Sequence[Source], horizon: int) -> Rows:
    x, y, runs, steps = [], [], [], []
    for number, source in enumerate(sources):
        vectors, ranks = source.trajectory.vectors, source.ranks
        # ``later``: where the output of ``horizon`` steps on would be if it has a vector.
        later = np.searchsorted(ranks, ranks + horizon)
        has_pair = ranks[np.minimum(later, len(ranks) - 1)] == ranks + horizon
        x.append(vectors[has_pair])
        y.append(vectors[later[has_pair]])
        steps.append(source.trajectory.sequence_numbers[has_pair].astype(np.int64))
        runs.append(np.full(int(has_pair.sum()), number, np.int64))
    return Rows(_joined(x), _joined(y), np.concatenate(runs), np.concatenate(steps), _strata(sources))


def _labelled(sources: Sequence[Source], label: Callable[[Source], str]) -> Rows:
    labels = [label(source) for source in sources]
    classes = tuple(sorted(set(labels)))
    lengths = [len(source.trajectory) for source in sources]
    return Rows(
        _joined([source.trajectory.vectors for source in sources]),
        np.repeat(np.array([classes.index(name) for name in labels], np.int64), lengths),
        np.repeat(np.arange(len(sources), dtype=np.int64), lengths),
        np.concatenate([source.trajectory.sequence_numbers.astype(np.int64) for source in sources]),
        _strata(sources),
        classes,
    )


def _joined(vectors: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(vectors).astype(np.float32, copy=False)


def _strata(sources: Sequence[Source]) -> tuple[tuple[str, ...], ...]:
    return tuple(source.stratum for source in sources)


_LABELS: dict[Task, Callable[[Source], str]] = {
    "prompt_recovery": lambda source: source.trajectory.run.prompt,
    "network_identification": lambda source: source.trajectory.run.network,
}
"""What tells the class of a run, for the tasks that have classes."""
