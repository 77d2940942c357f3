"""How far a decoded picture is from the original, as the training sees it.

Here belongs the differentiable distortion. The measures by which codecs are compared are in
:mod:`panic_assets.codec.metrics`; a test holds the two to the same values.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.nn import functional

from panic_assets.codec.metrics import CONTRAST_CONSTANT, LUMINANCE_CONSTANT, scale_weights, window

STRUCTURE_WEIGHT = 3000.0
"""What 1 - MS-SSIM is worth in units of squared error of 8-bit values: near 35 dB both count alike."""


def distortion(pictures: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    """Squared error in 8-bit values plus weighted 1 - MS-SSIM, of (n, 3, h, w) in [-1, 1]; one value per picture."""
    squared = (pictures - decoded).square().mean((1, 2, 3)) * 127.5**2
    return squared + STRUCTURE_WEIGHT * (1 - ms_ssim(pictures, decoded))


def ms_ssim(pictures: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    """MS-SSIM of (n, 3, h, w) in [-1, 1], one value per picture; as many scales as fit."""
    a, b = (pictures + 1) / 2, (decoded + 1) / 2
    weights = scale_weights(min(a.shape[-2:]))
    product = a.new_ones(a.shape[:2])
    for index, weight in enumerate(weights):
        luminance, contrast = _ssim(a, b)
        term = luminance * contrast if index == len(weights) - 1 else contrast
        product = product * term.mean((2, 3)).clamp(min=1e-4) ** weight
        if index < len(weights) - 1:
            a, b = functional.avg_pool2d(a, 2), functional.avg_pool2d(b, 2)
    return product.mean(1)


def _ssim(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps of the luminance and of the contrast and structure terms."""
    count = a.shape[0]
    blurred = _blur(torch.cat([a, b, a * a + b * b, a * b]))
    mean_a, mean_b, squares, products = blurred.split(count)
    both, together = mean_a * mean_b, mean_a.square() + mean_b.square()
    luminance = (2 * both + LUMINANCE_CONSTANT) / (together + LUMINANCE_CONSTANT)
    contrast = (2 * (products - both) + CONTRAST_CONSTANT) / (squares - together + CONTRAST_CONSTANT)
    return luminance, contrast


def _blur(x: torch.Tensor) -> torch.Tensor:
    """The Gaussian window where it fits, as two products with banded matrices: faster here than a convolution."""
    return _band(x.shape[-2]) @ x @ _band(x.shape[-1]).T


@lru_cache
def _band(side: int) -> torch.Tensor:
    taps = torch.from_numpy(window(side)).float()
    band = torch.zeros(side - len(taps) + 1, side)
    for row in range(len(band)):
        band[row, row : row + len(taps)] = taps
    return band
