"""The shipped weights do what their cards say, through the adapters that every model goes through."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from panic_assets.models.bundled import corpus, vocabulary, world
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import load_registry
from panic_assets.paths import project_dir

FOLDER = project_dir() / "data" / "models"


@pytest.fixture(scope="module")
def pool() -> ModelPool:
    return ModelPool("cpu")


@pytest.fixture(scope="module")
def held() -> corpus.Corpus:
    return corpus.draw(48, 77, held_out=True)


def test_the_cards_tell_the_evaluation() -> None:
    results = json.loads((FOLDER / "evaluation.json").read_text())
    for name, parts in {
        "tiny-scenes": ("TinyScenes", "TinyScenesFast", "autoencoder"),
        "tiny-captioner": ("captioner",),
        "tiny-clip": ("clip",),
    }.items():
        card = (FOLDER / name / "README.md").read_text()
        for part in parts:
            for measure, value in results[part].items():
                assert f"| {measure.replace('_', ' ')} | {value} |" in card
    assert results["TinyScenes"]["all"] >= 0.8
    assert results["captioner"]["exact"] >= 0.95
    assert min(results["clip"].values()) >= 0.95
    assert sum(results["megabytes"].values()) <= 12


def test_pictures_of_new_scenes_are_captioned_as_they_are(pool: ModelPool, held: corpus.Corpus) -> None:
    registry = load_registry()
    captioner = pool.get(registry["TinyCaption"])
    said = captioner.invoke(list(held.pictures), [0] * len(held))  # type: ignore[union-attr]
    right = sum(output.value == scene.caption for output, scene in zip(said, held.scenes, strict=True))
    assert right >= 0.9 * len(held)


def test_new_prompts_are_painted_as_they_say(pool: ModelPool, held: corpus.Corpus) -> None:
    registry = load_registry()
    painter, captioner = pool.get(registry["TinyScenes"]), pool.get(registry["TinyCaption"])
    scenes = held.scenes[:24]
    pictures = [o.value for o in painter.invoke([s.caption for s in scenes], list(range(24)))]  # type: ignore[union-attr]
    said = captioner.invoke(pictures, [0] * 24)  # type: ignore[union-attr]
    right = sum(world.parse(str(output.value)) == scene for output, scene in zip(said, scenes, strict=True))
    assert right >= 0.75 * len(scenes)


def test_the_joint_embedder_finds_the_picture_of_a_caption_and_tells_who_is_left(
    pool: ModelPool, held: corpus.Corpus
) -> None:
    embedder = pool.get(load_registry()["TinyCLIP"])
    scenes = [s for s in held.scenes if s.swapped() != s]
    pictures = [p for p, s in zip(held.pictures, held.scenes, strict=True) if s.swapped() != s]
    seen = embedder.embed(pictures, "image")  # type: ignore[union-attr]
    said = embedder.embed([s.caption for s in scenes], "text")  # type: ignore[union-attr]
    swapped = embedder.embed([s.swapped().caption for s in scenes], "text")  # type: ignore[union-attr]
    assert np.allclose(np.linalg.norm(seen, axis=1), 1, atol=1e-5)
    assert ((seen @ said.T).argmax(1) == np.arange(len(scenes))).mean() >= 0.9
    assert ((seen * said).sum(1) > (seen * swapped).sum(1)).mean() >= 0.9


def test_prompts_from_outside_the_world_run_and_end_up_inside_it(pool: ModelPool) -> None:
    registry = load_registry()
    painter, captioner = pool.get(registry["TinyScenesFast"]), pool.get(registry["TinyCaption"])
    prompts = ["a penguin by a campfire", "", "the stock market crashes again", "ein Hund " * 40, "🐧"]
    pictures = painter.invoke(prompts, [1] * len(prompts))  # type: ignore[union-attr]
    assert all(np.asarray(output.value).std() > 1 for output in pictures)
    assert "truncated_input" in pictures[3].flags
    said = captioner.invoke([output.value for output in pictures], [0] * len(prompts))  # type: ignore[union-attr]
    assert sum(world.parse(str(output.value)) is not None for output in said) >= 3


def test_every_word_of_the_world_is_one_token_and_others_fall_to_pieces(tmp_path: object) -> None:
    tokenizer = vocabulary.prompt_tokenizer(tmp_path)  # type: ignore[arg-type]
    assert all(len(tokenizer.tokenize(word)) == 1 for word in world.WORDS)
    assert len(tokenizer.tokenize("penguin")) > 1
    scene = world.sample_scene(random.Random(0))
    assert len(tokenizer(scene.reversed_caption).input_ids) <= vocabulary.PROMPT_TOKENS
