"""Verdicts follow the interval; the sentence has effect, interval, pairs, size, cost and verdict."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Literal

import pytest

from panic_assets.studies.claim import claimed, comparison_rows, sentence, verdict
from panic_assets.studies.comparison import Comparison
from panic_assets.studies.from_lake import ComparisonRow
from panic_assets.studies.metrics import metrics_of
from panic_assets.studies.quantities import better, is_ratio, words
from panic_assets.studies.spec_sections import Claim

NAN = float("nan")
FOUND = Comparison(
    "comparison", "spectral_norm", "none", "test_accuracy", 10,
    0.842, 0.811, 0.031, 0.012, 0.0496, 0.95, None, 1.234, 0.003, 4 / 1024, 0.02, 9,
)  # fmt: skip
COST = replace(FOUND, metric="step_seconds", arm_mean=0.0021, reference_mean=0.0019, ratio=1.0815)


@pytest.mark.parametrize(
    ("low", "high", "direction", "expected"),
    [
        (0.1, 0.2, "higher", "supported"),
        (0.1, 0.2, "different", "supported"),
        (0.1, 0.2, "lower", "opposite"),
        (-0.2, -0.1, "lower", "supported"),
        (-0.2, -0.1, "higher", "opposite"),
        (-0.2, -0.1, "different", "supported"),
        (-0.1, 0.2, "higher", "not supported"),
        (0.0, 0.2, "higher", "not supported"),
        (0.0, 0.0, "different", "not supported"),
        (NAN, NAN, "higher", "inconclusive"),
    ],
)
def test_verdict_is_what_the_interval_says(
    low: float, high: float, direction: Literal["higher", "lower", "different"], expected: str
) -> None:
    assert verdict(replace(FOUND, low=low, high=high), Claim(direction=direction)) == expected


def test_the_sentence_can_be_quoted() -> None:
    assert sentence([COST, FOUND], Claim()) == (
        "With spectral normalisation, test accuracy is 0.842 against 0.811 with no constraint, a difference of +0.031 "
        "(95 % interval +0.012 to +0.0496, 10 pairs, effect size d_z 1.23, exact p 0.00391), at 1.08 times the time "
        "per step: the claim that it is higher is supported."
    )


@pytest.mark.parametrize(
    ("changes", "direction", "end"),
    [
        ({"low": -0.01}, "higher", "the claim that it is higher is not supported, as the interval holds zero."),
        ({}, "lower", "the claim that it is lower is refuted, the opposite holds."),
        ({}, "different", "the claim that it differs is supported."),
        (
            {"low": NAN, "high": NAN, "pairs": 4},
            "higher",
            "the claim that it is higher is inconclusive, as so few pairs give no interval.",
        ),
    ],
)
def test_the_sentence_ends_with_the_verdict(
    changes: dict[str, Any], direction: Literal["higher", "lower", "different"], end: str
) -> None:
    said = sentence([replace(FOUND, **changes)], Claim(direction=direction))
    assert said.endswith(": " + end)
    assert "nan" not in said
    assert "times the time" not in said


@pytest.mark.parametrize("comparisons", [[], [replace(FOUND, pairs=0)], [replace(FOUND, mode="search")]])
def test_a_claim_about_what_nobody_measured_is_inconclusive(comparisons: list[Comparison]) -> None:
    assert sentence(comparisons, Claim()) == (
        "The claim about spectral normalisation and test accuracy, that it is higher, is inconclusive: no pair of "
        "completed trials has this measure."
    )
    assert verdict(claimed([], Claim()), Claim()) == "inconclusive"


def test_rows_are_those_of_the_table_and_the_claim_alone_has_the_sentence() -> None:
    rows = comparison_rows([COST, FOUND], Claim())
    assert all(set(row) == {field.name for field in fields(ComparisonRow)} for row in rows)
    assert [row["is_claim"] for row in rows] == [False, True]
    assert [row["sentence"] for row in rows] == [None, sentence([COST, FOUND], Claim())]
    assert not any(row["is_claim"] for row in comparison_rows([COST, FOUND], None))


def test_every_measure_but_the_number_of_epochs_has_a_better_side() -> None:
    sides = {name: better(name) for task in ("next_step", "digits") for name in metrics_of(task)}  # type: ignore[arg-type]
    assert [name for name, side in sides.items() if side is None] == ["epochs"]
    higher = {name for name, side in sides.items() if side == "higher"}
    assert higher == {
        "train_accuracy", "validation_accuracy", "test_accuracy", "test_accuracy_unseen", "certified_radius_median",
        "train_cosine", "validation_cosine", "test_cosine", "rollout_settled", "rollout_cosine",
    }  # fmt: skip
    assert better("robust_area_pgd_l2") == "higher"


def test_measures_have_names_for_people() -> None:
    assert words("robust_area_pgd_linf") == "mean accuracy under PGD (l-infinity)"
    assert words("test_accuracy") == "test accuracy"
    assert words("ece") == "expected calibration error"
    assert [is_ratio(name) for name in ("step_seconds", "test_loss")] == [True, False]
