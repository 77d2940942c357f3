"""The report of a world, for programs and for people."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from panic_assets.codec.components import RGB, Bitstream, BlurRGB
from panic_assets.codec.core.context import Context
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import MissingComponent
from panic_assets.codec.report import means, report, rows
from panic_assets.codec.systems.blur import GaussianBlur
from panic_assets.codec.systems.metrics import MetricMSE, MetricPSNR


class _Reader(HTMLParser):
    """The cells of a page, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.is_cell = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.is_cell = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self.is_cell = False

    def handle_data(self, data: str) -> None:
        if self.is_cell:
            self.rows[-1][-1] += data


def _measured() -> tuple[World, list[int]]:
    """A flat picture, whose blur is perfect, and one of noise, coded in 20 bytes."""
    world = World(arena_bytes=1 << 16, context=Context(is_traced=True))
    noise = np.random.default_rng(0).integers(0, 256, (8, 10), np.uint8)
    eids = world.spawn_images([np.full((8, 10), 7, np.uint8), noise])
    pipe = world.pipe(eids).to(GaussianBlur())
    pipe.select(BlurRGB).to(MetricPSNR()).select(BlurRGB).to(MetricMSE()).execute()
    data = world.arena.put(np.zeros(16, np.uint8))
    world.add_component(eids[1], Bitstream(data=data, n_symbols=80, tables=b"1234"))
    return world, eids


def test_rows_tell_size_bytes_and_measures() -> None:
    world, eids = _measured()
    flat, noise = rows(world, eids)
    assert flat == {"entity": 0, "height": 8, "width": 10, "psnr": float("inf"), "mse": 0.0}
    assert (noise["bytes"], noise["bpp"]) == (20, 2.0)
    assert 5 < noise["psnr"] < 30
    with pytest.raises(MissingComponent):
        rows(world, [99])


def test_means_are_over_those_that_have_a_value() -> None:
    world, eids = _measured()
    found = rows(world, eids)
    averages = means(found)
    assert averages["mse"] == pytest.approx(found[1]["mse"] / 2)
    assert averages["bytes"] == 20
    assert set(averages) == {"psnr", "mse", "bytes", "bpp"}
    assert means([]) == {}


def test_json_has_words_for_all_of_it() -> None:
    world, eids = _measured()
    world.metadata[eids[0]]["note"] = {"worst": float("-inf"), "shape": (1, 2), "kind": RGB}

    def refuse(word: str) -> None:
        raise AssertionError(word)

    content = json.loads(report(world, eids), parse_constant=refuse)
    assert content["entities"][0]["psnr"] == "inf"
    assert content["entities"][0]["note"]["worst"] == "-inf"
    assert content["entities"][0]["note"]["shape"] == [1, 2]
    assert content["means"]["bytes"] == 20
    assert [step["system"] for step in content["trace"]] == ["GaussianBlur", "MetricPSNR", "MetricMSE"]


def test_a_page_has_a_row_for_each_entity_their_mean_and_each_system() -> None:
    world, eids = _measured()
    reader = _Reader()
    reader.feed(report(world, eids, form="html"))
    assert reader.rows[0][:5] == ["entity", "height", "width", "psnr", "mse"]
    assert [row[0] for row in reader.rows[1:4]] == ["0", "1", "mean"]
    assert reader.rows[1][3] == "inf"
    assert [row[0] for row in reader.rows[4:]] == ["system", "GaussianBlur", "MetricPSNR", "MetricMSE"]


def test_what_a_page_shows_is_never_markup() -> None:
    world = World(arena_bytes=1 << 10)
    eid = world.new_entity()
    world.metadata[eid]["<b>"] = "<script>alert(1)</script>"
    page = report(world, [eid], form="html")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page


def test_a_report_of_nothing_says_so() -> None:
    world = World(arena_bytes=1 << 10)
    assert "No entities" in report(world, [], form="html")
    assert json.loads(report(world, [])) == {"entities": [], "means": {}, "trace": []}
