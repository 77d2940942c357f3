"""Figures: pictures that can be read and are not blank, nothing where nothing is to show, and small enough."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panic_assets.clustering.stage import cluster_lake
from panic_assets.defs.metadata import LARGEST_FIGURE, figure
from panic_assets.lake import Lake
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.pictures import PictureShelf
from panic_assets.loop.planning import resolve_models
from panic_assets.reports.figures import (
    cluster_sizes,
    drift_from_prompt,
    film_strip,
    film_strips,
    persistence_scatter,
    write_figures,
)
from panic_assets.topology.stage import persist_experiment
from panic_assets_tests.loop.parts import experiment, plain_pool, registry, run

FIGURES: dict[str, Callable[[Lake], bytes | None]] = {
    "film_strips": lambda lake: film_strips(lake, "small"),
    "drift": lambda lake: drift_from_prompt(lake, "small"),
    "persistence": lambda lake: persistence_scatter(lake, "small"),
    "clusters": cluster_sizes,
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A middle-sized lake: three networks, 90 runs of up to 30 invocations, two embedding models, with clusters."""
    asked = experiment(
        networks=[["DummyT2I", "DummyI2T"], ["DummyT2I", "DummyI2I", "DummyI2T"], ["DummyT2T"]],
        prompts=[f"prompt {number}" for number in range(10)],
        seeds=[1, -1, -1],
        max_length=30,
        embedding_models=["DummyText", "DummyVision"],
    )
    made = Lake(tmp_path_factory.mktemp("middle") / "lake")
    run(made, asked)
    embed_experiment(made, asked, resolve_models(asked, registry()), plain_pool())
    persist_experiment(made, "small")
    cluster_lake(made)
    return made


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", FIGURES)
def test_figures_can_be_read_are_not_blank_and_small(name: str, lake: Lake) -> None:
    drawn = FIGURES[name](lake)
    assert drawn is not None
    seen = pixels(drawn)
    assert min(seen.shape[:2]) >= 100
    assert seen.std() > 5
    assert (seen < 250).any(2).mean() > 0.01
    # As metadata it takes part: small enough with all that Base64 adds.
    assert len(drawn) < 75_000
    assert len(figure(drawn, name)["figure"].value) < 100_000


@pytest.mark.parametrize("name", FIGURES)
def test_equal_lakes_give_equal_figures(name: str, lake: Lake) -> None:
    assert FIGURES[name](lake) == FIGURES[name](lake)


@pytest.mark.parametrize("name", FIGURES)
def test_an_empty_lake_has_nothing_to_show(name: str, tmp_path: Path) -> None:
    assert FIGURES[name](Lake(tmp_path)) is None


def test_a_film_strip_shows_a_runs_pictures_in_order(lake: Lake) -> None:
    strip = film_strip(lake, "small", 0, count=4)
    assert strip is not None
    assert strip.shape == (48, 4 * 50 - 2, 3)
    assert strip.dtype == np.uint8
    rows = lake.read("invocations", "small", ["image_hash"], {"run_number": 0}).column(0).to_pylist()
    hashes = [value for value in rows if value is not None][:4]
    stored = PictureShelf(lake, "small").load(set(hashes))
    for place, image_hash in enumerate(hashes):
        tile = strip[:, place * 50 :][:, :48].astype(int)
        # Dummies paint two halves in one colour each.
        assert np.abs(tile[8, 24] - stored[image_hash][0, 0]).max() <= 2
        assert np.abs(tile[40, 24] - stored[image_hash][-1, 0]).max() <= 2
    assert (strip[:, 48:50] == 255).all()


def test_runs_of_texts_have_no_film_strip(lake: Lake) -> None:
    runs = lake.read("runs", "small").to_pylist()
    (number, *_) = [row["run_number"] for row in runs if row["network"] == "DummyT2T"]
    assert film_strip(lake, "small", number) is None
    sheet = film_strips(lake, "small")
    assert sheet is not None
    assert pixels(sheet).shape[0] == 48 + 4 + 48  # the two networks that have pictures


def test_captions_may_hold_any_signs(lake: Lake, tmp_path: Path) -> None:
    """Such as those of formulas, which would not be drawn, and line breaks."""
    odd = Lake(tmp_path)
    captions = [r"it costs $5 or $\frac{6", "two\nlines", "", "x" * 500, "%s {} &lt; <b>"]
    rows = lake.read("clusters").to_pylist()
    for number, row in enumerate(rows):
        row["medoid_text"] = captions[number % len(captions)]
    with odd.writer("clusters") as writer:
        writer.append(rows)
        writer.commit()
    drawn = cluster_sizes(odd)
    assert drawn is not None
    assert pixels(drawn).std() > 5


def test_a_model_of_two_revisions_has_two_panels(lake: Lake, tmp_path: Path) -> None:
    both = Lake(tmp_path)
    rows = [row for row in lake.read("clusters").to_pylist() if row["modality"] == "text"]
    one, other = rows, [row | {"clustering_id": bytes(16)} for row in rows]
    heights = []
    for added in (one, other):
        with both.writer("clusters") as writer:
            writer.append(added)
            writer.commit()
        drawn = cluster_sizes(both)
        assert drawn is not None
        heights.append(pixels(drawn).shape[0])
    assert heights[1] == pytest.approx(2 * heights[0], abs=2)


def test_files_are_written_for_what_there_is(lake: Lake, tmp_path: Path) -> None:
    written = write_figures(lake, "small", tmp_path / "figures")
    assert [path.name for path in written] == ["film_strips.png", "drift.png", "persistence.png", "clusters.png"]
    for path in written:
        assert pixels(path.read_bytes()).std() > 0
    assert write_figures(Lake(tmp_path / "none"), "small", tmp_path / "nothing") == []


def test_metadata_leaves_out_what_is_too_large() -> None:
    assert figure(None, "none") == {}
    assert figure(b"", "empty") == {}
    assert figure(bytes(LARGEST_FIGURE), "large") == {}
    assert figure(b"picture", "small")["figure"].value == "![small](data:image/png;base64,cGljdHVyZQ==)"
