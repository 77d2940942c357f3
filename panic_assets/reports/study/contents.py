"""What is shown of a study, gathered as plain values: its arms, trials, comparison, bounds and robustness.

Here belong reading the rows and putting them in the order of the arms. Rows come from the lake, or from the event store
where the lake has none yet; both name their fields alike. How they are drawn is in ``panels``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from panic_assets.errors import PanicError
from panic_assets.lake import Lake

Row = Mapping[str, Any]
#: Tables of a study that the comparison is drawn from, in the order in which they are made.
TABLES = ("model_runs", "trials", "lipschitz", "robustness", "study_comparison")
_LARGEST = 1e150  # beyond it spreads overflow


class NoSuchStudy(PanicError):
    """The lake holds no trials of that study."""


@dataclass(frozen=True)
class Trial:
    """One trial as it is shown. ``arm`` is told of every one: where none was given it is what the flag says."""

    trial_id: str
    arm: str
    mode: str
    pair: int | None
    seed: int | None
    state: str
    spectral_norm: bool
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    row: Row

    def metric(self, name: str) -> float:
        """A metric that can be drawn; NaN where there is none."""
        value = self.metrics.get(name)
        return float(value) if isinstance(value, int | float) and abs(value) < _LARGEST else math.nan


@dataclass(frozen=True)
class Study:
    """A study as it is shown. ``arms`` are in one order everywhere: the reference, that of the claim, the others."""

    name: str
    description: str
    reference: str
    claim: Mapping[str, Any]
    sentence: str
    arms: tuple[str, ...]
    trials: tuple[Trial, ...]
    comparison: tuple[Row, ...]
    lipschitz: tuple[Row, ...]
    robustness: tuple[Row, ...]
    runs: tuple[Row, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def colour(self, arm: str) -> int:
        """The number of an arm's colour and mark: 0 is the reference's, whether or not it is there."""
        return self.arms.index(arm) % 8 if arm in self.arms else 7

    @property
    def compared(self) -> tuple[Trial, ...]:
        """Completed trials of the comparison; of a study without one, all that are completed."""
        done = tuple(trial for trial in self.trials if trial.state == "completed")
        return tuple(trial for trial in done if trial.mode == "comparison") or done

    @property
    def verdict(self) -> str:
        """What the claim came to, as its sentence says; empty where there is no claim."""
        words = self.sentence.lower().rpartition("claim")[2]
        known = ("not supported", "inconclusive", "opposite", "supported")
        return next((verdict for verdict in known if verdict in words), "")


def study_of(
    name: str,
    *,
    trials: Iterable[Row],
    model_runs: Iterable[Row] = (),
    comparison: Iterable[Row] = (),
    lipschitz: Iterable[Row] = (),
    robustness: Iterable[Row] = (),
) -> Study:
    """A study from its rows. JSON columns may be text or what it says."""
    runs = tuple(model_runs)
    spec = next((found for run in runs if (found := plain(run.get("spec")))), {})
    compared = tuple(comparison)
    claim_row = next((row for row in compared if row.get("is_claim")), None)
    claim = plain(spec.get("claim")) or ({"metric": claim_row["metric"], "arm": claim_row["arm"]} if claim_row else {})
    reference = (plain(spec.get("comparison")) or {}).get("reference") or (
        compared[0]["reference"] if compared else "none"
    )
    shown = tuple(trial_of(row) for row in trials)
    facts = next((found for run in runs if (found := plain(run.get("metadata")))), {})
    return Study(
        name=name,
        description=str(spec.get("description") or ""),
        reference=str(reference),
        claim=claim,
        sentence=str((claim_row or {}).get("sentence") or ""),
        arms=_arms(shown, str(reference), str(claim.get("arm") or "")),
        trials=shown,
        comparison=compared,
        lipschitz=tuple(lipschitz),
        robustness=tuple(robustness),
        runs=runs,
        facts=facts,
    )


def study_in(lake: Lake, name: str) -> Study:
    """A study as the lake has it.

    Raises:
        NoSuchStudy: the lake holds no trials of it.
        LakeError: a table can't be read.
    """
    rows = {table: lake.read(table, name).to_pylist() for table in ("model_runs", "trials")}
    rows |= measured_in(lake, name)
    if not rows["trials"]:
        raise NoSuchStudy(f"the lake holds no trials of the study {name!r}; `panic study run {name}` makes them")
    return study_of(name, **rows)


def measured_in(lake: Lake, name: str) -> dict[str, list[dict[str, Any]]]:
    """What only the lake has of a study, no more of it than is shown: ``comparison``, ``lipschitz``, ``robustness``.

    Raises:
        LakeError: a table can't be read.
    """
    robust = ["trial_id", "attack", "norm", "epsilon", "metric", "value"]
    bounds = ["trial_id", "layer", "layer_name", "quantity", "value"]
    return {
        "comparison": lake.read("study_comparison", name).to_pylist(),
        "lipschitz": lake.read("lipschitz", name, bounds).to_pylist(),
        "robustness": lake.read("robustness", name, robust, {"metric": "accuracy"}).to_pylist(),
    }


def trial_of(row: Row) -> Trial:
    """A trial from its row."""
    flag = bool(row.get("spectral_norm"))
    return Trial(
        trial_id=str(row["trial_id"]),
        arm=str(row.get("arm") or ("spectral_norm" if flag else "none")),
        mode=str(row.get("mode") or ""),
        pair=row.get("pair"),
        seed=row.get("seed"),
        state=str(row.get("state") or ""),
        spectral_norm=flag,
        parameters=plain(row.get("parameters")),
        metrics=plain(row.get("metrics")),
        row=row,
    )


def plain(value: Any) -> dict[str, Any]:
    """What a JSON column says, given as text or as a mapping; nothing where it is no object."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return dict(value) if isinstance(value, Mapping) else {}


def by_pair(study: Study, metric: str) -> dict[str, dict[int, float]]:
    """Differences from the reference within pairs, by arm and pair."""
    values: dict[str, dict[int, float]] = {}
    for trial in study.compared:
        if trial.pair is not None and math.isfinite(value := trial.metric(metric)):
            values.setdefault(trial.arm, {})[trial.pair] = value
    base = values.get(study.reference, {})
    return {
        arm: {pair: value - base[pair] for pair, value in found.items() if pair in base}
        for arm, found in values.items()
        if arm != study.reference
    }


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of some trials by Student's t; the interval is the mean itself where there is only one."""
    from scipy.special import stdtrit

    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return math.nan, math.nan, math.nan
    mean = sum(finite) / len(finite)
    if len(finite) < 2:
        return mean, mean, mean
    spread = math.sqrt(sum((value - mean) ** 2 for value in finite) / (len(finite) - 1) / len(finite))
    reach = float(stdtrit(len(finite) - 1, 0.5 + confidence / 2)) * spread
    return mean, mean - reach, mean + reach


def _arms(trials: Sequence[Trial], reference: str, claimed: str) -> tuple[str, ...]:
    found = list(dict.fromkeys(trial.arm for trial in trials))
    first = [arm for arm in (reference, claimed) if arm in found]
    # The reference keeps the first colour even in a study that lacks it, so that grey always means "no constraint".
    return tuple(dict.fromkeys([reference, *first, *sorted(arm for arm in found if arm not in first)]))
