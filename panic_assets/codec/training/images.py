"""The pictures that the codec learns from, and those by which it is checked and judged.

Here belong the three splits and the batches. Captions of the world's own held-out share are never trained on; a hash
divides them again into *validation*, by which the recipe may be tuned, and *test*, by which it may not.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from panic_assets.codec.training import patterns
from panic_assets.models.bundled import world
from panic_assets.models.bundled.evaluate import VARIANTS
from panic_assets.paths import project_dir

SPLITS = ("training", "validation", "test")
_PAINTED_AT_ONCE = 8


def split_of(scene: world.Scene) -> str:
    """Which split a scene's canonical caption belongs to."""
    if not world.is_held_out(scene):
        return "training"
    second = hashlib.md5(scene.caption.encode(), usedforsecurity=False).digest()[1]
    return "test" if second % 2 else "validation"


def scenes(split: str, seed: int) -> Iterator[world.Scene]:
    """Endless scenes of a split, drawn from a seed."""
    rng = random.Random(f"codec/{split}/{seed}")
    while True:
        scene = world.sample_scene(rng)
        if split_of(scene) == split:
            yield scene


def generated(split: str, variant: str, side: int, count: int, seed: int) -> np.ndarray:
    """What the bundled pipeline paints of a split's captions at a size; uint8 (count, side, side, 3)."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        project_dir() / "data" / "models" / "tiny-scenes", dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    steps, guidance = VARIANTS[variant]
    source, parts = scenes(split, seed), []
    for start in range(0, count, _PAINTED_AT_ONCE):
        here = min(_PAINTED_AT_ONCE, count - start)
        drawn = pipeline(
            [next(source).caption for _ in range(here)],
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed * 1_000_003 + start + i) for i in range(here)],
            height=side,
            width=side,
            output_type="np",
        ).images
        parts.append((np.asarray(drawn) * 255).round().astype(np.uint8))
    return np.concatenate(parts)


def drawn(split: str, side: int, count: int, seed: int) -> np.ndarray:
    """Drawn scenes of a split, ``side`` a multiple of 64; uint8 (count, side, side, 3)."""
    rng, source = random.Random(f"codec/drawing/{split}/{seed}"), scenes(split, seed)
    return np.stack([world.render(next(source), rng, side // world.SIDE) for _ in range(count)])


def pattern_pictures(side: int, count: int, seed: int) -> np.ndarray:
    """Pictures of :mod:`patterns`; uint8 (count, side, side, 3)."""
    rng = np.random.default_rng(seed)
    return np.stack([patterns.draw(rng, side) for _ in range(count)])


# Name, how to make it: the training pictures. Two sizes of everything, so that the widths of lines vary.
POOLS: dict[str, Callable[[int], np.ndarray]] = {
    "painted-64": lambda seed: generated("training", "TinyScenes", 64, 2500, seed),
    "fast-64": lambda seed: generated("training", "TinyScenesFast", 64, 1000, seed + 1),
    "painted-256": lambda seed: generated("training", "TinyScenes", 256, 160, seed + 2),
    "fast-256": lambda seed: generated("training", "TinyScenesFast", 256, 120, seed + 3),
    "painted-128": lambda seed: generated("training", "TinyScenes", 128, 160, seed + 4),
    "drawn-64": lambda seed: drawn("training", 64, 1500, seed + 5),
    "drawn-128": lambda seed: drawn("training", 128, 400, seed + 6),
    "drawn-256": lambda seed: drawn("training", 256, 300, seed + 7),
    "patterns-128": lambda seed: pattern_pictures(128, 1200, seed + 8),
    "patterns-256": lambda seed: pattern_pictures(256, 250, seed + 9),
}


@dataclass(frozen=True)
class Pools:
    """All training pictures by name; :meth:`batch` cuts from them."""

    pictures: dict[str, np.ndarray]

    @classmethod
    def cached(cls, work: Path, seed: int) -> Pools:
        """Load the pools kept in ``work``; make and keep those that are not there."""
        work.mkdir(parents=True, exist_ok=True)
        pictures = {}
        for name, make in POOLS.items():
            path = work / f"{name}-{seed}.npy"
            if not path.exists():
                aside = path.with_suffix(".writing")
                with aside.open("wb") as file:
                    np.save(file, make(seed))
                aside.replace(path)
                print(f"made {path}", flush=True)
            pictures[name] = np.load(path, mmap_mode="r")
        return cls(pictures)

    def batch(self, mixture: dict[str, float], side: int, count: int, generator: torch.Generator) -> torch.Tensor:
        """Crops of ``side`` from pools in the given shares, turned and mirrored by chance; (count, 3, side, side)."""
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        names = rng.choice(list(mixture), count, p=np.array(list(mixture.values())) / sum(mixture.values()))
        return torch.stack([self._crop(self.pictures[name], side, rng) for name in names])

    def sample(self, count: int = 8) -> list[np.ndarray]:
        """The first pictures of every pool, whole: what frequencies are counted on."""
        return [np.asarray(picture) for pool in self.pictures.values() for picture in pool[:count]]

    def blocks(self, side: int, seed: int, count: int = 20_000) -> np.ndarray:
        """Square blocks by chance, equally many of each pool, in [-1, 1], flattened channel by channel."""
        generator = torch.Generator().manual_seed(seed)
        parts = [self.batch({name: 1.0}, side, count // len(self.pictures), generator) for name in self.pictures]
        return torch.cat(parts).flatten(1).numpy()

    @staticmethod
    def _crop(pool: np.ndarray, side: int, rng: np.random.Generator) -> torch.Tensor:
        whole = pool[rng.integers(len(pool))]
        top, left = rng.integers(0, whole.shape[0] - side + 1, 2)
        cut = np.rot90(whole[top : top + side, left : left + side], int(rng.integers(4)))
        if rng.random() < 0.5:
            cut = cut[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(cut.transpose(2, 0, 1))).float() / 127.5 - 1
