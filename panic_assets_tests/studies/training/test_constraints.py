"""The bound on the spectral norm: what it holds, exactly, and what follows for models of next steps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from panic_assets.studies.records import Hyperparameters, Kind
from panic_assets.studies.training.constraints import constrain, fold, layer_sigmas
from panic_assets.studies.training.loop import train
from panic_assets.studies.training.models import build, weighted
from panic_assets_tests.studies.training.made import blobs, trial, turning


def svd(layer: nn.Module) -> float:
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return float(np.linalg.svd(layer.weight.detach().double().flatten(1).numpy(), compute_uv=False)[0])


@pytest.mark.parametrize("kind", ["mlp", "residual", "cnn"])
@pytest.mark.parametrize("coefficient", [0.7, 1.0, 2.0])
def test_after_training_no_singular_value_is_above_the_coefficient(kind: Kind, coefficient: float) -> None:
    data = blobs(shape=(1, 8, 8)) if kind == "cnn" else turning()
    done = train(trial(kind=kind, spectral_norm=True, coefficient=coefficient, epochs=2), data)
    assert done.model is not None
    assert not any("parametrizations" in name for name, _ in done.model.named_modules())
    for layer in weighted(done.model).values():
        assert svd(layer) == pytest.approx(coefficient, rel=1e-5)
    free = train(trial(kind=kind, epochs=2), data)
    assert free.model is not None
    assert layer_sigmas(free.model) == pytest.approx({name: svd(one) for name, one in weighted(free.model).items()})


def test_the_estimate_catches_up_by_the_end_so_that_the_exact_bound_changes_little() -> None:
    done = train(trial(spectral_norm=True, coefficient=0.9, epochs=20), turning())
    off = [max(abs(sigma / 0.9 - 1) for sigma in epoch.sigmas.values()) for epoch in done.epochs]
    assert off[-1] < 0.02 < max(off)
    assert done.metrics["validation_loss"] == pytest.approx(done.epochs[-1].metrics["validation_loss"], rel=0.02)


def test_more_iterations_estimate_better() -> None:
    few, many = (train(trial(spectral_norm=True, epochs=8, power_iterations=count), turning()) for count in (1, 20))
    off = [np.mean([abs(s - 1) for epoch in done.epochs for s in epoch.sigmas.values()]) for done in (few, many)]
    assert off[1] < 0.3 * off[0]


def test_folding_is_exact_where_power_iteration_is_not() -> None:
    hyper = Hyperparameters(layers=0, spectral_norm=True)
    model = build(hyper, (4,), 4, 0)
    constrain(model, hyper)
    layer = model[0]
    with torch.no_grad():  # the iteration looks along the third axis, where the matrix is small
        dict(layer.named_parameters())["parametrizations.weight.original"].copy_(
            torch.diag(torch.tensor([5.0, 4, 1, 1]))
        )
        for name, vector in layer.named_buffers():
            if name.endswith(("_u", "_v")):
                vector.copy_(torch.eye(4)[2])
    assert layer_sigmas(model)["1"] == pytest.approx(5)
    fold(model, hyper)
    assert svd(layer) == pytest.approx(1)
    assert not model.training


def test_looking_at_singular_values_does_not_advance_the_iteration() -> None:
    hyper = Hyperparameters(spectral_norm=True)
    model = build(hyper, (6,), 6, 0)
    constrain(model, hyper)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layer_sigmas(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training


def test_weights_that_are_not_finite_have_no_singular_value_and_zero_stays_zero() -> None:
    hyper = Hyperparameters(layers=0, spectral_norm=True)
    model = build(hyper, (3,), 3, 0)
    constrain(model, hyper)
    raw = dict(model.named_parameters())["0.parametrizations.weight.original"]
    with torch.no_grad():
        raw.zero_()
    fold(model, hyper)
    assert layer_sigmas(model) == {"1": 0.0}
    with torch.no_grad():
        weighted(model)["1"].weight[0, 0] = torch.nan
    assert np.isnan(layer_sigmas(model)["1"])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("coefficient", [0.8, 1.0])
def test_a_bounded_next_step_contracts_and_a_free_one_need_not(activation: str, coefficient: float) -> None:
    """Activations of slope at most 1, and every layer at most ``coefficient``: distances can't grow by f."""
    asked = trial(activation=activation, epochs=20)
    hyper = replace(asked.hyperparameters, spectral_norm=True, coefficient=coefficient)
    bounded = train(replace(asked, hyperparameters=hyper), turning()).model
    assert bounded is not None
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, after = torch.pdist(x), torch.pdist(bounded(x))
        assert float((after / before).max()) <= coefficient**3 * (1 + 1e-4)
        spread = [float(torch.pdist(x).max())]
        for _ in range(60):
            x = bounded(x)
            spread.append(float(torch.pdist(x).max()))
    assert all(late <= early * (1 + 1e-5) for early, late in pairwise(spread))
    if coefficient < 1:  # one fixed point, which attracts everything
        assert spread[-1] < 1e-5
    free = train(replace(asked, hyperparameters=replace(asked.hyperparameters, learning_rate=3e-2)), turning()).model
    assert free is not None
    assert np.prod(list(layer_sigmas(free).values())) > 1.5
