"""A procedurally drawn world of coloured shapes: scenes, their captions, their pictures.

Here belong the grammar (scene to caption and back) and the renderer. No learning, no torch.

A scene holds one or two objects (size, colour, shape), their relation, and a background. Every scene has exactly one
*canonical* caption, in which the upper or left object comes first; the reversed form ("... below ...", "... right of
...") names the same scene and is understood by :func:`parse`.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIDE = 64
_SUPERSAMPLING = 4

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 230),
    "yellow": (245, 215, 40),
    "purple": (140, 50, 190),
    "orange": (250, 140, 30),
    "cyan": (60, 210, 220),
    "pink": (250, 140, 190),
}
BACKGROUNDS = {
    "black": (12, 12, 14),
    "white": (246, 246, 246),
    "gray": (128, 128, 128),
    "brown": (100, 62, 35),
    "navy": (18, 26, 80),
    "cream": (245, 232, 200),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart")
SIZES = {"small": (8.5, 9.5), "large": (13.0, 14.0)}  # radius in pixels
RELATIONS = ("above", "left of")
REVERSED = {"above": "below", "left of": "right of"}

_GRAMMAR = ("a", "on", "background", "above", "below", "left", "right", "of")
WORDS = [*_GRAMMAR, *SIZES, *COLOURS, *SHAPES, *BACKGROUNDS]


@dataclass(frozen=True)
class Thing:
    """One object of a scene."""

    size: str
    colour: str
    shape: str

    def __str__(self) -> str:
        return f"a {self.size} {self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """One or two things in canonical order (upper or left first), their relation, the background."""

    things: tuple[Thing, ...]
    relation: str | None
    background: str

    @property
    def caption(self) -> str:
        """The canonical caption."""
        return self._say(self.things, self.relation)

    @property
    def reversed_caption(self) -> str:
        """The same scene told from the other object; of a single object, the canonical caption."""
        if self.relation is None:
            return self.caption
        return self._say(self.things[::-1], REVERSED[self.relation])

    def swapped(self) -> Scene:
        """The scene with its two things exchanged: same words, another picture."""
        return Scene(self.things[::-1], self.relation, self.background)

    def _say(self, things: tuple[Thing, ...], relation: str | None) -> str:
        objects = f" {relation} ".join(map(str, things)) if relation else str(things[0])
        return f"{objects} on a {self.background} background"


def sample_scene(rng: random.Random) -> Scene:
    """Draw a scene: one object with probability 1/4, else two; every attribute uniform."""
    count = 1 if rng.random() < 0.25 else 2
    things = tuple(Thing(rng.choice(list(SIZES)), rng.choice(list(COLOURS)), rng.choice(SHAPES)) for _ in range(count))
    relation = rng.choice(RELATIONS) if count == 2 else None
    return Scene(things, relation, rng.choice(list(BACKGROUNDS)))


_THING = rf"a ({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})"
_CAPTION = re.compile(
    rf"{_THING}(?: (above|below|left of|right of) {_THING})? on a ({'|'.join(BACKGROUNDS)}) background"
)
_FORWARD = {backward: forward for forward, backward in REVERSED.items()}


def parse(caption: str) -> Scene | None:
    """The scene that a caption names, in canonical order; None for a sentence outside the grammar."""
    match = _CAPTION.fullmatch(caption.strip())
    if match is None:
        return None
    first, relation, background = Thing(*match.group(1, 2, 3)), match.group(4), match.group(8)
    if relation is None:
        return Scene((first,), None, background)
    second = Thing(*match.group(5, 6, 7))
    if relation in _FORWARD:
        return Scene((second, first), _FORWARD[relation], background)
    return Scene((first, second), relation, background)


def is_held_out(scene: Scene) -> bool:
    """About 5 % of scenes, chosen by a hash of the canonical caption, are never trained on."""
    return hashlib.md5(scene.caption.encode(), usedforsecurity=False).digest()[0] < 13


def render(scene: Scene, rng: random.Random, enlargement: int = 1) -> np.ndarray:
    """Draw a scene with jittered places, radii and colours; ``enlargement`` times as large in all lengths.

    Returns: uint8 array (64 k, 64 k, 3) where k is the enlargement, RGB.
    """
    side = SIDE * _SUPERSAMPLING * enlargement
    background = _jitter(BACKGROUNDS[scene.background], rng, 5)
    image = Image.new("RGB", (side, side), background)
    draw = ImageDraw.Draw(image)
    for thing, (x, y) in zip(scene.things, _places(scene, rng), strict=True):
        radius = rng.uniform(*SIZES[thing.size])
        colour = _jitter(COLOURS[thing.colour], rng, 8)
        _draw(draw, thing.shape, x * enlargement, y * enlargement, radius * enlargement, colour, background)
    return np.asarray(image.reduce(_SUPERSAMPLING))


def _places(scene: Scene, rng: random.Random) -> list[tuple[float, float]]:
    middle = SIDE / 2
    if scene.relation is None:
        return [(middle + rng.uniform(-6, 6), middle + rng.uniform(-6, 6))]
    across = middle + rng.uniform(-5, 5)
    first, second = 16.5 + rng.uniform(-1.5, 1.5), SIDE - 16.5 + rng.uniform(-1.5, 1.5)
    lean = rng.uniform(-3, 3)
    if scene.relation == "above":
        return [(across, first), (across + lean, second)]
    return [(first, across), (second, across + lean)]


def _jitter(colour: tuple[int, int, int], rng: random.Random, spread: int) -> tuple[int, ...]:
    return tuple(max(0, min(255, channel + rng.randint(-spread, spread))) for channel in colour)


def _draw(
    draw: ImageDraw.ImageDraw,
    shape: str,
    x: float,
    y: float,
    radius: float,
    colour: tuple[int, ...],
    background: tuple[int, ...],
) -> None:
    x, y, r = x * _SUPERSAMPLING, y * _SUPERSAMPLING, radius * _SUPERSAMPLING

    def disc(cx: float, cy: float, k: float, fill: tuple[int, ...]) -> None:
        draw.ellipse([cx - k, cy - k, cx + k, cy + k], fill=fill)

    if shape == "circle":
        disc(x, y, r, colour)
    elif shape == "square":
        k = r * 0.86
        draw.rectangle([x - k, y - k, x + k, y + k], fill=colour)
    elif shape == "triangle":
        draw.polygon([(x, y - r), (x - r, y + r * 0.85), (x + r, y + r * 0.85)], fill=colour)
    elif shape == "star":
        tips = []
        for i in range(10):
            angle, k = -math.pi / 2 + i * math.pi / 5, r * (1.1 if i % 2 == 0 else 0.45)
            tips.append((x + k * math.cos(angle), y + k * math.sin(angle)))
        draw.polygon(tips, fill=colour)
    elif shape == "cross":
        k = r * 0.32
        draw.rectangle([x - k, y - r, x + k, y + r], fill=colour)
        draw.rectangle([x - r, y - k, x + r, y + k], fill=colour)
    elif shape == "ring":
        disc(x, y, r, colour)
        disc(x, y, r * 0.55, background)
    elif shape == "heart":
        k = r * 0.52
        disc(x - r + k, y - r * 0.9 + k, k, colour)
        disc(x + r - k, y - r * 0.9 + k, k, colour)
        draw.polygon([(x - r * 0.96, y - r * 0.18), (x + r * 0.96, y - r * 0.18), (x, y + r)], fill=colour)
        draw.polygon([(x - r * 0.5, y - r * 0.42), (x + r * 0.5, y - r * 0.42), (x, y + r * 0.3)], fill=colour)
    else:
        raise ValueError(f"shape {shape!r} is not one of {', '.join(SHAPES)}")
