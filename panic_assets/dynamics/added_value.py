"""Whether some features say anything about runs that other features do not already say.

Here belong cross-validated comparison of two sets of features, and partial rank correlation. Which features are
compared, and about what, belongs to ``topology_value``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from panic_assets.dynamics.findings import Interval
from panic_assets.dynamics.uncertainty import bootstrap, permutation_p

_PENALTY = 1.0  # of the classifier, on standardised features


@dataclass(frozen=True)
class Gain:
    """Balanced accuracies (0 to 1) by cross-validation, and what the added features gain.

    ``base`` and ``both`` have intervals by bootstrap over runs within classes, the predictions being held. ``gain`` is
    of the paired differences. ``p``: how often features without anything of their own to say gain as much.
    """

    base: Interval
    both: Interval
    gain: Interval
    p: float
    classes: tuple[str, ...]
    runs: int
    folds: int
    grouped: bool


def usable_classes(labels: np.ndarray, fewest: int = 5) -> np.ndarray:
    """Bool (runs,): runs whose label is known ("" is not) and held by at least ``fewest`` runs."""
    values, counts = np.unique(labels, return_counts=True)
    kept = values[(counts >= fewest) & (values != "")]
    return np.isin(labels, kept)


def fold_list(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> tuple[list[np.ndarray], bool]:
    """Test runs of each fold, and whether groups were kept together.

    Groups (prompts) are kept together if there are at least two of them and every class is in two; otherwise runs are
    drawn freely, and classes may be told apart by what their prompts share. Folds are stratified by class.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    spread = min(len(np.unique(groups[labels == one])) for one in np.unique(labels))
    size = int(np.unique(labels, return_counts=True)[1].min())
    blank = np.zeros((len(labels), 1))
    if spread >= 2:
        splitter = StratifiedGroupKFold(min(folds, spread), shuffle=True, random_state=seed)
        return [test for _, test in splitter.split(blank, labels, groups) if len(test)], True
    plain = StratifiedKFold(min(folds, size), shuffle=True, random_state=seed)
    return [test for _, test in plain.split(blank, labels)], False


def predictions(features: np.ndarray, labels: np.ndarray, tests: list[np.ndarray]) -> np.ndarray:
    """Classes (runs,) that a linear classifier gives to each run, trained on the folds the run is not in.

    Ridge regression on one indicator (-1, 1) per class, classes weighted alike: what scikit-learn's RidgeClassifier
    does, solved for all classes at once because a null distribution needs thousands of fits. Features are standardised
    by the training runs, NaN set to their mean.

    Args:
        features: float (runs, features).
        labels: int (runs,), classes 0, 1, ...
        tests: runs of each fold, together all runs.
    """
    found = np.empty_like(labels)
    for test in tests:
        train = np.ones(len(labels), dtype=bool)
        train[test] = False
        known, codes = np.unique(labels[train], return_inverse=True)
        scaled = _standardised(features, train)
        weights = (len(codes) / (len(known) * np.bincount(codes)))[codes]
        goals = 2.0 * (codes[:, None] == np.arange(len(known))) - 1
        middle = weights @ scaled[train] / weights.sum()
        centred, aims = scaled[train] - middle, goals - weights @ goals / weights.sum()
        penalised = (centred * weights[:, None]).T @ centred + _PENALTY * np.eye(features.shape[1])
        slopes = np.linalg.solve(penalised, (centred * weights[:, None]).T @ aims)
        scores = (scaled[test] - middle) @ slopes + weights @ goals / weights.sum()
        found[test] = known[np.argmax(scores, axis=1)]
    return found


