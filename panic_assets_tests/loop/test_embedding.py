"""Embedding: every output once, prompts included, and nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake, images
from panic_assets.lake.errors import PartitionLocked
from panic_assets.loop.embedding import BadVectors, EmbeddingSummary, embed_experiment, space_of
from panic_assets.loop.planning import resolve_models
from panic_assets.models.entry import ModelEntry
from panic_assets.models.pool import ModelPool
from panic_assets_tests.loop.parts import WatchedPool, content, experiment, fresh, plain_pool, registry, run

BOTH = ["DummyText", "DummyVision"]


def _embed(lake: Lake, asked: Experiment, pool: ModelPool | None = None) -> list[EmbeddingSummary]:
    return embed_experiment(lake, asked, resolve_models(asked, registry()), [LocalDevice(pool or plain_pool())])


def test_each_model_embeds_what_it_can_and_texts_start_at_the_prompt(tmp_path: Path) -> None:
    asked = experiment(embedding_models=BOTH, max_length=4)
    lake = fresh(tmp_path, asked)
    _embed(lake, asked)
    rows = lake.read("embeddings", "small").to_pylist()
    places = [(row["embedding_model"], row["run_number"], row["sequence_number"], row["modality"]) for row in rows]
    assert places == [
        *[("DummyText", run, number, "text") for run in (0, 1) for number in (-1, 1, 3)],
        *[("DummyVision", run, number, "image") for run in (0, 1) for number in (0, 2)],
    ]
    assert {row["space"] for row in rows} == {space_of(registry()[name]) for name in BOTH}


def test_vectors_are_those_of_the_model_alone_with_each_item(tmp_path: Path) -> None:
    asked = experiment(embedding_models=BOTH)
    lake = fresh(tmp_path, asked)
    _embed(lake, asked)
    texts = {
        (row["run_number"], row["sequence_number"]): row["text"]
        for row in lake.read("invocations", "small").to_pylist()
        if row["text"]
    } | {(row["run_number"], -1): row["prompt"] for row in lake.read("runs", "small").to_pylist()}
    pictures = {
        (row["run_number"], row["sequence_number"]): images.decode(row["image"])
        for row in lake.read("images", "small").to_pylist()
    }
    rows = lake.read("embeddings", "small").to_pylist()
    assert len(rows) == len(texts) + len(pictures)
    for row in rows:
        item = {"text": texts, "image": pictures}[row["modality"]][row["run_number"], row["sequence_number"]]
        alone = plain_pool().get(registry()[row["embedding_model"]]).embed([item], row["modality"])[0]
        assert np.array_equal(np.float32(row["vector"]), alone)


def test_equal_outputs_are_embedded_once_in_batches_of_one_size(tmp_path: Path) -> None:
    one_state = {"DummyT2I": {"parameters": {"side": 8, "states": 1}}, "DummyI2T": {"parameters": {"states": 1}}}
    asked = experiment(models=one_state, cycle="continue", max_length=20)
    lake = fresh(tmp_path, asked)
    pool = WatchedPool()
    (summary,) = _embed(lake, asked, pool)
    assert (summary.rows, summary.computed) == (2 + 20, 3)
    assert [len(items) for _, items, _ in pool.calls] == [32]


def test_a_second_time_nothing_is_computed_or_written_and_growth_adds_its_own(tmp_path: Path) -> None:
    asked = experiment(embedding_models=BOTH, max_length=6)
    lake = fresh(tmp_path / "grown", asked)
    _embed(lake, asked)
    generation = lake.generation("embeddings", "small")
    assert [(s.rows, s.computed) for s in _embed(lake, asked)] == [(0, 0), (0, 0)]
    assert lake.generation("embeddings", "small") == generation
    longer = experiment(embedding_models=BOTH, max_length=10, prompts=["a boat", "a hill", "a cave"])
    run(lake, longer)
    assert [s.rows for s in _embed(lake, longer)] == [2 * 2 + 6, 2 * 2 + 5]
    at_once = fresh(tmp_path / "whole", longer)
    _embed(at_once, longer)
    assert content(lake, "embeddings") == content(at_once, "embeddings")


def test_another_space_takes_the_place_of_the_old_one_and_leaves_other_models(tmp_path: Path) -> None:
    asked = experiment(embedding_models=BOTH, max_length=4)
    lake = fresh(tmp_path, asked)
    _embed(lake, asked)
    kept = [row for row in content(lake, "embeddings") if row["embedding_model"] == "DummyVision"]
    changed = asked.model_copy(update={"models": {**asked.models, "DummyText": {"dimension": 16}}})
    _embed(lake, changed)
    rows = content(lake, "embeddings")
    assert [row for row in rows if row["embedding_model"] == "DummyVision"] == kept
    sizes = {len(row["vector"]) for row in rows if row["embedding_model"] == "DummyText"}
    assert sizes == {16}
    assert len(rows) == 6 + 4


def test_progress_is_told_for_each_model(tmp_path: Path) -> None:
    asked = experiment(embedding_models=BOTH, max_length=4)
    lake = fresh(tmp_path, asked)
    told: list[tuple[str, int, int]] = []
    entries = resolve_models(asked, registry())
    embed_experiment(lake, asked, entries, [LocalDevice(plain_pool())], lambda *news: told.append(news))
    assert told == [("DummyText", 6, 6), ("DummyVision", 4, 4)]


class Spoilt(WatchedPool):
    """Embedding models that give what they should not."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__()
        self.vectors = vectors

    def get(self, entry: ModelEntry) -> Any:
        model = super().get(entry)
        model.embed = lambda items, modality: np.repeat(self.vectors, len(items), 0)
        return model


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.full((1, 64), np.nan, np.float32), "DummyText gave a vector that is not finite for 'a boat'; try dtype"),
        (np.zeros((1, 63), np.float32), r"DummyText gave vectors of shape \(14, 63\), expected \(14, 64\)"),
    ],
)
def test_bad_vectors_are_refused(tmp_path: Path, vectors: np.ndarray, message: str) -> None:
    lake = fresh(tmp_path, experiment())
    with pytest.raises(BadVectors, match=message):
        _embed(lake, experiment(), Spoilt(vectors))
    assert lake.read("embeddings", "small").num_rows == 0


def test_one_process_embeds_at_a_time(tmp_path: Path) -> None:
    lake = fresh(tmp_path, experiment())

    def second(entry: ModelEntry, items: Sequence[Any], seeds: Sequence[int]) -> None:
        with pytest.raises(PartitionLocked):
            _embed(lake, experiment())

    pool = WatchedPool(watch=second)
    assert _embed(lake, experiment(), pool)[0].rows == 14
    assert pool.calls
