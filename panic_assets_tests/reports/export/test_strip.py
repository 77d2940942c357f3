"""Film strips: which pictures, in what files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from panic_assets.lake import Lake
from panic_assets.loop.pictures import PictureShelf
from panic_assets.reports.export.common import ExportError, load_runs
from panic_assets.reports.export.strip import evenly, export_strips
from panic_assets_tests.reports.export.parts import NAME, near


@given(length=st.integers(0, 300), count=st.integers(1, 20))
def test_evenly_spaced(length: int, count: int) -> None:
    places = [3 * number for number in range(length)]
    chosen = evenly(places, count)
    assert len(chosen) == min(length, count)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(places)
    if len(chosen) > 1:
        assert (chosen[0], chosen[-1]) == (places[0], places[-1])
        steps = np.diff([places.index(place) for place in chosen])
        assert steps.max() - steps.min() <= 1


def test_one_of_each_prompt_and_network_in_a_folder(lake: Lake, tmp_path: Path) -> None:
    written = export_strips(lake, NAME, tmp_path / "strips")
    runs = load_runs(lake, NAME).runs
    first = {(run.prompt_number, run.network): run.number for run in reversed(runs) if run.network != "DummyT2T"}
    assert [path.name for path in written] == [f"run_{first[key]:05d}.png" for key in sorted(first)]
    for path in written:
        with Image.open(path) as image:
            assert image.width > 600


def test_a_strip_shows_the_pictures_of_its_run(lake: Lake, tmp_path: Path) -> None:
    (path,) = export_strips(lake, NAME, tmp_path / "x.png", [1], count=3)
    run = load_runs(lake, NAME).runs[1]
    places = evenly([place for place, output in enumerate(run.outputs) if isinstance(output, bytes)], 3)
    pixels = PictureShelf(lake, NAME).load({run.outputs[place] for place in places})  # type: ignore[misc]
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB"))
    tiles = [
        Image.fromarray(pixels[run.outputs[place]]).resize((192, 192), Image.Resampling.LANCZOS) for place in places
    ]  # type: ignore[index]
    expected = np.concatenate([np.asarray(tile) for tile in tiles], axis=1)
    rows = [
        top
        for top in range(sheet.shape[0] - 192)
        if near(
            np.concatenate([sheet[top : top + 192, 16 + n * 202 :][:, :192] for n in range(3)], axis=1), expected, 0.0
        )
    ]
    assert len(rows) == 1


def test_sheets_and_pages(lake: Lake, tmp_path: Path) -> None:
    (sheet,) = export_strips(lake, NAME, tmp_path / "x.png", [0, 1, 2])
    singles = export_strips(lake, NAME, tmp_path / "folder", [0, 1, 2])
    heights = []
    for path in singles:
        with Image.open(path) as image:
            heights.append(image.height)
    with Image.open(sheet) as image:
        assert image.height == sum(heights)
    (document,) = export_strips(lake, NAME, tmp_path / "x.pdf", [0, 1, 2])
    content = document.read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page\n") == 3


@pytest.mark.parametrize(
    ("runs", "file", "count", "match"),
    [
        ([4], "x.png", 8, "run 4 made no pictures"),
        ([99], "x.png", 8, "has no run 99"),
        ([0], "x.gif", 8, "written as .png, .pdf, or into a folder"),
        ([0], "x.png", 0, "give 1 or more"),
    ],
)
def test_what_cannot_be_is_told(lake: Lake, tmp_path: Path, runs: list[int], file: str, count: int, match: str) -> None:
    with pytest.raises(ExportError, match=match):
        export_strips(lake, NAME, tmp_path / file, runs, count)
