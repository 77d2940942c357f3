"""Point clouds whose homology is known, shared by the tests of this room. No tests here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def circle(points: int, centre: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Points on a unit circle at slightly uneven angles, (points, 2)."""
    angles = 2 * np.pi * (np.arange(points) + 0.3 * np.random.default_rng(1).random(points)) / points
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) + centre


def figure_eight(points: int) -> NDArray[np.float64]:
    """Two unit circles that touch, (2 * points, 2)."""
    return np.concatenate([circle(points), circle(points, (2.0, 0.0))])


def sphere(points: int) -> NDArray[np.float64]:
    """Points on the unit sphere along a golden spiral, (points, 3)."""
    height = 1 - (2 * np.arange(points) + 1) / points
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(points)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def torus(side: int) -> NDArray[np.float64]:
    """A flat torus in four dimensions: every pair of points of two unit circles, jittered, (side * side, 4)."""
    one, other = np.divmod(np.arange(side * side), side)
    jitter = 0.02 * np.random.default_rng(2).standard_normal((side * side, 4))
    return np.concatenate([circle(side)[one], circle(side)[other]], axis=1) + jitter


def noise(points: int, dimensions: int, seed: int = 0) -> NDArray[np.float32]:
    """Independent directions on the unit sphere, float32: the costliest shape there is."""
    cloud = np.random.default_rng(seed).standard_normal((points, dimensions))
    return (cloud / np.linalg.norm(cloud, axis=1, keepdims=True)).astype(np.float32)


def collapse(points: int, transient: int, cycle: int = 4, dimensions: int = 768) -> NDArray[np.float32]:
    """A walk on the unit sphere that ends in an exact cycle: transient + cycle distinct points, float32."""
    walk = np.cumsum(np.random.default_rng(3).standard_normal((transient + cycle, dimensions)), axis=0)
    rows = np.arange(points)
    rows = np.where(rows < transient, rows, transient + (rows - transient) % cycle)
    return (walk / np.linalg.norm(walk, axis=1, keepdims=True)).astype(np.float32)[rows]
