"""The rules of analyses: healthy rows break none, and each defect is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from panic_assets.lake import Lake, connect
from panic_assets.lake.analysis_rules import DISTANCES, soundness_of
from panic_assets.lake.rules import Rule, Verdict, judge
from panic_assets_tests.lake.make import row

SOUND: dict[str, dict[str, Any]] = {
    "dynamics": {"value": 1.0, "low": 0.5, "high": 1.5, "p_value": 0.01, "p_adjusted": 0.02, "runs": 3, "network": ""},
    "run_statistics": {"run_number": 0, "low": None, "high": None},
    "curves": {"low": 0.0, "high": 1.0, "network": "", "x": 2.0},
    "diagram_distances": {"run_a": 0, "run_b": 1, "wasserstein_1": 2.0, "bottleneck": 1.0},
}


def _verdict(folder: Path, rule: Rule, **changes: dict[str, Any]) -> Verdict:
    lake = Lake(folder)
    with lake.writer("runs", "first") as writer:
        writer.append([row("runs", number, run_number=number) for number in (0, 1)])
        writer.commit()
    for table, values in SOUND.items():
        own = {"analysis": "drift"} if table != "diagram_distances" else {}
        with lake.writer(table, "first") as writer:
            writer.append([row(table, 0, **own | values | changes.get(table, {}))])
            writer.commit()
    with connect(lake.root, rule.tables) as connection:
        return judge(connection, rule, "first")


@pytest.mark.parametrize("rule", [soundness_of("drift"), DISTANCES], ids=lambda rule: rule.name)
def test_sound_rows_break_no_rule(tmp_path: Path, rule: Rule) -> None:
    assert _verdict(tmp_path, rule).holds


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("dynamics", {"low": 2.0}),
        ("dynamics", {"p_value": 1.5}),
        ("dynamics", {"p_adjusted": 0.001}),
        ("dynamics", {"runs": -1}),
        ("dynamics", {"network": "nobody -> knows"}),
        ("run_statistics", {"run_number": 7}),
        ("run_statistics", {"low": 2.0, "high": 1.0}),
        ("curves", {"low": 3.0}),
        ("curves", {"network": "nobody -> knows"}),
    ],
)
def test_a_defect_of_an_analysis_is_found(tmp_path: Path, table: str, change: dict[str, Any]) -> None:
    verdict = _verdict(tmp_path, soundness_of("drift"), **{table: change})
    assert [example["place"] for example in verdict.examples] == [table]


@pytest.mark.parametrize(
    "change", [{"run_b": 7}, {"run_a": 1, "run_b": 0}, {"wasserstein_1": -1.0}, {"bottleneck": 3.0}]
)
def test_a_distance_that_is_none_is_found(tmp_path: Path, change: dict[str, Any]) -> None:
    assert _verdict(tmp_path, DISTANCES, diagram_distances=change).count == 1
