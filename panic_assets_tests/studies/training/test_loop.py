"""Training: what is learnt, what is equal between arms, and how trials end."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from panic_assets.studies.leakage import unseen
from panic_assets.studies.metrics import metrics_of
from panic_assets.studies.records import Dataset, Epoch, State
from panic_assets.studies.training import loop
from panic_assets.studies.training.loop import Trained, train
from panic_assets.studies.training.models import weighted
from panic_assets.studies.training.scoring import Scored
from panic_assets_tests.studies.training.made import blobs, trial, turning

COSTS = {"seconds", "step_seconds", "peak_memory_mb", "epochs"}
ARMS: dict[str, dict[str, Any]] = {
    "none": {},
    "spectral_norm": {"spectral_norm": True},
    "weight_decay": {"weight_decay": 1.0},
    "gradient_clipping": {"gradient_clip": 0.01},
    "dropout": {"dropout": 0.3},
}


def weights_of(done: Trained) -> list[torch.Tensor]:
    assert done.model is not None
    return [value.clone() for value in done.model.state_dict().values()]


def are_equal(one: Trained, other: Trained) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights_of(one), weights_of(other), strict=True))


def without_times(done: Trained) -> dict[str, float]:
    return {name: value for name, value in done.metrics.items() if not name.endswith("seconds")}


def test_a_rotation_is_learnt_by_a_linear_model_and_classes_by_a_small_one() -> None:
    done = train(trial(layers=0, epochs=60, learning_rate=3e-2), turning())
    assert done.state == "completed"
    assert done.metrics["test_loss"] < 1e-3
    assert done.metrics["test_accuracy"] == 1
    assert done.metrics["test_cosine"] > 0.999
    classes = train(trial(task="digits", epochs=10), blobs())
    assert classes.metrics["test_accuracy"] > 0.95
    assert "test_cosine" not in classes.metrics


@pytest.mark.parametrize("data", [turning(), blobs()], ids=["vectors", "classes"])
def test_metrics_are_those_of_the_model_that_is_given_back(data: Dataset) -> None:
    done = train(trial(spectral_norm=True, dropout=0.2), data)
    assert done.model is not None
    assert not done.model.training
    score = Scored(data.test).score(done.model)
    assert done.metrics["test_loss"] == score.loss
    assert done.metrics["test_accuracy"] == score.accuracy
    assert done.metrics["generalisation_gap"] == done.metrics["test_loss"] - done.metrics["train_loss"]
    assert done.metrics["accuracy_gap"] == done.metrics["train_accuracy"] - done.metrics["test_accuracy"]
    assert done.metrics["epochs"] == 4
    assert set(done.metrics) <= set(metrics_of(data.task))
    assert set(done.metrics) > COSTS


def test_accuracy_of_unseen_inputs_is_told_apart() -> None:
    data = blobs()
    half = len(data.test) // 2
    x, y = data.test.x.copy(), data.test.y.copy()
    x[:half], y[:half] = data.train.x[:half], data.train.y[:half]
    mixed = replace(data, test=replace(data.test, x=x, y=y))
    done = train(trial(task="digits"), mixed)
    is_new = unseen(mixed.test, mixed.train)
    assert done.model is not None
    credit = Scored(mixed.test).score(done.model).credit
    assert done.metrics["test_accuracy_unseen"] == np.mean(credit[is_new])
    known = train(trial(task="digits"), replace(data, test=data.train))
    assert "test_accuracy_unseen" not in known.metrics


@pytest.mark.parametrize("arm", list(ARMS))
def test_equal_trials_give_equal_weights_whatever_was_drawn_before(arm: str) -> None:
    torch.manual_seed(1)
    one = train(trial(arm, **ARMS[arm]), turning())
    torch.rand(17)
    other = train(trial(arm, **ARMS[arm]), turning())
    assert are_equal(one, other)
    assert without_times(one) == without_times(other)
    assert [epoch.metrics for epoch in one.epochs] == [epoch.metrics for epoch in other.epochs]
    assert not are_equal(one, train(trial(arm, seed=1, **ARMS[arm]), turning()))


def test_training_leaves_torch_as_it_was() -> None:
    torch.manual_seed(3)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train(trial(dropout=0.5, spectral_norm=True), turning())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_all_arms_see_the_same_batches_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[np.ndarray]] = {}
    plain = loop.loss_of

    def watched(predicted: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        batches.append(y.numpy().copy())
        return plain(predicted, y)

    monkeypatch.setattr(loop, "loss_of", watched)
    for arm, own in ARMS.items():
        batches = seen[arm] = []
        train(trial(arm, **own), turning())
    first = seen["none"]
    assert len(first) == 4 * math.ceil(120 / 16)
    for arm in ARMS:
        assert all(np.array_equal(a, b) for a, b in zip(first, seen[arm], strict=True)), arm
    assert not np.array_equal(first[0], first[8])  # every epoch has an order of its own


def test_each_epoch_is_told_as_it_ends() -> None:
    told: list[Epoch] = []
    done = train(trial(), turning(), told.append)
    assert [epoch.number for epoch in told] == [1, 2, 3, 4]
    assert tuple(told) == done.epochs
    assert set(told[0].metrics) == {"train_loss", "validation_loss", "validation_accuracy", "validation_cosine"}
    assert set(told[0].sigmas) == {"1", "2", "3"}
    assert told[-1].metrics["train_loss"] < told[0].metrics["train_loss"]
    assert told[-1].metrics["validation_loss"] == done.metrics["validation_loss"]


def test_the_learning_rate_falls_to_zero_in_every_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: dict[str, list[float]] = {}
    plain = loop._optimiser

    def watched(*given: Any) -> torch.optim.Optimizer:
        optimiser = plain(*given)
        optimiser.register_step_pre_hook(lambda made, *_: own.append(made.param_groups[0]["lr"]))
        return optimiser

    monkeypatch.setattr(loop, "_optimiser", watched)
    for arm, values in ARMS.items():
        own = rates[arm] = []
        train(trial(arm, **values), turning())
    steps = 4 * math.ceil(120 / 16)
    assert rates["none"] == pytest.approx([0.005 * (1 + math.cos(math.pi * k / steps)) for k in range(steps)])
    assert all(rates[arm] == rates["none"] for arm in ARMS)


@pytest.mark.parametrize("arm", [{"weight_decay": 5.0}, {"gradient_clip": 1e-3}, {"dropout": 0.5}])
def test_each_arm_has_its_effect(arm: dict[str, float]) -> None:
    plain, own = train(trial(epochs=8), turning()), train(trial(epochs=8, **arm), turning())
    assert not are_equal(plain, own)
    if "weight_decay" in arm:
        sizes = [sum(float(w.square().sum()) for w in weights_of(done)) for done in (plain, own)]
        assert sizes[1] < 0.8 * sizes[0]


def test_decay_leaves_biases_alone() -> None:
    zero = replace(turning(), train=replace(turning().train, x=np.zeros((120, 6), np.float32)))
    one, other = (train(trial(layers=0, epochs=2, weight_decay=decay), zero) for decay in (0.0, 10.0))
    assert one.model is not None
    assert other.model is not None
    a, b = weighted(one.model)["1"], weighted(other.model)["1"]
    assert torch.equal(a.bias, b.bias)
    assert not torch.equal(a.weight, b.weight)


@pytest.mark.parametrize("spectral", [False, True])
def test_a_trial_that_diverges_fails_with_nan_loss_and_is_told_to_the_end(spectral: bool) -> None:
    told: list[Epoch] = []
    data = turning()
    x = data.train.x.copy()
    x[3] = np.inf
    done = train(trial(spectral_norm=spectral), replace(data, train=replace(data.train, x=x)), told.append)
    assert (done.state, done.error_type) == ("failed", "nan_loss")
    assert done.error is not None
    assert "epoch 1" in done.error
    assert "lower learning_rate (0.01)" in done.error
    assert len(told) == len(done.epochs) == 1
    assert set(done.metrics) == COSTS


def test_weights_that_leave_the_numbers_fail_too() -> None:
    done = train(trial(learning_rate=1e30, epochs=10), turning())
    assert (done.state, done.error_type) == ("failed", "nan_loss")
    assert all(math.isfinite(value) for value in done.metrics.values())


def test_a_trial_whose_time_is_up_ends_within_the_epoch() -> None:
    told: list[Epoch] = []
    done = train(trial(epochs=10_000), turning(), told.append, seconds=0.0)
    assert (done.state, done.error_type, len(told)) == ("timed_out", "timeout", 0)
    assert done.error == "0 seconds were over in epoch 1"
    assert done.metrics["epochs"] == 0


@pytest.mark.parametrize(("wanted", "error_type"), [("cancelled", None), ("timed_out", "timeout")])
def test_who_asks_can_end_a_trial_after_an_epoch(wanted: State, error_type: str | None) -> None:
    done = train(trial(), turning(), should_stop=lambda epoch: wanted if epoch.number == 2 else None)
    assert (done.state, done.error_type, len(done.epochs)) == (wanted, error_type, 2)
    assert done.metrics["test_loss"] > 0
    whole = train(trial(), turning())
    assert [epoch.metrics for epoch in done.epochs] == [epoch.metrics for epoch in whole.epochs[:2]]
    assert not are_equal(done, whole)


def test_what_the_caller_raises_passes_through() -> None:
    def broken(epoch: Epoch) -> None:
        raise OSError("no space left on the device")

    with pytest.raises(OSError, match="no space left"):
        train(trial(), turning(), broken)


def test_a_model_that_no_memory_holds_fails_and_says_so() -> None:
    done = train(trial(width=10_000_000), turning())
    assert (done.state, done.error_type, done.model) == ("failed", "OOM", None)
    assert done.error is not None
    assert "lower width (10000000)" in done.error


def test_other_defects_are_raised() -> None:
    data = turning()
    with pytest.raises(RuntimeError, match="shape"):
        train(trial(), replace(data, validation=replace(data.validation, x=data.validation.x[:, :4])))


def test_memory_is_counted_the_same_each_time_and_bounds_cost_some() -> None:
    first, again = (train(trial(epochs=1), turning()).peak_memory_bytes for _ in range(2))
    bounded = train(trial(epochs=1, spectral_norm=True), turning()).peak_memory_bytes
    wide = train(trial(epochs=1, width=24), turning()).peak_memory_bytes
    assert first == again < bounded
    assert wide > 1.5 * first
    numbers = 12 * 6 + 12 + 12 * 12 + 12 + 6 * 12 + 6
    assert first > 4 * 4 * numbers  # weights, gradients, and two moments of each
