"""The report: what is on the page, and what a browser makes of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.devices.local import LocalDevice
from panic_assets.dynamics.corpus import NothingToAnalyse, load_corpus
from panic_assets.dynamics.findings import Curve, Findings, Group, GroupStatistic, Interval
from panic_assets.dynamics.stage import Analysis, analyse
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.planning import resolve_models
from panic_assets.reports.page import render
from panic_assets.reports.page.contents import contents_of
from panic_assets.reports.page.maps import map_of
from panic_assets.reports.page.render import write_comparison, write_report
from panic_assets_tests.loop.parts import experiment, plain_pool, registry, run

HOSTILE = 'a </script><script>document.title="owned"</script> & <b>bold</b> \u2028 cat'


def _finding(corpus: Any) -> Findings:
    group = Group("DummyText", "text", corpus.runs[0].network)
    x = np.arange(5.0)
    return Findings(
        groups=[
            GroupStatistic(
                group, "mean", Interval(1.5, 1.0, 2.0), 4, "a mean", p_adjusted=0.04, details={"finding": "It rose."}
            )
        ],
        curves=[Curve(group, "height", x, x**2, "invocations", x**2 - 1, x**2 + 1)],
    )


RISE = Analysis("rise", "Rising", "How things rise.", _finding)


def _lake(folder: Path, *experiments: Experiment) -> Lake:
    lake = Lake(folder)
    for asked in experiments:
        run(lake, asked)
        embed_experiment(lake, asked, resolve_models(asked, registry()), [LocalDevice(plain_pool())])
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two experiments, one of them with a prompt that tries to break out of the page."""
    small = {"parameters": {"side": 16, "states": 5}}
    one = experiment(
        prompts=[HOSTILE, "a dog"], seeds=[1, -1], max_length=30, embedding_models=["DummyText", "DummyVision"],
        models={"DummyT2I": small, "DummyI2T": {"parameters": {"states": 5}}},
    )  # fmt: skip
    made = _lake(tmp_path_factory.mktemp("lake"), one, experiment(name="other", networks=[["DummyT2T"]]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "ANALYSES", (RISE,))
        analyse(made, "small", RISE)
    return made


@pytest.fixture(autouse=True)
def _one_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "ANALYSES", (RISE,))


@pytest.fixture(scope="module")
def page(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "ANALYSES", (RISE,))
        return write_report(lake, "small", tmp_path_factory.mktemp("report") / "small.html")


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script":
            self.scripts.append(data)


def test_nothing_on_the_page_comes_from_elsewhere_and_nothing_breaks_out_of_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    elements = _Elements()
    elements.feed(text)
    for tag, attributes in elements.found:
        for name in ("src", "href", "srcset", "action"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, value)
    assert not re.search(r"url\((?!data:)", text)
    assert [tag for tag, _ in elements.found].count("script") == 2, "the prompt's own is text"
    assert "<b>bold</b>" not in text
    prompts = json.loads("".join(elements.scripts[:1]))["experiments"][0]["prompts"]
    assert prompts[0]["text"] == HOSTILE


