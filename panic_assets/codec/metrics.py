"""How like two pictures are: PSNR, SSIM, MS-SSIM.

Here belong measures on pixels, in numpy alone. Both pictures must be uint8 of one shape, so that no range is guessed;
colours count as three channels, each measured by itself and averaged. What an embedding says belongs to the models.
"""

from __future__ import annotations

import numpy as np

from panic_assets.errors import PanicError

LUMINANCE_CONSTANT, CONTRAST_CONSTANT = 0.01**2, 0.03**2
"""The two constants of SSIM (Wang et al. 2004), for values in [0, 1]."""

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of MS-SSIM (Wang, Simoncelli and Bovik 2003), from the finest scale to the coarsest."""

_WINDOW, _SIGMA = 11, 1.5


class UnlikePictures(PanicError):
    """Two pictures that can't be compared."""


def mse(original: np.ndarray, decoded: np.ndarray) -> float:
    """Mean squared error in units of 8-bit values. Raises: :class:`UnlikePictures`."""
    a, b = _pair(original, decoded)
    return float(np.square(a - b).mean()) * 255**2


def psnr(original: np.ndarray, decoded: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, infinite for equal pictures. Raises: :class:`UnlikePictures`."""
    error = mse(original, decoded)
    return 10 * float(np.log10(255**2 / error)) if error else float("inf")


def ssim(original: np.ndarray, decoded: np.ndarray) -> float:
    """Structural similarity with a Gaussian window of 11 pixels and sigma 1.5, at most 1.

    The mean over all places where the window lies inside the picture; a picture smaller than the window is measured
    by the largest odd window that fits. Raises: :class:`UnlikePictures`.
    """
    return float(_terms(*_pair(original, decoded))[1].mean())


def ms_ssim(original: np.ndarray, decoded: np.ndarray) -> float:
    """Multi-scale structural similarity over five scales, at most 1.

    A picture with a side under 176 pixels has fewer scales in which the window fits; the weights of those are brought
    to a sum of 1 (three scales at 64 pixels), so values at different sizes are not to be compared with each other.
    Negative contrast terms count as 0. Raises: :class:`UnlikePictures`.
    """
    a, b = _pair(original, decoded)
    weights = scale_weights(min(a.shape[:2]))
    product = np.ones(a.shape[2])
    for index, weight in enumerate(weights):
        contrast, whole = _terms(a, b)
        product *= np.maximum(whole if index == len(weights) - 1 else contrast, 0) ** weight
        if index < len(weights) - 1:
            a, b = _halve(a), _halve(b)
    return float(product.mean())


def scale_weights(side: int) -> tuple[float, ...]:
    """Exponents of the scales at which the window fits into a picture whose smaller side is given; sum 1."""
    count = 1
    while count < len(SCALE_WEIGHTS) and side >> count >= _WINDOW:
        count += 1
    chosen = SCALE_WEIGHTS[:count]
    return tuple(weight / sum(chosen) for weight in chosen)


def window(side: int) -> np.ndarray:
    """The taps of the Gaussian along a side of that many pixels, float64, sum 1."""
    length = min(_WINDOW, side - (side + 1) % 2)
    places = np.arange(length) - length // 2
    taps = np.exp(-np.square(places) / (2 * _SIGMA**2))
    return taps / taps.sum()


def _pair(original: np.ndarray, decoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both pictures as float64 in [0, 1], (h, w, channels)."""
    for name, picture in (("original", original), ("decoded", decoded)):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or not picture.size:
            raise UnlikePictures(
                f"{name}: dtype {picture.dtype} and shape {picture.shape}; give uint8, (h, w) or (h, w, channels)"
            )
    if original.shape != decoded.shape:
        raise UnlikePictures(f"shapes {original.shape} and {decoded.shape} differ; crop or convert one of them")
    a, b = (p.reshape(*p.shape[:2], -1).astype(np.float64) / 255 for p in (original, decoded))
    return a, b


def _terms(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (channels,) of the contrast and structure term of SSIM, and of its product with that of luminance."""
    found = [_of_plane(np.ascontiguousarray(a[..., c]), np.ascontiguousarray(b[..., c])) for c in range(a.shape[2])]
    contrast, whole = np.array(found).T
    return contrast, whole


def _of_plane(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    mean_a, mean_b = _blur(a), _blur(b)
    both = mean_a * mean_b
    mean_a *= mean_a
    mean_b *= mean_b
    mean_a += mean_b
    luminance = (2 * both + LUMINANCE_CONSTANT) / (mean_a + LUMINANCE_CONSTANT)
    spread = _blur(a * a + b * b)
    spread -= mean_a
    contrast = _blur(a * b)
    contrast -= both
    contrast *= 2
    contrast += CONTRAST_CONSTANT
    spread += CONTRAST_CONSTANT
    contrast /= spread
    return float(contrast.mean()), float((luminance * contrast).mean())


def _blur(x: np.ndarray) -> np.ndarray:
    """A plane (h, w) averaged by the window along both sides, where it lies inside."""
    for axis in (0, 1):
        taps = window(x.shape[axis])
        length, middle = x.shape[axis] - len(taps) + 1, len(taps) // 2
        made = _cut(x, axis, middle, length) * taps[middle]
        for place in range(middle):  # the window is symmetric
            pair = _cut(x, axis, place, length) + _cut(x, axis, len(taps) - 1 - place, length)
            pair *= taps[place]
            made += pair
        x = made
    return x


def _cut(x: np.ndarray, axis: int, start: int, length: int) -> np.ndarray:
    return x[start : start + length] if axis == 0 else x[:, start : start + length]


def _halve(x: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; an odd last row or column is left out."""
    h, w = x.shape[0] // 2, x.shape[1] // 2
    return x[: 2 * h, : 2 * w].reshape(h, 2, w, 2, -1).mean((1, 3))
