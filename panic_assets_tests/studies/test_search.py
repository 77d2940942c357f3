"""Searches: what is tried follows from what came before alone; hopeless trials end early; the best is the best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from panic_assets.studies.records import State, Trial
from panic_assets.studies.search import Searches, best_of
from panic_assets.studies.trial_files import TrialRecord
from panic_assets_tests.studies.small import SEARCH, small

DATA = "d" * 32


def record(trial: Trial, value: float, state: State = "completed") -> TrialRecord:
    return TrialRecord(trial, state, "", "", 1.0, {"validation_loss": value})


def loss_of(trial: Trial) -> float:
    """Best at a learning rate of 0.01."""
    return abs(math.log10(trial.hyperparameters.learning_rate) + 2)


def searched(path: Path, arm: str = "none", stop_after: int | None = None, **values: Any) -> list[Trial]:
    """Search an arm; a process that dies has suggested one more than it tells of."""
    spec = small(search=SEARCH | {"trials": 8} | values)
    assert spec.search is not None
    searches = Searches(path, spec, spec.search, DATA)
    one = searches.arm(arm)
    tried = one.past()
    while (attempt := one.next()) is not None:
        if stop_after is not None and len(tried) == stop_after:
            break
        attempt.is_hopeless({"validation_loss": loss_of(attempt.trial)}, 0)
        one.tell(attempt, record(attempt.trial, loss_of(attempt.trial)))
        tried.append(attempt.trial)
    searches.close()
    return tried


def test_a_search_that_died_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole.db")
    assert [trial.pair for trial in whole] == list(range(8))
    assert len({trial.seed for trial in whole}) == 8
    for number in (0, 3, 5):
        assert searched(tmp_path / "cut.db", stop_after=number) == whole[:number]
    assert searched(tmp_path / "cut.db") == whole
    assert searched(tmp_path / "cut.db") == whole
    # A larger budget goes on; another sampler seed is another search.
    assert searched(tmp_path / "whole.db", trials=10)[:8] == whole
    assert searched(tmp_path / "whole.db", seed=1) != whole


def test_arms_search_what_matters_to_them(tmp_path: Path) -> None:
    plain, bound = searched(tmp_path / "a.db"), searched(tmp_path / "a.db", "spectral_norm")
    assert {trial.hyperparameters.coefficient for trial in plain} == {1.0}
    assert len({trial.hyperparameters.coefficient for trial in bound}) == 8
    for trial in (*plain, *bound):
        hyper = trial.hyperparameters
        assert 0.0001 <= hyper.learning_rate <= 0.1
        assert 4 <= hyper.width <= 16
        assert isinstance(hyper.width, int)
        assert hyper.activation in ("relu", "tanh")
        assert (trial.mode, trial.data_id, trial.study) == ("search", DATA, "small")


def test_hopeless_trials_are_cut_and_broken_ones_are_avoided(tmp_path: Path) -> None:
    spec = small(search=SEARCH | {"trials": 4})
    assert spec.search is not None
    searches = Searches(tmp_path / "a.db", spec, spec.search, DATA)
    one = searches.arm("none")
    states: list[State] = ["completed", "cancelled", "failed", "completed"]
    for place, (value, state) in enumerate(zip((0.5, 0.9, math.nan, 0.4), states, strict=True)):
        attempt = one.next()
        assert attempt is not None
        assert attempt.is_hopeless({"validation_loss": value}, 0) == (place in (1, 2))
        assert not attempt.is_hopeless({"train_loss": 9.0}, 1)  # no word of what is looked for
        one.tell(attempt, record(attempt.trial, value, state))
    assert one.next() is None
    assert len(one.past()) == 4
    searches.close()


@pytest.mark.parametrize(("direction", "best"), [("minimize", 1), ("maximize", 2)])
def test_the_best_is_so_by_its_direction(direction: str, best: int, tmp_path: Path) -> None:
    trials = searched(tmp_path / "a.db")
    values = [2.0, 1.0, 3.0, 1.0, math.nan]
    records = [record(trial, value) for trial, value in zip(trials, values, strict=False)]
    records += [record(trials[5], -9.0, "cancelled"), record(trials[6], 9.0, "failed")]
    found = best_of(records, "validation_loss", direction)
    assert found is records[best]
    assert best_of(records, "absent", direction) is None
