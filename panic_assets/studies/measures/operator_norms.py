"""Operator norms of single layers: the most by which a linear layer can stretch a difference of its inputs (l2).

Here belong linear layers, convolutions and average pooling. What a whole network does with them is in ``lipschitz``.

The largest singular value of a kernel reshaped to a matrix, which spectral normalisation bounds, is not the norm of the
convolution: that can be larger by up to the square root of the kernel's area. All of them are given here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, prod

import torch
from torch import Tensor, nn

from panic_assets.studies.measures.errors import MeasureError
from panic_assets.studies.measures.krylov import largest_singular_values


@dataclass(frozen=True)
class ConvNorms:
    """Norms of a convolution on pictures of one size.

    ``reshaped``: of the kernel as a matrix (outputs, inputs * height * width). ``exact``: of the operator with its own
    padding and stride, by iteration, relative error about 1e-6. ``fft_bound``: proven upper bound of ``exact``, and
    equal to it for circular padding without stride.
    """

    reshaped: float
    exact: float
    fft_bound: float


def linear_norm(weight: Tensor) -> float:
    """Largest singular value of a matrix, by SVD in double precision."""
    return float(torch.linalg.matrix_norm(weight.detach().double(), 2))


def conv_norm(conv: nn.Conv2d, size: tuple[int, int]) -> ConvNorms:
    """Norms of a convolution, its bias left out, on pictures of ``size`` (height, width).

    Raises:
        MeasureError: padding other than zeros or circular; circular padding that changes the size.
    """
    _check(conv, size)
    return ConvNorms(linear_norm(conv.weight.flatten(1)), _exact(conv, size), _fft_bound(conv, size))


def map_norm(linear: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> float:
    """Norm of any linear map of tensors of ``shape``, in double precision, by iteration with the map and its transpose.

    Rounding apart, the value is never above the truth; in practice it is within 1e-6 of it.
    """
    # Fixed: equal layers have equal norms, to the last digit.
    draw = torch.Generator().manual_seed(0)
    start = torch.randn((1, prod(shape)), generator=draw, dtype=torch.float64)
    images, transposed = torch.func.vjp(lambda flat: linear(flat.reshape(1, *shape)), torch.zeros_like(start))[:2]
    found = largest_singular_values(
        lambda vector: linear(vector.reshape(1, *shape)).flatten(1),
        lambda image: transposed(image.reshape(images.shape))[0],
        start,
        steps=400,
    )
    return float(found.values[0])


def pool_norm(pool: nn.AvgPool2d) -> float:
    """Upper bound of the norm of average pooling; exact for windows that don't overlap (1 over the root of their area).

    By the test of I. Schur: the root of the largest sum over a row times the largest sum over a column.

    Raises:
        MeasureError: a pooling whose windows are not all divided by their area.
    """
    if pool.divisor_override is not None or not pool.count_include_pad or pool.ceil_mode:
        raise MeasureError(
            f"{pool}: no norm is known of a pooling with divisor_override, ceil_mode, or count_include_pad=False; "
            "build it with the defaults"
        )
    kernel, stride = _pair(pool.kernel_size), _pair(pool.stride)
    windows = prod(ceil(own / step) for own, step in zip(kernel, stride, strict=True))
    return float((windows / prod(kernel)) ** 0.5)


def _exact(conv: nn.Conv2d, size: tuple[int, int]) -> float:
    double = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        _pair(conv.kernel_size),
        _pair(conv.stride),
        conv.padding,  # type: ignore[arg-type]  # torch's own type for what it has kept
        _pair(conv.dilation),
        conv.groups,
        bias=False,
        padding_mode=conv.padding_mode,
        dtype=torch.float64,
    ).requires_grad_(False)
    double.weight.copy_(conv.weight.detach())
    return map_norm(double, (conv.in_channels, *size))


def _fft_bound(conv: nn.Conv2d, size: tuple[int, int]) -> float:
    """Largest singular value over all frequencies of the circular convolution on a grid.

    With zero padding the operator is a part of the circular one on a grid so wide that nothing meets its other end:
    inputs are put on it, and outputs are some of its outputs, so that its norm is no larger. A stride drops outputs.
    """
    reach = _reach(conv)
    grid = size if conv.padding_mode == "circular" else (size[0] + reach[0], size[1] + reach[1])
    weight = conv.weight.detach().double()
    spread = weight.new_zeros((*weight.shape[:2], *grid))
    rows, columns = _pair(conv.dilation)
    spread[:, :, : reach[0] + 1 : rows, : reach[1] + 1 : columns] = weight
    symbols = torch.fft.rfft2(spread).flatten(2)  # the other half are conjugates
    blocks = symbols.reshape(conv.groups, -1, *symbols.shape[1:]).permute(0, 3, 1, 2)
    return float(torch.linalg.matrix_norm(blocks, 2).max())


def _check(conv: nn.Conv2d, size: tuple[int, int]) -> None:
    if conv.padding_mode not in ("zeros", "circular"):
        raise MeasureError(f"{conv}: padding_mode {conv.padding_mode!r} has no norm here; use 'zeros' or 'circular'")
    if conv.padding_mode == "circular":
        reach = _reach(conv)
        kept = conv.padding == "same" or tuple(2 * own for own in _pair(conv.padding)) == reach
        if not kept or any(own >= side for own, side in zip(reach, size, strict=True)):
            raise MeasureError(
                f"{conv}: circular padding that changes the size of pictures of {size} has no norm here; "
                f"use padding='same' and pictures larger than {reach}"
            )


def _reach(conv: nn.Conv2d) -> tuple[int, int]:
    """How far apart the outermost entries of the kernel are, down and across."""
    (height, width), (down, across) = _pair(conv.kernel_size), _pair(conv.dilation)
    return down * (height - 1), across * (width - 1)


def _pair(value: int | str | tuple[int, ...]) -> tuple[int, int]:
    if isinstance(value, tuple):
        return value[0], value[1]
    return int(value), int(value)
