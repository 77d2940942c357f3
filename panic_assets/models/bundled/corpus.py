"""The training and held-out sets: scenes and pictures of the world, made from a seed.

Here belongs the drawing of data sets and their conversion to tensors. Recipes for models live beside this module.
"""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from panic_assets.models.bundled import world

_CHUNK = 2500


@dataclass(frozen=True)
class Corpus:
    """``pictures``: uint8 (n, 64, 64, 3); ``scenes``: the n scenes they show."""

    pictures: np.ndarray
    scenes: list[world.Scene]

    def __len__(self) -> int:
        return len(self.scenes)

    def images(self, index: torch.Tensor) -> torch.Tensor:
        """Float tensor (k, 3, 64, 64) in [-1, 1], channels last in memory."""
        chosen = torch.from_numpy(self.pictures[index.numpy()])
        return (chosen.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def draw(count: int, seed: int, held_out: bool, workers: int = 1) -> Corpus:
    """Draw ``count`` scenes and pictures; the two splits share no caption. The result depends on the seed alone."""
    sizes = [min(_CHUNK, count - start) for start in range(0, count, _CHUNK)]
    jobs = [f"{seed}/{held_out}/{i}" for i in range(len(sizes))]
    work = partial(_draw_chunk, held_out=held_out)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(work, jobs, sizes))
    else:
        parts = list(map(work, jobs, sizes))
    return Corpus(np.concatenate([p for p, _ in parts]), [s for _, scenes in parts for s in scenes])


def cached(folder: Path, count: int, seed: int, held_out: bool) -> Corpus:
    """:func:`draw`, with the pictures kept in ``folder`` (captions are cheap and are drawn again)."""
    path = folder / f"pictures-{'held' if held_out else 'train'}-{seed}-{count}.npz"
    if not path.exists():
        corpus = draw(count, seed, held_out, workers=2)
        folder.mkdir(parents=True, exist_ok=True)
        captions = np.array([s.caption for s in corpus.scenes])
        np.savez(path, pictures=corpus.pictures, captions=captions)
        return corpus
    with np.load(path) as stored:
        scenes = [world.parse(str(c)) for c in stored["captions"]]
        return Corpus(stored["pictures"], [s for s in scenes if s is not None])


def _draw_chunk(key: str, size: int, held_out: bool) -> tuple[np.ndarray, list[world.Scene]]:
    rng = random.Random(key)
    pictures = np.empty((size, world.SIDE, world.SIDE, 3), np.uint8)
    scenes: list[world.Scene] = []
    while len(scenes) < size:
        scene = world.sample_scene(rng)
        if world.is_held_out(scene) == held_out:
            pictures[len(scenes)] = world.render(scene, rng)
            scenes.append(scene)
    return pictures, scenes
