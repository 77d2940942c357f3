"""Pictures for tests of files: smooth, with edges and a little noise; and noise alone."""

from __future__ import annotations

import numpy as np


def scene(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Uint8 (height, width) for one channel, else (height, width, channels)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] + 0.0
    planes = [
        127 + 60 * np.sin(x / 9 + seed) + rng.normal(0, 3, (height, width)),
        110 + 50 * np.cos((x + 2 * y) / 13) + rng.normal(0, 2, (height, width)),
        80 + y % 97 + 40 * (np.hypot(x - 30 - seed, y - 20) < 12) + rng.normal(0, 2, (height, width)),
        255.0 * (np.hypot(x - width / 2, y - height / 2) < max(height, width) / 2.5),
    ]
    picture = np.stack(planes[:channels], 2).clip(0, 255).astype(np.uint8)
    return picture[:, :, 0] if channels == 1 else picture


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """The same shapes, every value as likely."""
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return picture[:, :, 0] if channels == 1 else picture


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Decibels; infinite for equal pictures."""
    error = float(np.mean(np.square(a.astype(np.float64) - b)))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
