"""The rules of studies: no alarm where all is well, and each defect found by its rule, with the right rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from panic_assets.lake import TABLES, Lake, connect
from panic_assets.lake.rules import RULES, Rule, judge
from panic_assets.lake.study_rules import DOUBTS, STUDY_RULES, TIES
from panic_assets_tests.studies import sound

NAME = "demo"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two studies; the other one, which has other trials, must never be judged with the first."""
    lake = Lake(tmp_path_factory.mktemp("healthy") / "lake")
    sound.write(lake, NAME)
    sound.write(lake, "other", first=50)
    return lake


def alarms(lake: Lake, name: str = NAME) -> list[str]:
    with connect(lake.root) as connection:
        return [rule.name for rule in STUDY_RULES if not judge(connection, rule, name).holds]


def test_a_sound_study_breaks_no_rule(healthy: Lake) -> None:
    assert alarms(healthy) == alarms(healthy, "other") == alarms(healthy, "none of it") == []


def test_rules_are_named_once_and_belong_to_tables_of_studies() -> None:
    names = [rule.name for rule in (*RULES, *STUDY_RULES)]
    assert len(set(names)) == len(names)
    assert (*TIES, *DOUBTS) == STUDY_RULES
    for rule in STUDY_RULES:
        assert rule.name.isidentifier()
        assert TABLES[rule.asset].partition == rule.partition == "study"
        assert not rule.of_experiment


@dataclass(frozen=True)
class Plant:
    """A defect in one table, and how many rows its rule must name."""

    what: str
    table: str
    how: Callable[[Rows], Rows]
    count: int
    named: dict[str, Any]


def drop(**where: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [row for row in rows if not meets(row, where)]


def edit(where: dict[str, Any], **changes: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [row | changes if meets(row, where) else row for row in rows]


def meets(row: dict[str, Any], where: dict[str, Any]) -> bool:
    return all(row[name] == value for name, value in where.items())


SPECTRAL, PLAIN = sound.trial_id("spectral_norm", 0), sound.trial_id("none", 0)
PLANTS = {
    "every_trial_has_its_model_run": [
        Plant("model run gone", "model_runs", lambda rows: [], 6, {"model_run_id": "run"}),
    ],
    "every_metric_has_its_trial": [
        Plant("trial gone", "trials", drop(trial_id=PLAIN), 1, {"trial_id": PLAIN, "rows": 4}),
    ],
    "every_artifact_has_its_origin": [
        Plant("trial gone", "trials", drop(trial_id=PLAIN), 1, {"trial_id": PLAIN}),
        Plant("another run's", "artifacts", edit({"trial_id": PLAIN}, model_run_id="x"), 1, {"model_run_id": "x"}),
    ],
    "every_bound_has_its_trial": [
        Plant("of no trial", "lipschitz", edit({"trial_id": PLAIN}, trial_id="gone"), 1, {"trial_id": "gone"}),
    ],
    "every_robustness_has_its_trial": [
        Plant("of no trial", "robustness", edit({"trial_id": PLAIN}, trial_id="gone"), 1, {"trial_id": "gone"}),
    ],
    "comparisons_are_of_their_trials": [
        Plant("pair gone", "trials", drop(trial_id=PLAIN), 1, {"pairs": 3, "pairs_there": 2}),
        Plant("pair failed", "trials", edit({"trial_id": SPECTRAL}, state="failed"), 1, {"pairs_there": 2}),
        Plant("too many", "study_comparison", edit({}, pairs=4), 1, {"pairs": 4, "pairs_there": 3}),
        Plant("won too often", "study_comparison", edit({}, wins=4), 1, {"wins": 4}),
    ],
    "every_trial_tells_its_constraint": [
        Plant("column lies", "trials", edit({"trial_id": SPECTRAL}, spectral_norm=False), 1, {"told": "true"}),
        Plant("not told", "trials", edit({"trial_id": PLAIN}, parameters="{}"), 1, {"told": None}),
        Plant("no JSON", "trials", edit({"trial_id": PLAIN}, parameters="{"), 1, {"told": None}),
    ],
    "completed_trials_have_their_checkpoint": [
        Plant("no checkpoint", "artifacts", drop(trial_id=PLAIN), 1, {"trial_id": PLAIN}),
        Plant("another file", "artifacts", edit({"trial_id": PLAIN}, kind="figure"), 1, {"trial_id": PLAIN}),
    ],
    "spectral_norms_keep_to_their_coefficient": [
        Plant(
            "too large",
            "lipschitz",
            edit({"trial_id": SPECTRAL, "layer": 0, "quantity": "reshaped_sigma"}, value=1.01),
            1,
            {"trial_id": SPECTRAL, "value": 1.01, "coefficient": 1.0},
        ),
    ],
    "bounds_are_in_order": [
        Plant("lower above", "lipschitz", edit({"trial_id": PLAIN, "quantity": "lower"}, value=1e6), 1, {"layer": -1}),
        Plant(
            "above its bound",
            "lipschitz",
            edit({"trial_id": PLAIN, "quantity": "fft_bound"}, value=1.0),
            1,
            {"layer": 0},
        ),
        Plant("negative", "lipschitz", edit({"trial_id": PLAIN, "quantity": "lower"}, value=-1.0), 1, {"least": -1.0}),
    ],
    "certified_accuracy_is_no_promise_too_much": [
        Plant(
            "promises more",
            "robustness",
            edit({"trial_id": PLAIN, "attack": "certified"}, value=0.9),
            1,
            {"value": 0.9, "attacked": 0.6},
        ),
        Plant("no share", "robustness", edit({"trial_id": PLAIN, "attack": "none"}, value=1.5), 1, {"value": 1.5}),
    ],
    "arms_and_pairs_are_complete": [
        Plant("one failed", "trials", edit({"trial_id": PLAIN}, state="failed"), 1, {"arm": "none", "pair": 0}),
        Plant("one missing", "trials", drop(trial_id=SPECTRAL), 1, {"arm": "spectral_norm", "completed": 0}),
    ],
}


def test_each_rule_has_a_plant() -> None:
    assert set(PLANTS) == {rule.name for rule in STUDY_RULES}


@pytest.mark.parametrize(
    ("rule", "plant"),
    [
        pytest.param(rule, plant, id=f"{rule.name}-{plant.what}")
        for rule in STUDY_RULES
        for plant in PLANTS.get(rule.name, ())
    ],
)
def test_a_planted_defect_is_found(rule: Rule, plant: Plant, healthy: Lake, tmp_path: Path) -> None:
    shutil.copytree(healthy.root, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    before = lake.read(plant.table, NAME).to_pylist()
    after = plant.how([dict(row) for row in before])
    assert after != before, "nothing was planted"
    with lake.writer(plant.table, NAME) as writer:
        writer.replace(after, {})
        writer.commit()
    with connect(lake.root, rule.tables) as connection:
        verdict = judge(connection, rule, NAME)
        assert judge(connection, rule, "other").holds
    assert verdict.count == plant.count, verdict.sentence
    assert any(meets(example, plant.named) for example in verdict.examples), verdict.examples
    json.dumps(verdict.examples, allow_nan=False)


def test_a_warning_says_why_there_is_no_checkpoint(healthy: Lake, tmp_path: Path) -> None:
    shutil.copytree(healthy.root, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    for table, how in (
        ("artifacts", drop(trial_id=PLAIN)),
        ("trials", edit({"trial_id": PLAIN}, warnings=["the disk was full"])),
    ):
        with lake.writer(table, NAME) as writer:
            writer.replace(how(lake.read(table, NAME).to_pylist()), {})
            writer.commit()
    assert alarms(lake) == []
