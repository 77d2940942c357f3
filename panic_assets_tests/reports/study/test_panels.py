"""What the charts of a study show, found in their drawing."""

from __future__ import annotations

import json
import math
import re

import pytest

from panic_assets.reports.study import bounds, panels
from panic_assets.reports.study.contents import Study, by_pair, mean_interval, study_of
from panic_assets.reports.study.curves import thinned, trial_panels
from panic_assets_tests.studies import made


def study(count: int = 50, **changed: object) -> Study:
    rows = made.rows(count)
    rows["comparison"] = rows.pop("study_comparison")
    return study_of("demo", **(rows | changed))


@pytest.fixture(scope="module")
def demo() -> Study:
    return study()


def test_arms_have_one_order_and_one_colour(demo: Study):
    assert demo.arms == ("none", "spectral_norm", "dropout", "gradient_clipping", "weight_decay")
    assert [demo.colour(arm) for arm in demo.arms] == [0, 1, 2, 3, 4]
    assert demo.verdict == "opposite"
    without = study_of("x", trials=made.trials(4, arms=("b", "a")))
    assert without.arms == ("none", "a", "b"), "the reference keeps its colour where it is not there"


def test_a_verdict_is_what_the_sentence_ends_with():
    said = {
        "claim one: the claim that it is higher is not supported, as the interval holds zero.": "not supported",
        "with opposite_arm: the claim that it is lower is supported.": "supported",
        "the claim is inconclusive, as so few pairs give no interval.": "inconclusive",
        "": "",
    }
    for sentence, verdict in said.items():
        found = study_of("x", trials=[], comparison=made.comparison(made.trials(10), sentence=sentence))
        assert found.verdict == verdict


def test_differences_show_each_pair_and_the_mean_with_its_interval(demo: Study):
    panel = panels.differences(demo, "test_accuracy")
    assert panel is not None
    assert panel.svg.count('class="dot a1"') == 10
    assert panel.svg.count('class="mean a1"') == 1
    assert panel.svg.count('class="interval') == 4
    pairs = by_pair(demo, "test_accuracy")["spectral_norm"]
    told = re.search(r"spectral norm \u2212 none: (\S+) \[", panel.svg)
    assert told is not None
    mean = 100 * sum(pairs.values()) / len(pairs)
    assert float(told[1].replace("\u2212", "-")) == pytest.approx(mean, rel=0.01)
    assert "percentage points, right of 0 is better" in panel.svg


def test_of_many_pairs_some_are_drawn_and_it_says_so():
    panel = panels.differences(study(500), "test_accuracy")
    assert panel is not None
    assert panel.svg.count('class="dot a1"') == 60
    assert "Of 100 pairs 60 are drawn" in panel.note


def test_bars_begin_at_zero_and_stand_for_means(demo: Study):
    panel = panels.bars(demo, ("train_accuracy", "test_accuracy"), "Accuracy")
    assert panel is not None
    bars = re.findall(r'class="bar a(\d)" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', panel.svg)
    assert [int(kind) for kind, *_ in bars] == [0, 1, 2, 3, 4] * 2
    foot = {round(float(y) + float(height), 1) for _, y, height in bars}
    assert max(foot) - min(foot) < 0.2
    assert max(float(height) for *_, height in bars) > 150
    assert panels.bars(demo, ("unheard_of",), "X") is None


def test_a_scatter_has_a_mark_for_each_trial_and_names_each_arm(demo: Study):
    panel = panels.scatter(demo, "lipschitz_upper", "test_accuracy", lambda trial: f"/t/{trial.trial_id}")
    assert panel is not None
    assert panel.svg.count("<a ") == 50
    for arm in ("none", "spectral norm", "dropout"):
        assert f">{arm}</text>" in panel.svg
    assert "logarithmic" in panel.note


def test_accuracy_falls_along_epsilon_in_a_panel_for_each_attack(demo: Study):
    found = panels.robustness(demo)
    assert [panel.title for panel in found] == ["PGD, L2", "FGSM, L2", "Gaussian noise, L2", "PGD, L\u221e"]
    line = re.search(r'class="line a1" d="M([^"]+)"', found[0].svg)
    assert line is not None
    heights = [float(point.split()[1]) for point in line[1].split("L")]
    assert len(heights) == 6, "the clean accuracy, and five sizes"
    assert heights == sorted(heights)
    assert 'class="sure a1"' in found[0].svg
    assert 'class="sure' not in found[1].svg
    assert found[2].svg.count("standard deviation of the noise") == 1


def test_singular_values_stand_beside_the_bound(demo: Study):
    found = bounds.sigmas(demo)
    assert [panel.title for panel in found] == ["Largest singular value by layer"], "operator norms are the same here"
    assert "c = 1" in found[0].svg
    assert found[0].svg.count('class="median a1"') == 3
    rows = [
        row | {"value": row["value"] * 2} if row["quantity"] == "operator_norm" else row for row in made.lipschitz(50)
    ]
    assert len(bounds.sigmas(study(lipschitz=rows))) == 2
    assert bounds.lipschitz(demo) is not None


def test_cost_is_told_as_a_ratio(demo: Study):
    panel = bounds.cost(demo)
    assert panel is not None
    assert "1.07\u00d7" in panel.svg
    assert bounds.cost(study(comparison=[])) is None


def test_nothing_is_drawn_of_nothing():
    empty = study_of("x", trials=[])
    assert panels.differences(empty, "test_accuracy") is None
    assert panels.scatter(empty, "a", "b") is None
    assert panels.robustness(empty) == []
    assert bounds.sigmas(empty) == []


def test_values_that_are_no_numbers_break_no_chart():
    rows = made.trials(20)
    for row, value in zip(rows, (math.nan, math.inf, None, "x"), strict=False):
        row["metrics"] = {**json.loads(row["metrics"]), "test_accuracy": value, "lipschitz_upper": value}
    odd = study_of("x", trials=rows, comparison=made.comparison(made.trials(20)))
    for panel in (
        panels.scatter(odd, "lipschitz_upper", "test_accuracy"),
        panels.bars(odd, ("test_accuracy",), "Accuracy"),
        panels.differences(odd, "test_accuracy"),
        bounds.lipschitz(odd),
    ):
        assert panel is not None
        assert not re.search(r'="(nan|inf)', panel.svg)


def test_an_interval_is_that_of_student():
    mean, low, high = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (mean, high - mean) == (3.0, pytest.approx(2.776445 * math.sqrt(2.5 / 5)))
    assert mean - low == pytest.approx(high - mean)
    assert mean_interval([2.0]) == (2.0, 2.0, 2.0)
    assert all(math.isnan(value) for value in mean_interval([math.nan]))


def test_thinning_keeps_ends_and_spikes():
    points = [(step, 1.0) for step in range(10_000)]
    points[4321] = (4321, 50.0)
    points[7000] = (7000, None)
    kept = thinned(points, 200)
    assert len(kept) <= 200
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert points[4321] in kept
    assert [step for step, _ in kept] == sorted({step for step, _ in kept})
    assert thinned(points[:5], 200) == points[:5]


def test_curves_of_a_trial_are_grouped_by_what_they_measure():
    curves = {name: list(enumerate(values)) for name, values in made.epochs(1).items()}
    found = trial_panels(curves | {"odd": [(0, None)], "reward": [(3, 2.0)]})
    assert [panel.title for panel in found] == ["Loss", "Accuracy", "Singular values", "Reward"]
    assert "layer 0" in found[2].svg
    assert found[0].svg.count('class="line') == 2
