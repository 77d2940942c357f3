"""Models and their first weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from panic_assets.studies.records import Hyperparameters, Kind
from panic_assets.studies.training.constraints import constrain
from panic_assets.studies.training.models import ACTIVATIONS, Residual, build, stream, weighted

PLAIN = (nn.Linear, nn.Conv2d, nn.Dropout, nn.Flatten, nn.AvgPool2d, nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU)


def layers_of(model: nn.Sequential) -> Iterator[nn.Module]:
    for layer in model:
        yield layer
        if isinstance(layer, Residual):
            yield from layers_of(layer.inner)


@pytest.mark.parametrize("kind", ["mlp", "residual", "cnn"])
@pytest.mark.parametrize("layers", [0, 1, 4])
def test_models_take_rows_of_their_shape_and_are_made_of_known_layers(kind: Kind, layers: int) -> None:
    shapes: list[tuple[int, ...]] = [(1, 8, 8), (2, 5, 7)] if kind == "cnn" else [(6,), (1, 8, 8)]
    for shape in shapes:
        model = build(Hyperparameters(kind=kind, layers=layers, width=5, dropout=0.1), shape, 3, 0)
        assert model(torch.ones(4, *shape)).shape == (4, 3)
        assert all(isinstance(layer, (*PLAIN, Residual)) for layer in layers_of(model))
        inner = {"mlp": layers, "residual": 2 * layers + 1, "cnn": layers}[kind]
        assert len(weighted(model)) == inner + 1


def test_a_model_without_hidden_layers_is_linear() -> None:
    model = build(Hyperparameters(layers=0), (6,), 3, 0)
    assert [type(layer) for layer in model] == [nn.Linear]


def test_a_cnn_refuses_vectors() -> None:
    with pytest.raises(ValueError, match="channels, height, width"):
        build(Hyperparameters(kind="cnn"), (6,), 3, 0)


@pytest.mark.parametrize("kind", ["mlp", "residual", "cnn"])
@pytest.mark.parametrize(
    "arm",
    [{"dropout": 0.3}, {"weight_decay": 0.1}, {"gradient_clip": 1.0}, {"spectral_norm": True, "coefficient": 0.5}],
)
def test_all_arms_begin_with_the_same_weights(kind: Kind, arm: dict[str, float]) -> None:
    plain = Hyperparameters(kind=kind, layers=2, width=8)
    own = replace(plain, **arm)
    one, other = build(plain, (1, 8, 8), 3, 5), build(own, (1, 8, 8), 3, 5)
    constrain(other, own)
    original = [value for name, value in other.state_dict().items() if name.endswith(("bias", "original"))]
    first = list(weighted(one).values())
    if not own.spectral_norm:
        assert all(
            torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias)
            for a, b in zip(first, weighted(other).values(), strict=True)
        )
    else:
        found = {tuple(value.shape): value for value in original}
        assert all(torch.equal(found[tuple(layer.weight.shape)], layer.weight) for layer in first[:1] + first[-1:])
    again = build(plain, (1, 8, 8), 3, 6)
    assert not torch.equal(first[0].weight, next(iter(weighted(again).values())).weight)


def test_building_leaves_the_global_stream_alone_and_does_not_follow_it() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = build(Hyperparameters(dropout=0.5), (6,), 6, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    other = build(Hyperparameters(), (6,), 6, 3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_first_weights_are_within_their_bound_and_fill_it() -> None:
    for layer in weighted(build(Hyperparameters(width=50), (40,), 30, 0)).values():
        bound = layer.weight.shape[1] ** -0.5
        assert 0.98 * bound < float(layer.weight.detach().abs().max()) <= bound


def test_streams_of_two_purposes_or_two_seeds_are_different() -> None:
    drawn = [torch.rand(3, generator=stream(seed, purpose)) for seed in (0, 1) for purpose in ("weights", "batches")]
    assert all(not torch.equal(a, b) for a, b in pairwise(drawn))
    assert torch.equal(drawn[0], torch.rand(3, generator=stream(0, "weights")))


def test_a_residual_block_adds_its_input() -> None:
    inner = nn.Sequential(nn.Linear(3, 3))
    x = torch.rand(2, 3)
    assert torch.equal(Residual(inner)(x), x + inner(x))


def test_every_activation_that_a_study_may_name_is_there() -> None:
    from panic_assets.studies.spec_sections import HyperValues

    assert set(ACTIVATIONS) == {"relu", "tanh", "gelu", "silu"}
    assert all(HyperValues(activation=name).activation == name for name in ACTIVATIONS)  # type: ignore[arg-type]
