"""The drawn world: grammar and renderer."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.models.bundled import corpus, world

scenes = st.integers(0, 2**32).map(lambda seed: world.sample_scene(random.Random(seed)))


@given(scenes)
@settings(max_examples=200, deadline=None)
def test_a_caption_and_its_reverse_name_the_same_scene(scene: world.Scene) -> None:
    assert world.parse(scene.caption) == scene
    assert world.parse(scene.reversed_caption) == scene
    assert scene.swapped().swapped() == scene
    assert (scene.swapped().caption == scene.caption) == (scene.things[0] == scene.things[-1])


@pytest.mark.parametrize(
    "caption",
    ["", "a penguin by a campfire", "a small red circle", "a small red circle above a large blue star",
     "a small red circle on a red background", "small red circle on a black background"],
)  # fmt: skip
def test_what_is_outside_the_grammar_names_no_scene(caption: str) -> None:
    assert world.parse(caption) is None


@given(scenes, st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_picture_shows_its_colours_where_the_caption_says(scene: world.Scene, seed: int) -> None:
    picture = world.render(scene, random.Random(seed))
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, world.render(scene, random.Random(seed)))
    assert np.abs(picture[0, 0].astype(int) - world.BACKGROUNDS[scene.background]).max() <= 5
    if scene.relation is not None:
        vertical = scene.relation == "above"
        halves = (picture[:32], picture[32:]) if vertical else (picture[:, :32], picture[:, 32:])
        for half, thing in zip(halves, scene.things, strict=True):
            distance = np.abs(half.astype(int) - world.COLOURS[thing.colour]).max(-1)
            assert (distance <= 8).sum() > 40


def test_the_splits_share_no_caption() -> None:
    train, held = corpus.draw(400, 1, held_out=False), corpus.draw(100, 1, held_out=True)
    assert not any(world.is_held_out(scene) for scene in train.scenes)
    assert all(world.is_held_out(scene) for scene in held.scenes)
    again = corpus.draw(400, 1, held_out=False)
    assert np.array_equal(train.pictures, again.pictures)
    assert train.scenes == again.scenes


def test_an_unknown_shape_is_refused() -> None:
    scene = world.Scene((world.Thing("small", "red", "circle"),), None, "black")
    broken = world.Scene((world.Thing("small", "red", "dodecahedron"),), None, "black")
    assert world.render(scene, random.Random(0)).any()
    with pytest.raises(ValueError, match="dodecahedron"):
        world.render(broken, random.Random(0))