def test_the_page_tells_what_was_run_and_found(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for expected in ("What was run", "DummyT2I -&gt; DummyI2T", "Rising", "How things rise.", "It rose.", "1 .. 2"):
        assert expected in text, expected
    assert page.stat().st_size < 1_000_000


def test_a_long_experiment_is_drawn_in_part_and_every_network_is_there(lake: Lake) -> None:
    contents = contents_of(lake, "small", runs_drawn=2).values
    assert [one["run"] for one in contents["drawn"]] == [0, 3]
    assert contents["counts"]["runs"] == 4
    assert sum(row["runs"] for row in contents["summary"]) == 4, "tables are over all"


def test_outputs_point_to_their_thumbnails(lake: Lake) -> None:
    contents = contents_of(lake, "small")
    corpus = load_corpus(lake, "small")
    assert contents.sheet is not None
    for one in contents.values["drawn"]:
        held = corpus.runs[one["run"]].outputs
        assert [contents.sheet.places[o] if isinstance(o, bytes) else o for o in held] == one["outputs"]


def test_maps_keep_distances_along_the_leading_axes(lake: Lake) -> None:
    space = load_corpus(lake, "small").spaces[0]
    whole = map_of(space, frozenset(range(4)))
    part = map_of(space, frozenset([1]))
    assert whole is not None
    assert part is not None
    assert np.array_equal(whole.points[1], part.points[1]), "axes do not depend on what is drawn"
    assert 0 < whole.explained <= 1
    vectors = np.concatenate([t.vectors for t in space.trajectories])
    flat = np.concatenate([whole.points[t.run.number] for t in space.trajectories])
    singular = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False)[:2]
    assert np.allclose(np.linalg.norm(flat - flat.mean(0), axis=0), singular, rtol=1e-3)


def test_an_experiment_without_runs_is_told(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(NothingToAnalyse, match="no runs of an experiment 'none'"):
        write_report(lake, "none", tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


def _opened(browser: Any, page: Path, width: int) -> tuple[Any, list[str]]:
    tab, complaints = browser.new_page(viewport={"width": width, "height": 900}), list[str]()
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else complaints.append(request.url),
    )
    tab.goto(page.as_uri())
    tab.wait_for_selector(".strip button")
    return tab, complaints


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_its_window_and_walks_by_keyboard(browser: Any, page: Path, width: int) -> None:
    tab, complaints = _opened(browser, page, width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    explorer = tab.locator(".explorer")
    explorer.focus()
    tab.keyboard.press("Home")
    first = explorer.locator(".facts").inner_text()
    tab.keyboard.press("ArrowRight")
    assert explorer.locator(".strip [aria-current=true]").get_attribute("data-step") == "1"
    run_before = explorer.locator("select.run").input_value()
    tab.keyboard.press("ArrowUp" if run_before == "3" else "ArrowDown")
    assert explorer.locator("select.run").input_value() != run_before
    assert explorer.locator(".facts").inner_text() != first
    drawn = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size > 4"
    for canvas in (".map", ".picture"):
        assert explorer.locator(canvas).evaluate(drawn), f"{canvas} is empty"
    assert tab.locator(".chart svg path.line").count() == 1
    assert tab.title() == "small: what the loops did"
    assert complaints == []
    tab.close()


def test_light_and_dark(browser: Any, page: Path) -> None:
    tab, _ = _opened(browser, page, 1280)
    shade = "getComputedStyle(document.body).backgroundColor"
    before = tab.evaluate(shade)
    tab.click("#theme")
    assert tab.evaluate(shade) != before
    tab.close()


def test_a_dot_shows_its_output_and_a_click_chooses_its_run(browser: Any, page: Path) -> None:
    tab, _ = _opened(browser, page, 1280)
    tab.locator(".map").scroll_into_view_if_needed()
    box = tab.locator(".map").bounding_box()
    for step in range(400):  # somewhere there is a dot
        x, y = box["x"] + box["width"] * (step % 20 + 0.5) / 20, box["y"] + box["height"] * (step // 20 + 0.5) / 20
        tab.mouse.move(x, y)
        if tab.locator("#tip").is_visible():
            break
    said = tab.locator("#tip").inner_text()
    tab.mouse.click(x, y)
    assert re.search(r"run (\d+)", said).group(1) == tab.locator("select.run").input_value()  # type: ignore[union-attr]
    tab.close()


def test_two_experiments_on_one_page(browser: Any, lake: Lake, tmp_path: Path) -> None:
    tab, complaints = _opened(browser, write_comparison(lake, ["small", "other"], tmp_path / "two.html"), 1280)
    assert tab.locator(".explorer").count() == 2
    assert complaints == []
    tab.close()