def _standardised(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    known = np.isfinite(features)
    filled = np.where(known, features, 0.0)
    count = np.maximum(known[train].sum(axis=0), 1)
    mean = filled[train].sum(axis=0) / count
    away = np.where(known, features - mean, 0.0)
    deviation = np.sqrt((away[train] ** 2).sum(axis=0) / count)
    return np.clip(away / np.where(deviation > 1e-12 * (1 + np.abs(mean)), deviation, np.inf), -10, 10)


def compare_features(
    base: np.ndarray,
    added: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    folds: int = 5,
    permutations: int = 99,
    seed: int = 0,
) -> Gain | None:
    """Tell labels from ``base`` alone and from both; None with fewer than two classes of five runs.

    The null distribution of the gain comes from the added features with what the base says of them kept and the rest
    dealt anew among runs (D. Freedman, D. Lane, J. Bus. Econ. Stat. 1 (1983) 292): as many features, as correlated with
    the base, with nothing of their own to say.

    Args:
        base: float (runs, b), NaN where unknown.
        added: float (runs, a), NaN where unknown.
        labels: str (runs,), "" where unknown.
        groups: int (runs,), such as prompts: kept together in cross-validation.
        folds: at most.
        permutations: of the null distribution; 0 for no p-value.
        seed: of folds and permutations.
    """
    used = usable_classes(labels)
    base, added, labels, groups = base[used], added[used], labels[used], groups[used]
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return None
    tests, together = fold_list(codes, groups, folds, seed)

    def right(features: np.ndarray) -> np.ndarray:
        return (predictions(features, codes, tests) == codes).astype(float)

    of_base = right(base)
    of_both = right(np.hstack([base, added]))
    explained, rest = _explained(base, added)
    generator = np.random.default_rng(seed)
    gains = np.empty(permutations)
    for position in range(permutations):
        dealt = explained + rest[generator.permutation(len(codes))]
        gains[position] = _balanced(right(np.hstack([base, dealt])) - of_base, codes)
    estimates, lows, highs = _intervals(np.column_stack([of_base, of_both, of_both - of_base]), codes)
    told = [Interval(float(v), float(low), float(high)) for v, low, high in zip(estimates, lows, highs, strict=True)]
    p = permutation_p(told[2].value, gains) if permutations else float("nan")
    named = tuple(str(one) for one in classes)
    return Gain(told[0], told[1], told[2], p, named, len(codes), len(tests), together)


def _balanced(values: np.ndarray, codes: np.ndarray) -> float:
    """Mean over classes of the means within them."""
    return float(np.mean(np.bincount(codes, values) / np.bincount(codes)))


def _intervals(values: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As ``_balanced``, of each column, with ends; resamples are within classes, so that none is ever missing."""
    members = (codes[:, None] == np.arange(codes.max() + 1)).astype(float)

    def balanced(runs: np.ndarray) -> np.ndarray:
        drawn = members[runs]
        return np.asarray(np.mean(drawn.T @ values[runs] / drawn.sum(axis=0)[:, None], axis=0))

    return bootstrap(balanced, len(codes), strata=codes)


def _explained(base: np.ndarray, added: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a linear model of the base says of the added features, and the rest; both standardised, (runs, a)."""
    everyone = np.ones(len(base), dtype=bool)
    left, right = _standardised(base, everyone), _standardised(added, everyone)
    fitted = left @ np.linalg.lstsq(left, right, rcond=None)[0]
    return fitted, right - fitted


def partial_rank_correlation(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    """Correlation of the ranks of x and y with what the ranks of ``given`` explain taken off both; NaN if flat.

    Args:
        x: float (runs,).
        y: float (runs,).
        given: float (runs, g).
    """
    left, right = _rank_residuals(np.column_stack([x, y]), given).T
    power = float(np.sqrt((left @ left) * (right @ right)))
    # Ranks that ``given`` explains leave rounding alone.
    return float(left @ right) / power if power > 1e-9 * len(x) ** 2 else float("nan")


def _rank_residuals(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    ranks = rankdata(np.column_stack([values, given]), axis=0)
    ranks -= ranks.mean(axis=0)
    targets, known = ranks[:, : values.shape[1]], ranks[:, values.shape[1] :]
    return np.asarray(targets - known @ np.linalg.lstsq(known, targets, rcond=None)[0])


def partial_correlation_of_runs(
    x: np.ndarray, y: np.ndarray, given: np.ndarray, permutations: int = 999, seed: int = 0, resamples: int = 1000
) -> tuple[Interval, float, int]:
    """Partial rank correlation with its interval over runs, its two-sided p-value, and how many runs it rests on.

    Runs with NaN anywhere are left out. The p-value is by dealing the residual ranks of x anew among runs. NaN with
    fewer than four runs more than there are columns in ``given``.
    """
    known = np.isfinite(np.column_stack([x, y, given])).all(axis=1)
    x, y, given = x[known], y[known], given[known]
    nothing = Interval(float("nan"))
    if len(x) < given.shape[1] + 4:
        return nothing, float("nan"), len(x)
    estimate = bootstrap(
        lambda runs: partial_rank_correlation(x[runs], y[runs], given[runs]), len(x), resamples=resamples
    )
    if not np.isfinite(estimate.value):
        return nothing, float("nan"), len(x)
    left, right = _rank_residuals(np.column_stack([x, y]), given).T
    generator = np.random.default_rng(seed)
    orders = np.argsort(generator.random((permutations, len(x))), axis=1)
    null = left[orders] @ right / np.sqrt((left @ left) * (right @ right))
    return estimate, permutation_p(abs(estimate.value), np.abs(null)), len(x)
