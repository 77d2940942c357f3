"""How the arms of a study differ from its reference, measure by measure.

Here belong pairing, adjustment for many tests, and the rows of table ``study_comparison``. What differences say is in
``paired``; what becomes of the study's claim, in ``claim``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from panic_assets.dynamics.uncertainty import adjust
from panic_assets.errors import PanicError
from panic_assets.studies.paired import PairedEffect, paired_effect
from panic_assets.studies.quantities import better, is_ratio
from panic_assets.studies.records import Mode

_CONFIDENCE = 0.95


class ComparisonError(PanicError):
    """Trials that can't be compared: names the arm, the pair and what would be right."""


class Claim(Protocol):
    """What a study expects of ``arm`` against the reference, as its file says it."""

    @property
    def metric(self) -> str:
        """Name of the measure."""

    @property
    def arm(self) -> str:
        """The arm that is to differ."""

    @property
    def direction(self) -> Literal["higher", "lower", "different"]:
        """Which way it is to differ."""

    @property
    def confidence(self) -> float:
        """Nominal coverage of the intervals."""


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference in one measure. NaN stands for what can't be told, None for what has no meaning.

    ``pairs`` is the number of pairs of which both trials have a finite value; means and ``difference`` (arm minus
    reference) are over them. ``low`` and ``high`` enclose the true difference with ``confidence``. ``ratio`` is the
    geometric mean of arm over reference, for costs and constants. ``wins``: pairs in which the arm is better, or higher
    where neither way is better. ``adjusted_p`` is ``permutation_p`` after Benjamini and Hochberg, over all arms and
    measures compared together.
    """

    mode: Mode
    arm: str
    reference: str
    metric: str
    pairs: int
    arm_mean: float
    reference_mean: float
    difference: float
    low: float
    high: float
    confidence: float
    ratio: float | None
    effect_size: float | None
    p_value: float | None
    permutation_p: float | None
    adjusted_p: float | None
    wins: int


def compare(
    rows: Iterable[Mapping[str, Any]],
    reference: str,
    claim: Claim | None = None,
    metrics: Sequence[str] | None = None,
) -> list[Comparison]:
    """Compare every arm of a paired comparison with the reference.

    Args:
        rows: trials with ``arm``, ``pair`` and ``metrics`` (a mapping or its JSON). Those whose ``mode`` is not
            comparison or whose ``state`` is not completed are passed over; both may be missing.
        reference: the arm to compare with.
        claim: of the study; its confidence is the nominal coverage of all intervals, 0.95 without one.
        metrics: names; None for all that any trial has.

    Returns:
        Rows by arm, then by metric in the order given, or sorted. A pair in which either trial failed or has no finite
        value is left out of that measure: ``pairs`` says how many are left.

    Raises:
        ComparisonError: two trials of one arm and pair; no completed trial of the reference.
    """
    found = _by_arm(rows, "comparison")
    _check(found, reference)
    names = metrics if metrics is not None else _names(found)
    confidence = claim.confidence if claim else _CONFIDENCE
    compared = [
        _compared(arm, reference, metric, _values(found[arm], metric), _values(found[reference], metric), confidence)
        for arm in sorted(found)
        if arm != reference
        for metric in names
    ]
    return _adjusted(compared)


def compare_searches(
    rows: Iterable[Mapping[str, Any]],
    reference: str,
    metrics: Sequence[str] | None = None,
    select: str = "validation_loss",
    direction: str = "minimize",
) -> list[Comparison]:
    """Compare the best trial of each arm's search with that of the reference: what each comes to when tuned.

    One trial against one: there are no intervals and no p-values. Trials of a search depend on one another, so that no
    honest ones could be made from them.

    Args:
        rows: trials as for `compare`, those with mode ``search``.
        reference: the arm to compare with.
        metrics: names; None for all that any trial has.
        select: the measure by which the best trial is chosen, of the validation part rather than the test part.
        direction: minimize or maximize.

    Raises:
        ComparisonError: as `compare`; or no trial of the reference has a finite ``select``.
    """
    found = _by_arm(rows, "search")
    names = metrics if metrics is not None else _names(found)
    sign = 1 if direction == "minimize" else -1
    best: dict[str, dict[int, Mapping[str, Any]]] = {}
    for arm, trials in found.items():
        usable = {pair: value for pair, value in _values(trials, select).items() if np.isfinite(value)}
        if usable:
            best[arm] = {0: trials[min(usable, key=lambda pair: (sign * usable[pair], pair))]}
    _check(best, reference)
    return [
        replace(
            _compared(
                arm, reference, metric, _values(best[arm], metric), _values(best[reference], metric), _CONFIDENCE
            ),
            mode="search",
            effect_size=None,
            p_value=None,
            permutation_p=None,
        )
        for arm in sorted(best)
        if arm != reference
        for metric in names
    ]


def _by_arm(rows: Iterable[Mapping[str, Any]], mode: Mode) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Metrics of completed trials by pair, by arm."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        if row.get("mode", mode) != mode or row.get("state", "completed") != "completed":
            continue
        arm, pair = row.get("arm"), row.get("pair")
        if arm is None or pair is None:
            continue  # a trial of somebody else's trainer, which belongs to no comparison
        own = found.setdefault(arm, {})
        if pair in own:
            raise ComparisonError(
                f"arm {arm!r}, pair {pair}: there are two completed trials, and only one can be compared. Give the "
                "trials of one version of the study alone."
            )
        given = row["metrics"]
        own[pair] = (json.loads(given) if isinstance(given, str) else given) or {}
    return found


def _check(found: Mapping[str, Any], reference: str) -> None:
    if reference not in found:
        has = ", ".join(sorted(found)) or "no arm at all"
        raise ComparisonError(
            f"reference: no completed trial of the arm {reference!r} to compare with; completed are trials of {has}. "
            "Run the study to its end, or name another reference in its file."
        )


def _names(found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> list[str]:
    names = {name for trials in found.values() for metrics in trials.values() for name in metrics}
    return sorted(names - {"epochs"})  # how long they trained was asked for, not found out


def _values(trials: Mapping[int, Mapping[str, Any]], metric: str) -> dict[int, float]:
    return {
        pair: float(metrics[metric])
        for pair, metrics in trials.items()
        if isinstance(metrics.get(metric), int | float) and np.isfinite(metrics[metric])
    }


def _compared(
    arm: str, reference: str, metric: str, own: Mapping[int, float], others: Mapping[int, float], confidence: float
) -> Comparison:
    pairs = sorted(own.keys() & others.keys())
    left, right = np.array([own[pair] for pair in pairs]), np.array([others[pair] for pair in pairs])
    effect: PairedEffect = paired_effect(left - right, confidence)
    wins = right - left if better(metric) == "lower" else left - right
    return Comparison(
        "comparison",
        arm,
        reference,
        metric,
        len(pairs),
        float(left.mean()) if pairs else float("nan"),
        float(right.mean()) if pairs else float("nan"),
        effect.difference,
        effect.low,
        effect.high,
        confidence,
        _ratio(metric, left, right),
        _told(effect.effect_size),
        _told(effect.p_value),
        _told(effect.permutation_p),
        None,
        int((wins > 0).sum()),
    )


def _ratio(metric: str, left: np.ndarray, right: np.ndarray) -> float | None:
    if not is_ratio(metric) or not len(left) or (left <= 0).any() or (right <= 0).any():
        return None
    return float(np.exp(np.log(left / right).mean()))


def _told(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _adjusted(rows: list[Comparison]) -> list[Comparison]:
    adjusted = adjust(np.array([np.nan if row.permutation_p is None else row.permutation_p for row in rows]))
    return [replace(row, adjusted_p=_told(float(p))) for row, p in zip(rows, adjusted, strict=True)]
