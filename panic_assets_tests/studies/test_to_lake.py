"""Studies on their way into the lake and out of it, from a real event store."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import pytest

from panic_assets.lake import TABLES, Lake, SchemaViolation, connect
from panic_assets.lake.rules import judge
from panic_assets.lake.study_rules import STUDY_RULES
from panic_assets.studies import from_lake, to_lake
from panic_assets.studies.events.rows import ArtifactRow, MetricRow, ModelRunRow, TrialRow
from panic_assets.studies.events.store import EventStore, open_store
from panic_assets.studies.from_lake import ComparisonRow, LipschitzRow, RobustnessRow
from panic_assets_tests.studies import made, sound

ROWS = {
    "model_runs": ModelRunRow,
    "trials": TrialRow,
    "trial_metrics": MetricRow,
    "artifacts": ArtifactRow,
    "lipschitz": LipschitzRow,
    "robustness": RobustnessRow,
    "study_comparison": ComparisonRow,
}


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    told = open_store(f"sqlite:///{tmp_path / 'events.db'}")
    made.tell(told, 6, epoch_count=3, study="demo", running=1)
    made.tell(told, 2, epoch_count=2, study="other")
    return told


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def generations(lake: Lake, study: str = "demo") -> dict[str, int]:
    return {table: lake.generation(table, study) for table in from_lake.STUDY_TABLE_NAMES}


def test_rows_have_the_columns_of_their_tables() -> None:
    assert set(ROWS) == set(from_lake.STUDY_TABLE_NAMES) == {name for name, spec in TABLES.items() if spec.of_study}
    for table, kind in ROWS.items():
        names = [field.name for field in fields(kind)]
        assert [name for name in TABLES[table].names if name != "study"] == [name for name in names if name != "study"]


def test_what_the_store_tells_comes_back_from_the_lake(store: EventStore, lake: Lake) -> None:
    assert to_lake.write_trials(store, lake, "demo") == {"model_runs": 1, "trials": 6, "artifacts": 5}
    written = to_lake.write_metrics(store, lake, "demo")["trial_metrics"]
    assert from_lake.study_model_runs(lake, "demo") == store.model_runs("demo")
    by_id = {row.trial_id: row for row in store.trials("demo")}
    assert {row.trial_id: row for row in from_lake.study_trials(lake, "demo")} == by_id
    assert {row.artifact_id for row in store.artifacts("demo")} == {
        row.artifact_id for row in from_lake.study_artifacts(lake, "demo")
    }
    assert from_lake.study_metrics(lake, "demo") == store.metrics(study="demo")
    assert written == len(store.metrics(study="demo")) > 0
    assert [row.state for row in from_lake.study_trials(lake, "demo", state="running")] == ["running"]
    one = next(iter(by_id))
    assert {row.trial_id for row in from_lake.study_metrics(lake, "demo", [one])} == {one}
    assert from_lake.studies_in(lake) == ["demo"]
    assert from_lake.study_trials(lake, "other") == []


def test_equal_content_is_not_written_again(store: EventStore, lake: Lake) -> None:
    made.fill(lake, store, 6)
    before = generations(lake)
    assert set(before.values()) == {1}
    made.fill(lake, store, 6)
    assert generations(lake) == before
    store.ingest([made.end_of(made.trials(6)[5])])
    made.fill(lake, store, 6)
    changed = {table for table, generation in generations(lake).items() if generation > before[table]}
    assert {"trials"} <= changed <= {"trials", "model_runs", "trial_metrics"}


def test_what_is_written_breaks_no_rule_of_origin(store: EventStore, lake: Lake) -> None:
    made.fill(lake, store, 6)
    with connect(lake.root) as connection:
        broken = {rule.name for rule in STUDY_RULES if not judge(connection, rule, "demo").holds}
    assert broken <= {"arms_and_pairs_are_complete", "comparisons_are_of_their_trials"}, "a trial is still running"


def test_a_study_that_shrank_is_replaced_whole(lake: Lake) -> None:
    rows = [RobustnessRow(f"t{number}", "pgd", "l2", 0.1, "accuracy", 0.5, 10) for number in range(3)]
    assert to_lake.write_robustness(lake, "demo", rows) == 3
    assert to_lake.write_robustness(lake, "demo", rows[:1]) == 1
    assert from_lake.study_robustness(lake, "demo") == rows[:1]
    assert to_lake.write_robustness(lake, "demo", []) == 0
    assert (from_lake.study_robustness(lake, "demo"), lake.generation("robustness", "demo")) == ([], 3)


def test_numbers_that_are_none(lake: Lake) -> None:
    """Not-a-number is null where a table has nulls; a bound that is none is left out; unlike the mean of no pairs."""
    robust = RobustnessRow("t", "pgd", "l2", 0.1, "loss", math.nan, 10)
    to_lake.write_robustness(lake, "demo", [robust])
    assert from_lake.study_robustness(lake, "demo") == [replace(robust, value=None)]
    bounds = [LipschitzRow("t", -1, "", "upper", math.inf), LipschitzRow("t", -1, "", "lower", 1.5)]
    assert to_lake.write_lipschitz(lake, "demo", bounds) == 1
    assert from_lake.study_lipschitz(lake, "demo", ["t"]) == bounds[1:]
    assert from_lake.study_lipschitz(lake, "demo", []) == []
    (row,) = sound.tables("demo")["study_comparison"]
    for _ in range(2):
        to_lake.write_comparison(lake, "demo", [row | {"pairs": 0, "difference": math.nan, "p_value": math.nan}])
    (found,) = from_lake.study_comparison(lake, "demo")
    assert (math.isnan(found.difference), found.p_value, found.pairs) == (True, None, 0)
    assert lake.generation("study_comparison", "demo") == 1, "a NaN is the same as another"


def test_the_claim_bears_the_sentence(lake: Lake) -> None:
    (row,) = sound.tables("demo")["study_comparison"]
    plain = {name: value for name, value in row.items() if name not in ("is_claim", "sentence")}
    rows = [plain, plain | {"metric": "test_loss"}]
    assert from_lake.study_sentence(lake, "demo") is None
    to_lake.write_comparison(lake, "demo", rows, ("spectral_norm", "test_loss"), "It does not help.")
    found = {row.metric: (row.is_claim, row.sentence) for row in from_lake.study_comparison(lake, "demo", "comparison")}
    assert found == {"test_accuracy": (False, None), "test_loss": (True, "It does not help.")}
    assert from_lake.study_sentence(lake, "demo") == "It does not help."


def test_a_row_that_does_not_fit_changes_nothing(lake: Lake) -> None:
    row = RobustnessRow("t", "pgd", "l2", 0.1, "accuracy", 0.5, 10)
    to_lake.write_robustness(lake, "demo", [row])
    with pytest.raises(SchemaViolation, match="table robustness, column rows: expected int32"):
        to_lake.write_robustness(lake, "demo", [{**vars(row), "rows": 1.5}])
    assert from_lake.study_robustness(lake, "demo") == [row]
