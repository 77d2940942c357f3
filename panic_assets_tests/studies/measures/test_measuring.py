"""All measures of a trial: under the names that claims know, as rows that the lake takes, the same every time."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from panic_assets.studies.from_lake import LipschitzRow, RobustnessRow
from panic_assets.studies.measures import MeasureError, measure
from panic_assets.studies.metrics import is_metric
from panic_assets.studies.records import Dataset, Hyperparameters, Kind, Task
from panic_assets.studies.spec_sections import Evaluation
from panic_assets_tests.studies.measures.make import blobs, linear, network, next_steps, trial

SMALL = Evaluation(epsilons={"l2": (0.1, 0.2), "linf": (0.05,)}, pgd_steps=3, noise_draws=2, most_rows=40, horizon=4)


def data_of(task: Task) -> Dataset:
    if task == "next_step":
        return next_steps()
    return blobs(task, shape=(1, 8, 8) if task == "digits" else (5,))


TASKS: list[tuple[Task, Kind]] = [
    ("next_step", "mlp"),
    ("next_step", "residual"),
    ("prompt_recovery", "mlp"),
    ("network_identification", "residual"),
    ("digits", "cnn"),
    ("digits", "mlp"),
]


@pytest.mark.parametrize(("task", "kind"), TASKS)
def test_every_task_has_finite_measures_under_known_names_and_rows_with_distinct_keys(task: Task, kind: Kind) -> None:
    data = data_of(task)
    hyper = Hyperparameters(kind=kind, layers=2, width=8, spectral_norm=True, coefficient=0.9)
    model = network(hyper, data.train.x.shape[1:], len(data.classes) or data.train.y.shape[1])
    found = measure(model, trial(task, hyper), data, SMALL)
    assert all(np.isfinite(value) for value in found.metrics.values())
    assert [name for name in found.metrics if not is_metric(name, task)] == []
    assert {"lipschitz_upper", "lipschitz_lower", "certified_radius_median", "robust_area_pgd_l2"} <= set(found.metrics)
    assert ("ece" in found.metrics) == data.is_classification
    assert ("rollout_settled" in found.metrics) == (task == "next_step")

    norms, robust = found.lipschitz_rows(), found.robustness_rows()
    assert all(set(row) | {"trial_id"} == {field.name for field in fields(LipschitzRow)} for row in norms)
    assert all(set(row) | {"trial_id"} == {field.name for field in fields(RobustnessRow)} for row in robust)
    assert len({(row["layer"], row["quantity"]) for row in norms}) == len(norms)
    assert len({(row["attack"], row["norm"], row["epsilon"], row["metric"]) for row in robust}) == len(robust)
    whole = {row["quantity"]: row["value"] for row in norms if row["layer"] == -1}
    assert whole == {
        "upper": found.metrics["lipschitz_upper"],
        "lower": found.metrics["lipschitz_lower"],
        "coefficient": 0.9,
    }
    assert {row["layer"] for row in norms} == {-1, *range(len(found.bounds.layers))}
    assert ("fft_bound" in {row["quantity"] for row in norms}) == (kind == "cnn")


def test_equal_trials_measure_equal_and_the_model_stays_as_it_was() -> None:
    data = next_steps()
    model = network(Hyperparameters(layers=1, width=8, dropout=0.5), (6,), 6).train().requires_grad_(True)
    before = [parameter.clone() for parameter in model.parameters()]
    first, second = (measure(model, trial("next_step"), data, SMALL) for _ in range(2))
    assert first.metrics == second.metrics
    assert first.robustness_rows() == second.robustness_rows()
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(*both) for both in zip(before, model.parameters(), strict=True))


def test_only_what_is_asked_for_is_measured() -> None:
    few = Evaluation(norms=("linf",), epsilons={"linf": (0.1,)}, attacks=("fgsm",), most_rows=10)
    found = measure(network(Hyperparameters(), (5,), 3), trial("prompt_recovery"), blobs(), few)
    assert [(row.attack, row.norm, row.epsilon) for row in found.robust] == [
        ("none", "none", 0.0),
        ("fgsm", "linf", 0.1),
    ]
    assert {row.rows for row in found.robust} == {10}
    assert found.coefficient is None


def test_weights_without_numbers_are_refused_by_name() -> None:
    with pytest.raises(MeasureError, match="layer 1"):
        measure(linear(np.full((3, 5), np.inf)), trial("prompt_recovery"), blobs(), SMALL)
