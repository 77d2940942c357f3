"""Looking for hyperparameters: a search within each arm, each with a budget of its own, by Optuna's TPE on disk.

Here belongs what is tried next, what is cut short, and what was best. Nothing here trains. An arm's search is a
function of its outcomes alone: what is suggested at a place depends on the place and on what came before it, so that a
search that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panic_assets.studies.plan import FIRST_SEARCH_SEED
from panic_assets.studies.records import Trial, content_id
from panic_assets.studies.trial_files import TrialRecord

if TYPE_CHECKING:
    import optuna

    from panic_assets.studies.spec import StudySpec
    from panic_assets.studies.spec_sections import Dimension, Search


def best_of(records: Iterable[TrialRecord], metric: str, direction: str) -> TrialRecord | None:
    """The completed trial with the best finite value of a metric, by its direction; the first of equal ones."""
    told = [r for r in records if r.state == "completed" and math.isfinite(r.metrics.get(metric, math.nan))]
    sign = -1.0 if direction == "maximize" else 1.0
    return min(told, key=lambda r: sign * r.metrics[metric], default=None)


class Searches:
    """The searches of all arms of a study, in one database. To be closed.

    Args:
        path: the SQLite file.
        spec: the study, which has a search.
        data_id: of the data that are searched on: other data are another search.
    """

    def __init__(self, path: Path, spec: StudySpec, search: Search, data_id: str) -> None:
        import optuna
        from optuna.storages import RDBStorage

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # stays with the file; a report then takes half the time
        self._storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
        self._spec, self._search, self._data_id = spec, search, data_id

    def arm(self, arm: str) -> ArmSearch:
        """The search of one arm, as far as it is."""
        import optuna

        search, space = self._search, self._spec.space_of(arm)
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if search.pruner == "median":
            pruner = optuna.pruners.MedianPruner(n_startup_trials=search.startup_trials)
        study = optuna.create_study(
            storage=self._storage,
            study_name=f"{arm}-{self._identity(arm, space)}",
            direction=search.direction,
            pruner=pruner,
            load_if_exists=True,
        )
        base = Trial(
            study=self._spec.name,
            mode="search",
            arm=arm,
            pair=0,
            seed=FIRST_SEARCH_SEED,
            task=self._spec.task,
            data_id=self._data_id,
            hyperparameters=self._spec.hyperparameters_of(arm),
        )
        return ArmSearch(search, base, study, space)

    def close(self) -> None:
        """Close the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _identity(self, arm: str, space: Mapping[str, Dimension]) -> str:
        """All that shapes a search but its budget: a larger one goes on where the smaller ended."""
        shape = {name: dimension.model_dump(mode="json") for name, dimension in space.items()}
        settings = self._search.model_dump(mode="json", exclude={"trials", "space"})
        base = asdict(self._spec.hyperparameters_of(arm))
        return content_id([self._spec.task, self._data_id, base, settings, shape])[:12]


@dataclass(frozen=True)
class Attempt:
    """One suggestion: what is to be trained, and Optuna's record of it."""

    trial: Trial
    asked: optuna.Trial
    metric: str

    def is_hopeless(self, metrics: Mapping[str, float], epoch: int) -> bool:
        """Tell what an epoch came to; whether the trial is to be cut short."""
        if self.metric not in metrics:
            return False
        if not math.isfinite(metrics[self.metric]):
            return True
        self.asked.report(metrics[self.metric], epoch)
        return self.asked.should_prune()


class ArmSearch:
    """The search of one arm: `next`, train, `tell`, until `next` gives None.

    Args:
        search: metric, direction, budget.
        base: the arm's first trial as it would be without a search.
        study: Optuna's.
        space: what is searched.
    """

    def __init__(self, search: Search, base: Trial, study: optuna.Study, space: Mapping[str, Dimension]) -> None:
        self._search, self._base, self._study, self._space = search, base, study, space
        for trial in self._trials("RUNNING"):
            # Suggested, and then the process was killed: the same is suggested again, as this one does not count.
            study.tell(trial.number, state=_state("FAIL"))

    def past(self) -> list[Trial]:
        """What was tried within the budget and is over, in order, cut short and failed ones among it."""
        ended = self._trials("COMPLETE", "PRUNED")[: self._search.trials]
        return [self._trial(place, trial.params) for place, trial in enumerate(ended)]

    def next(self) -> Attempt | None:
        """What to try next; None when the arm's budget is spent."""
        import optuna

        place = len(self._trials("COMPLETE", "PRUNED"))
        if place >= self._search.trials:
            return None
        # A sampler of its own for each place, the same in all arms: a new process suggests what this one would have.
        seed = int(np.random.SeedSequence([self._search.seed, place]).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=self._search.startup_trials, constant_liar=False
        )
        asked = self._study.ask({name: _distribution(given) for name, given in self._space.items()})
        return Attempt(self._trial(place, asked.params), asked, self._search.metric)

    def tell(self, attempt: Attempt, record: TrialRecord) -> None:
        """Take in what became of an attempt. One that failed or diverged counts as hopeless, so that TPE avoids it."""
        value = record.metrics.get(self._search.metric, math.nan)
        if record.state == "completed" and math.isfinite(value):
            self._study.tell(attempt.asked, value)
        else:
            self._study.tell(attempt.asked, state=_state("PRUNED"))

    def best(self, records: Iterable[TrialRecord]) -> TrialRecord | None:
        """The best of the trials that are completed; None if there is none."""
        return best_of(records, self._search.metric, self._search.direction)

    def _trial(self, place: int, found: Mapping[str, Any]) -> Trial:
        hyperparameters = replace(self._base.hyperparameters, **found)
        return replace(self._base, pair=place, seed=FIRST_SEARCH_SEED + place, hyperparameters=hyperparameters)

    def _trials(self, *states: str) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=tuple(_state(state) for state in states))


def _state(name: str) -> optuna.trial.TrialState:
    import optuna

    return optuna.trial.TrialState[name]


def _distribution(given: Dimension) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if given.ends is None:
        return CategoricalDistribution(given.choices or ())
    low, high = given.ends
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=given.log)
    return FloatDistribution(low, high, log=given.log)
