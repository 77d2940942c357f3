"""Pictures of nothing in particular: slopes, noise, stripes, shapes, letters.

Here belongs what keeps the codec graceful on pictures that the bundled world never shows. All of it is drawn from a
random generator alone; no photograph is used.
"""

from __future__ import annotations

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont


def draw(rng: np.random.Generator, side: int) -> np.ndarray:
    """One picture, uint8 (side, side, 3): a kind of pattern by chance, often with a second one laid over a part."""
    kinds = (_slope, _cloud, _stripes, _shapes, _letters, _speckle)
    picture = kinds[rng.integers(len(kinds))](rng, side)
    if rng.random() < 0.4:
        other = kinds[rng.integers(len(kinds))](rng, side)
        mask = _mask(rng, side)
        picture = picture * (1 - mask) + other * mask
    if rng.random() < 0.25:
        picture = picture.mean(2, keepdims=True).repeat(3, 2)
    return np.clip(picture.round(), 0, 255).astype(np.uint8)


def _colour(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, 3).astype(np.float64)


def _slope(rng: np.random.Generator, side: int) -> np.ndarray:
    """A linear or round passage between two or three colours."""
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        place = np.cos(angle) * x + np.sin(angle) * y + 0.5
    else:
        place = np.hypot(x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5)) * rng.uniform(0.7, 2)
    stops = np.sort(rng.random(3))
    return np.stack([np.interp(place, stops, rng.integers(0, 256, 3)) for _ in range(3)], 2)


def _cloud(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise whose spectrum falls as a power of frequency, as that of many natural textures does."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    fall = np.maximum(frequency, 1 / side) ** -rng.uniform(0.8, 2.2)
    planes = []
    for _ in range(3):
        plane = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * fall, (side, side))
        planes.append(plane / plane.std())
    mixing = np.eye(3) * rng.uniform(0.2, 1) + rng.uniform(0, 0.8)
    return _colour(rng) + np.stack(planes, 2) @ mixing * rng.uniform(8, 50)


def _stripes(rng: np.random.Generator, side: int) -> np.ndarray:
    """Stripes or a chequered pattern, soft or hard."""
    y, x = np.mgrid[0:side, 0:side]
    angle, period = rng.uniform(0, np.pi), rng.uniform(3, 32)
    wave = np.sin(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period + rng.uniform(0, 6))
    if rng.random() < 0.4:
        wave = wave * np.sin(2 * np.pi * (np.cos(angle) * y - np.sin(angle) * x) / period)
    share = 0.5 + 0.5 * np.clip(wave * rng.choice([1.0, 3.0, 20.0]), -1, 1)
    return _colour(rng) * share[..., None] + _colour(rng) * (1 - share[..., None])


def _shapes(rng: np.random.Generator, side: int) -> np.ndarray:
    """Discs, boxes, polygons and lines in flat colours, some blurred."""
    large = Image.new("RGB", (2 * side, 2 * side), tuple(rng.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(large)
    for _ in range(rng.integers(2, 14)):
        fill = tuple(rng.integers(0, 256, 3).tolist())
        x, y = rng.uniform(0, 2 * side, 2)
        a, b = rng.uniform(2, side * 0.6, 2)
        kind = rng.integers(4)
        if kind == 0:
            pen.ellipse([x - a, y - b, x + a, y + b], fill=fill)
        elif kind == 1:
            pen.rectangle([x - a, y - b, x + a, y + b], fill=fill)
        elif kind == 2:
            pen.polygon(
                [(x + rng.uniform(-a, a), y + rng.uniform(-a, a)) for _ in range(rng.integers(3, 7))], fill=fill
            )
        else:
            pen.line([x, y, x + rng.uniform(-2, 2) * a, y + rng.uniform(-2, 2) * b], fill, int(rng.integers(1, 12)))
    if rng.random() < 0.3:
        large = large.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 6)))
    return np.asarray(large.reduce(2), np.float64)


def _letters(rng: np.random.Generator, side: int) -> np.ndarray:
    """Lines of letters in one size."""
    dark = rng.random() < 0.3
    paper, ink = (
        (rng.integers(0, 90, 3), rng.integers(150, 256, 3))
        if dark
        else (rng.integers(190, 256, 3), rng.integers(0, 120, 3))
    )
    page = Image.new("RGB", (side, side), tuple(paper.tolist()))
    pen, size = ImageDraw.Draw(page), int(rng.integers(8, 28))
    font = ImageFont.load_default(size)
    letters = list(string.ascii_letters + "     ,.")
    for top in range(int(rng.integers(0, size)), side, int(size * 1.3)):
        pen.text((int(rng.integers(0, 6)), top), "".join(rng.choice(letters, side // 4)), tuple(ink.tolist()), font)
    return np.asarray(page, np.float64)


def _speckle(rng: np.random.Generator, side: int) -> np.ndarray:
    """A slope under white noise."""
    noise = rng.standard_normal((side, side, rng.choice([1, 3])))
    return _slope(rng, side) + noise * rng.uniform(2, 30)


def _mask(rng: np.random.Generator, side: int) -> np.ndarray:
    """A box of ones in zeros, (side, side, 1)."""
    mask = np.zeros((side, side, 1))
    top, left = rng.integers(0, side // 2, 2)
    mask[top : top + rng.integers(side // 4, side), left : left + rng.integers(side // 4, side)] = 1
    return mask
