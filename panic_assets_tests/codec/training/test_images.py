"""The pictures: splits share no caption, a seed decides everything, sizes are what was asked for."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from panic_assets.codec.training import images, patterns
from panic_assets.models.bundled import world


def test_splits_share_no_caption() -> None:
    captions = {split: {s.caption for s in islice(images.scenes(split, 3), 150)} for split in images.SPLITS}
    assert not captions["training"] & captions["validation"]
    assert not captions["training"] & captions["test"]
    assert not captions["validation"] & captions["test"]


def test_what_is_held_out_of_the_world_is_held_out_here() -> None:
    for split in images.SPLITS:
        held = {world.is_held_out(scene) for scene in islice(images.scenes(split, 4), 50)}
        assert held == {split != "training"}


def test_a_larger_drawing_is_the_same_scene() -> None:
    small, large = images.drawn("test", 64, 3, 5), images.drawn("test", 256, 3, 5)
    assert large.shape == (3, 256, 256, 3)
    shrunk = large.reshape(3, 64, 4, 64, 4, 3).mean((2, 4))
    assert np.abs(shrunk - small).mean() < 3


def test_patterns_depend_on_the_seed_alone() -> None:
    pictures = images.pattern_pictures(48, 12, 9)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures, images.pattern_pictures(48, 12, 9))
    assert len({picture.tobytes() for picture in pictures}) == 12
    assert patterns.draw(np.random.default_rng(0), 64).shape == (64, 64, 3)


def test_the_pipeline_paints_held_out_captions() -> None:
    pictures = images.generated("test", "TinyScenesFast", 64, 2, 6)
    assert pictures.shape == (2, 64, 64, 3)
    assert pictures.std() > 10
    assert np.array_equal(pictures, images.generated("test", "TinyScenesFast", 64, 2, 6))


@pytest.fixture
def pools() -> images.Pools:
    return images.Pools({"large": images.pattern_pictures(96, 4, 1), "small": np.full((3, 64, 64, 3), 255, np.uint8)})


def test_batches_are_crops_in_the_asked_shares(pools: images.Pools) -> None:
    batch = pools.batch({"large": 1, "small": 1}, 32, 40, torch.Generator().manual_seed(2))
    assert batch.shape == (40, 3, 32, 32)
    white = int((batch == 1).all(1).all(1).all(1).sum())
    assert 10 <= white <= 30
    again = pools.batch({"large": 1, "small": 1}, 32, 40, torch.Generator().manual_seed(2))
    assert torch.equal(batch, again)


def test_blocks_come_from_every_pool(pools: images.Pools) -> None:
    blocks = pools.blocks(8, seed=0, count=20)
    assert blocks.shape == (20, 192)
    assert (blocks == 1).all(1).sum() == 10
