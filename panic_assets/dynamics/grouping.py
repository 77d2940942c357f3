"""From numbers of single runs to rows about groups: each network, and each prompt within it, with bootstrap intervals.

Here belongs what analyses share when they sum up runs. How an interval is found belongs to ``uncertainty``; what a
number means belongs to its analysis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from panic_assets.dynamics.corpus import Run, Space, Trajectory
from panic_assets.dynamics.findings import Curve, Group, GroupStatistic, Interval
from panic_assets.dynamics.uncertainty import bootstrap

T = TypeVar("T", Run, Trajectory)


def grouped(items: Sequence[T], space: Space | None = None) -> Iterator[tuple[Group, list[int]]]:
    """Every network, then every prompt of every network, with the positions of its items in ``items``."""
    model, modality = (space.embedding_model, space.modality) if space else ("", "")
    runs = [item if isinstance(item, Run) else item.run for item in items]
    networks: dict[str, list[int]] = {}
    prompts: dict[tuple[str, int], list[int]] = {}
    for position, run in enumerate(runs):
        networks.setdefault(run.network, []).append(position)
        prompts.setdefault((run.network, run.prompt_number), []).append(position)
    for network, members in networks.items():
        yield Group(model, modality, network), members
    for (network, prompt), members in prompts.items():
        yield Group(model, modality, network, prompt), members


def means(
    group: Group, values: Mapping[str, np.ndarray], units: Mapping[str, str], what: str = "", resamples: int = 1000
) -> list[GroupStatistic]:
    """Mean over runs of each statistic, all from the same resamples of runs.

    Args:
        group: what the rows are about.
        values: float (runs,) for each statistic, NaN where it can't be told of a run.
        units: unit of each statistic, none where missing.
        what: begins the method text, such as the threshold rule.
        resamples: resamples of the bootstrap.
    """
    names = list(values)
    table = np.stack([np.asarray(values[name], dtype=float) for name in names], axis=1)
    known = np.isfinite(table)
    estimate, low, high = bootstrapped_means(table, resamples)
    method = f"{what + '; ' if what else ''}mean over runs, bootstrap over runs"
    rows = []
    for column, name in enumerate(names):
        runs = int(known[:, column].sum())
        details = None if runs else {"why": "can't be told of any run of the group"}
        interval = Interval(float(estimate[column]), float(low[column]), float(high[column]))
        rows.append(GroupStatistic(group, name, interval, runs, method, units.get(name, ""), details=details))
    return rows


def mean_curve(group: Group, name: str, x: np.ndarray, table: np.ndarray, x_unit: str, resamples: int = 1000) -> Curve:
    """Mean over runs at each place of an axis. ``table`` is float (runs, places), NaN where a run has no value."""
    estimate, low, high = bootstrapped_means(table, resamples)
    return Curve(group, name, x, estimate, x_unit, low, high)


def bootstrapped_means(table: np.ndarray, resamples: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column means of a float (runs, columns) table that leave NaN out, with the ends of their 95 % intervals.

    Columns that fewer than three runs have a value in get no interval; those without any get NaN. Runs are resampled
    whole, so that a resample may hold fewer known values than the table.
    """
    known = np.isfinite(table)
    filled = np.where(known, table, 0.0)

    def column_means(runs: np.ndarray) -> np.ndarray:
        # How often each run was drawn, times the table: two small products instead of a copy of the drawn rows.
        drawn = np.bincount(runs, minlength=len(table)).astype(float)
        counts = drawn @ known
        return np.divide(drawn @ filled, counts, out=np.full(table.shape[1], np.nan), where=counts > 0)

    if not table.size:
        empty = np.full(table.shape[1], np.nan)
        return empty, empty, empty
    found = bootstrap(column_means, len(table), resamples=resamples)
    estimate, low, high = (np.array(part, dtype=float) for part in found)
    few = known.sum(axis=0) < 3
    low[few] = high[few] = np.nan
    return estimate, low, high


def stacked(series: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Join (places, values) of several runs: all places in order, and float (runs, places), NaN where missing."""
    if not series:
        return np.empty(0), np.empty((0, 0))
    places = np.unique(np.concatenate([np.asarray(x) for x, _ in series]))
    table = np.full((len(series), len(places)), np.nan)
    for row, (x, values) in zip(table, series, strict=True):
        row[np.searchsorted(places, x)] = values
    return places, table
