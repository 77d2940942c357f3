"""Norms of layers are those of their dense matrices; the bound by frequencies is never below them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from panic_assets.studies.measures.errors import MeasureError
from panic_assets.studies.measures.krylov import largest_singular_values
from panic_assets.studies.measures.operator_norms import conv_norm, linear_norm, map_norm, pool_norm

ZERO_PADDED: list[dict[str, Any]] = [
    {"padding": 1},
    {"padding": 0},
    {"padding": "same"},
    {"padding": 1, "stride": 2},
    {"padding": 2, "dilation": 2},
    {"padding": 1, "groups": 2},
    {"padding": (0, 1), "stride": (2, 1)},
]


def dense(layer: nn.Module, shape: tuple[int, ...]) -> np.ndarray:
    """The matrix of the linear part of a layer."""
    layer = layer.double().requires_grad_(False)
    size = int(np.prod(shape))
    units = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    return (layer(units) - layer(torch.zeros_like(units))).flatten(1).numpy().T


def norm(matrix: np.ndarray) -> float:
    return float(np.linalg.svd(matrix, compute_uv=False)[0])


def test_norm_of_a_matrix_is_its_largest_singular_value() -> None:
    weight = torch.randn(7, 11, generator=torch.Generator().manual_seed(0))
    assert linear_norm(weight) == pytest.approx(norm(weight.double().numpy()), rel=1e-12)


@pytest.mark.parametrize("options", ZERO_PADDED, ids=str)
def test_norm_of_a_zero_padded_convolution_is_that_of_its_dense_matrix(options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(4, 6, 3, **options)
    found = conv_norm(conv, (7, 8))
    truth = norm(dense(conv, (4, 7, 8)))
    assert found.exact == pytest.approx(truth, rel=1e-6)
    assert found.fft_bound >= truth
    assert found.reshaped == pytest.approx(norm(conv.weight.flatten(1).numpy()))


@pytest.mark.parametrize("kernel", [(3, 3), (5, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_norm_of_a_circular_convolution_is_the_largest_over_its_frequencies(
    kernel: tuple[int, int], groups: int
) -> None:
    torch.manual_seed(2)
    conv = nn.Conv2d(4, 6, kernel, padding="same", padding_mode="circular", groups=groups)
    found = conv_norm(conv, (8, 7))
    assert found.exact == pytest.approx(found.fft_bound, rel=1e-6)
    assert found.fft_bound == pytest.approx(norm(dense(conv, (4, 8, 7))), rel=1e-9)


def test_of_one_channel_the_bound_is_the_largest_value_of_the_transfer_function() -> None:
    conv = nn.Conv2d(1, 1, (1, 3), padding="same", padding_mode="circular", bias=False).requires_grad_(False)
    conv.weight.copy_(torch.tensor([[[[1.0, 2.0, -1.0]]]]))
    frequency = 2 * np.pi * np.arange(8) / 8
    transfer = np.abs(np.exp(-1j * frequency) + 2 - np.exp(1j * frequency))
    assert conv_norm(conv, (2, 8)).fft_bound == pytest.approx(transfer.max(), rel=1e-12)


def test_the_reshaped_kernel_can_be_far_below_the_operator() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False).requires_grad_(False)
    conv.weight.fill_(1 / 3)
    found = conv_norm(conv, (32, 32))
    assert found.reshaped == pytest.approx(1.0)
    assert 2.9 < found.exact < found.fft_bound < 3.0 + 1e-6


@pytest.mark.parametrize("wrong", [{"padding_mode": "reflect"}, {"padding_mode": "circular", "padding": 0}])
def test_a_padding_without_a_known_norm_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MeasureError, match=r"padding.*use"):
        conv_norm(nn.Conv2d(1, 1, 3, **({"padding": 1} | wrong)), (6, 6))


@pytest.mark.parametrize("options", [{"kernel_size": 2}, {"kernel_size": (2, 3)}])
def test_norm_of_pooling_by_windows_that_do_not_overlap_is_exact(options: dict[str, Any]) -> None:
    pool = nn.AvgPool2d(**options)
    assert pool_norm(pool) == pytest.approx(norm(dense(pool, (1, 6, 6))))


@pytest.mark.parametrize("options", [{"kernel_size": 3, "stride": 1}, {"kernel_size": 3, "stride": 2, "padding": 1}])
def test_norm_of_pooling_by_windows_that_overlap_is_bounded(options: dict[str, Any]) -> None:
    pool = nn.AvgPool2d(**options)
    assert pool_norm(pool) >= norm(dense(pool, (1, 7, 7)))


def test_a_pooling_that_divides_otherwise_is_refused() -> None:
    with pytest.raises(MeasureError, match="divisor_override"):
        pool_norm(nn.AvgPool2d(2, divisor_override=1))


def test_any_linear_map_has_a_norm() -> None:
    matrix = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert map_norm(lambda x: x @ matrix.T, (6,)) == pytest.approx(norm(matrix.numpy()), rel=1e-12)


def test_maps_of_low_rank_without_any_and_with_equal_values_side_by_side() -> None:
    random = torch.Generator().manual_seed(4)
    thin = torch.randn(12, 1, dtype=torch.float64, generator=random) @ torch.randn(
        1, 8, dtype=torch.float64, generator=random
    )
    maps = torch.stack([thin, torch.zeros_like(thin), torch.eye(12, 8, dtype=torch.float64), 1e-8 * thin])
    found = largest_singular_values(
        lambda v: (maps @ v[:, :, None])[:, :, 0],
        lambda u: (maps.mT @ u[:, :, None])[:, :, 0],
        torch.randn(4, 8, dtype=torch.float64, generator=random),
    )
    assert found.values.numpy() == pytest.approx(np.linalg.svd(maps.numpy(), compute_uv=False)[:, 0], rel=1e-9)
    reached = (maps @ found.vectors[:, :, None]).norm(dim=1)[:, 0]
    assert reached.numpy() == pytest.approx(found.values.numpy(), rel=1e-9)
