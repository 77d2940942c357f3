"""The upper bound is never below the lower; both are the truth where the network is linear."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from panic_assets.studies.measures.errors import MeasureError
from panic_assets.studies.measures.lipschitz import jacobian_norms, lipschitz
from panic_assets.studies.measures.operator_norms import linear_norm
from panic_assets.studies.records import Hyperparameters
from panic_assets.studies.training.models import Residual
from panic_assets_tests.studies.measures.make import linear, network


@pytest.mark.parametrize("shape", [(5, 5), (3, 9), (40, 30)])
def test_both_bounds_of_a_linear_network_are_its_largest_singular_value(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    weight = random.normal(size=shape)
    found = lipschitz(linear(weight), random.normal(size=(12, shape[1])))
    truth = np.linalg.svd(weight.astype(np.float32).astype(float), compute_uv=False)[0]
    assert [found.upper, found.lower] == pytest.approx([truth, truth], rel=1e-9)
    assert found.local == pytest.approx(np.full(12, truth), rel=1e-3)
    assert found.lower <= found.upper


def test_of_a_residual_block_with_a_symmetric_inside_both_bounds_are_one_plus_its_norm() -> None:
    root = np.random.default_rng(1).normal(size=(6, 6))
    model = nn.Sequential(Residual(linear(root @ root.T)))
    found = lipschitz(model, np.ones((2, 6)))
    truth = 1 + np.linalg.norm(root @ root.T, 2)
    assert [found.upper, found.lower] == pytest.approx([truth, truth], rel=1e-5)


def test_layers_multiply_and_the_slope_of_their_activations_counts() -> None:
    one, other = np.diag([2.0, 1.0]), np.diag([1.0, 3.0])
    model = nn.Sequential(*linear(one), nn.GELU(), nn.Dropout(0.5), *linear(other)).eval()
    found = lipschitz(model, np.array([[0.7, -0.4]]))
    assert found.upper == pytest.approx(2 * 3 * 1.1289042)
    assert [layer.name for layer in found.layers] == ["1", "2"]
    assert [layer.operator_norm for layer in found.layers] == pytest.approx([2, 3])


@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.Tanh(), nn.GELU(), nn.GELU(approximate="tanh"), nn.SiLU()], ids=str
)
def test_the_constant_of_an_activation_is_its_largest_slope_and_not_below(activation: nn.Module) -> None:
    x = torch.linspace(-8, 8, 400_001, dtype=torch.float64).requires_grad_(True)
    (slopes,) = torch.autograd.grad(activation(x).sum(), x)
    constant = lipschitz(nn.Sequential(activation), np.ones((1, 3))).upper
    assert float(slopes.abs().max()) <= constant <= float(slopes.abs().max()) * (1 + 1e-6)


hypers = st.builds(
    Hyperparameters,
    kind=st.sampled_from(["mlp", "residual"]),
    layers=st.integers(0, 3),
    width=st.integers(1, 12),
    activation=st.sampled_from(["relu", "tanh", "gelu", "silu"]),
    dropout=st.sampled_from([0.0, 0.3]),
)


@settings(deadline=None, max_examples=25)
@given(hypers, st.integers(1, 6), st.integers(1, 6), st.integers(0, 99), st.sampled_from([0.0, 0.5, 4.0]))
def test_upper_is_never_below_lower_for_vectors(
    hyper: Hyperparameters, inputs: int, outputs: int, seed: int, gain: float
) -> None:
    model = network(hyper, (inputs,), outputs, seed, gain)
    found = lipschitz(model, np.random.default_rng(seed).normal(size=(5, inputs)))
    assert 0 <= found.local.max() * (1 - 1e-4) <= found.lower <= found.upper


@settings(deadline=None, max_examples=10)
@given(
    st.sampled_from(["cnn", "mlp", "residual"]),
    st.integers(1, 3),
    st.sampled_from(["relu", "silu"]),
    st.integers(0, 99),
    st.sampled_from([0.5, 4.0]),
)
def test_upper_is_never_below_lower_for_pictures(
    kind: str, layers: int, activation: str, seed: int, gain: float
) -> None:
    hyper = Hyperparameters(kind=kind, layers=layers, width=4, activation=activation)  # type: ignore[arg-type]
    model = network(hyper, (1, 8, 8), 5, seed, gain)
    found = lipschitz(model, np.random.default_rng(seed).random((3, 1, 8, 8)))
    assert 0 < found.lower <= found.upper
    assert all(layer.bound >= layer.operator_norm * (1 - 1e-9) for layer in found.layers)


def test_no_two_points_are_farther_apart_than_the_upper_bound_allows() -> None:
    model = network(Hyperparameters(layers=2, width=16), (6,), 6, gain=3.0).double()
    found = lipschitz(model.float(), np.random.default_rng(0).normal(size=(4, 6)))
    random = torch.Generator().manual_seed(0)
    left, right = (torch.randn(2000, 6, dtype=torch.float64, generator=random) for _ in range(2))
    model = model.double()
    quotient = (model(left) - model(right)).norm(dim=1) / (left - right).norm(dim=1)
    assert float(quotient.max()) <= found.upper


@pytest.mark.parametrize("kind", ["mlp", "residual", "cnn"])
def test_local_norms_are_those_of_the_whole_jacobian(kind: str) -> None:
    hyper = Hyperparameters(kind=kind, layers=2, width=6, activation="tanh")  # type: ignore[arg-type]
    model = network(hyper, (1, 4, 4), 5, gain=2.0).double()
    x = torch.rand(7, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = jacobian_norms(model, x, torch.Generator().manual_seed(1))
    whole = torch.func.vmap(torch.func.jacrev(model))(x[:, None]).reshape(7, 5, 16)
    assert found.numpy() == pytest.approx(torch.linalg.matrix_norm(whole, 2).numpy(), rel=1e-6)


def test_the_search_looks_beyond_the_inputs_given() -> None:
    """Steepest at 0, and looked at far from it."""
    model = nn.Sequential(*linear(np.eye(2)), nn.Tanh()).eval()
    found = lipschitz(model, np.array([[1.0, 1.2], [-1.1, 1.3]]))
    assert found.local.max() < 0.5 < found.lower <= found.upper


def test_equal_seeds_give_equal_bounds_and_the_model_stays_as_it_was() -> None:
    model = network(Hyperparameters(layers=1, width=8), (4,), 4)
    before = [parameter.clone() for parameter in model.parameters()]
    x = np.random.default_rng(0).normal(size=(6, 4))
    assert lipschitz(model, x).lower == lipschitz(model, x).lower
    assert all(torch.equal(*both) for both in zip(before, model.parameters(), strict=True))
    assert model[0].weight.dtype == torch.float32


def test_scaled_layers_scale_the_bound() -> None:
    model = network(Hyperparameters(layers=2, width=8), (4,), 4)
    x = np.ones((1, 4))
    upper = lipschitz(model, x).upper
    model[2].weight.mul_(0.5 / linear_norm(model[2].weight))
    norms = [linear_norm(model[place].weight) for place in (0, 2, 4)]
    assert lipschitz(model, x).upper == pytest.approx(np.prod(norms)) != upper


def test_a_layer_without_a_known_norm_is_named_with_those_that_have_one() -> None:
    with pytest.raises(MeasureError, match=r"the norm of a Softplus is not known; known are .*Linear"):
        lipschitz(nn.Sequential(nn.Linear(2, 2), nn.Softplus()), np.ones((1, 2)))


def test_weights_that_are_no_numbers_and_inputs_that_are_none_are_refused() -> None:
    with pytest.raises(MeasureError, match=r"layer 1: weights that are no finite numbers"):
        lipschitz(linear(np.full((2, 2), np.nan)), np.ones((1, 2)))
    with pytest.raises(MeasureError, match="at least one row"):
        lipschitz(linear(np.eye(2)), np.ones((0, 2)))
