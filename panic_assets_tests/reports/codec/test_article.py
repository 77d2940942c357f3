"""The article about codecs: what it says, where it stands, and that it is whole and harmless."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from panic_assets.codec.rates import NotMeasured
from panic_assets.lake import Lake
from panic_assets.reports import style
from panic_assets.reports.codec.article import article
from panic_assets.reports.codec.contents import CURVES, facts_of, measured_experiments, measured_in, report_path
from panic_assets.reports.codec.figures import rates_figure
from panic_assets.reports.codec.panels import panels
from panic_assets.reports.codec.render import write_codec_report
from panic_assets.reports.figures.files import write_figures
from panic_assets.reports.page.render import write_comparison, write_report
from panic_assets_tests.codec import measured
from panic_assets_tests.reports.hand_made import make_lake

WHY = "its pictures are stored as <jpeg-50>"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Measured: ``hand`` whole, ``lossy`` without originals. ``begun`` has an empty table, as a deletion leaves it."""
    runs = [(("Rephrase", "Translate"), 1, ["a", "b"], {"stop_reason": "length"})]
    made = make_lake(tmp_path_factory.mktemp("lake"), runs)
    measured.fill(made, "hand")
    measured.fill(made, "lossy", WHY)
    with made.writer("codec_rates", "begun") as writer:
        writer.commit()
    return made


def test_verdicts_come_with_what_matters_first_and_the_numbers_behind(lake: Lake) -> None:
    text = str(article(measured_in(lake, "hand")))
    first = "At equal MS-SSIM latent needs 50 % fewer bytes than AVIF over the range that both reach"
    places = [text.index(part) for part in (first, "equal MS-SSIM</th>", '<svg class="chart"', "Every number")]
    assert places == sorted(places)
    assert text.count(first + " (") == 2, "the sentence, and what is told of its cell"
    cells = re.findall(r"<th scope=\"row\">AVIF</th>(.*?)</tr>", text)[0]
    assert re.findall(r"<b class=\"(\w*)\">(.*?)</b>", cells) == [("fewer", "\u221250 %")] * 4
    assert "Without any loss files take: WebP 9,000 bytes, latent 9,500." in text
    assert text.count('<th scope="row">latent</th>') == 8


def test_where_ours_loses_is_in_red_and_in_words(lake: Lake) -> None:
    text = str(article(measured_in(lake, "hand")))
    webp = re.findall(r"<th scope=\"row\">WebP</th>(.*?)</tr>", text)[0]
    assert re.findall(r"<b class=\"(\w+)\">(.*?)</b>", webp) == [("more", "+100 %")] * 4
    assert "it loses below 38.0 dB" in text


def test_charts_are_whole_and_have_every_curve(lake: Lake) -> None:
    drawn = panels(measured_in(lake, "hand"))
    assert [one.title for one in drawn] == ["MS-SSIM", "Drift, the less the higher", "PSNR", "SSIM"]
    for one in drawn:
        root = ElementTree.fromstring(one.svg)
        assert [len(group.findall("*")) for group in root.findall("g")] == [8] * len(CURVES), "a line and seven marks"
        assert "latent 3: 400 bytes" in one.svg


def test_what_could_not_be_measured_is_told_and_nothing_is_drawn(lake: Lake) -> None:
    found = measured_in(lake, "lossy")
    assert panels(found) == []
    text = str(article(found))
    assert "its pictures are stored as &lt;jpeg-50&gt;" in text
    assert "<svg" not in text
    assert rates_figure(lake, "lossy") is None


def test_what_was_never_measured_is_no_article(lake: Lake) -> None:
    assert measured_experiments(lake) == ["hand", "lossy"]
    for name in ("begun", "unknown"):
        with pytest.raises(NotMeasured):
            measured_in(lake, name)
        assert rates_figure(lake, name) is None


def test_facts_name_the_container_of_avif(lake: Lake) -> None:
    assert facts_of(measured_in(lake, "hand")) == [
        ("pictures", "2 of 40"),
        ("drift measured by", "DummyVision"),
        ("AVIF's own boxes, bytes in every file", "5"),
    ]


def test_the_figure_is_small_and_one_of_the_experiments(lake: Lake, tmp_path: Path) -> None:
    figure = rates_figure(lake, "hand")
    assert figure is not None
    small = style.small_png(figure)
    assert small is not None
    assert len(small) < 75_000
    assert write_figures(lake, "hand", tmp_path, only="codecs") == [tmp_path / "codecs.png"]


def test_the_report_has_a_section_where_codecs_were_measured_and_none_elsewhere(lake: Lake, tmp_path: Path) -> None:
    text = write_report(lake, "hand", tmp_path / "hand.html").read_text()
    assert text.count('<article class="codec">') == 1
    assert 'href="#compression"' in text
    both = write_comparison(lake, ["hand", "hand"], tmp_path / "both.html").read_text()
    assert both.count('<article class="codec">') == 2
    without = make_lake(tmp_path / "lake", [(("Rephrase",), 1, ["a"], {"stop_reason": "length"})])
    text = write_report(without, "hand", tmp_path / "without.html").read_text()
    assert "codec" not in text


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_fit_their_window_and_fetch_nothing(
    lake: Lake, chromium: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    pages = [
        write_codec_report(lake, "hand", report_path(tmp_path, "hand")),
        write_codec_report(lake, "lossy", report_path(tmp_path, "lossy")),
        write_report(lake, "hand", tmp_path / "hand.html"),
    ]
    for path in pages:
        tab = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        complaints: list[str] = []
        tab.on("console", lambda message, told=complaints: told.append(message.text))
        tab.on("pageerror", lambda error, told=complaints: told.append(str(error)))
        tab.on("request", lambda request, told=complaints: request.url.startswith("file:") or told.append(request.url))
        tab.goto(path.as_uri())
        for summary in tab.locator(".codec summary").all():
            summary.click()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path.name
        assert complaints == []
        dark = "getComputedStyle(document.body).backgroundColor"
        assert (tab.evaluate(dark) == "rgb(22, 23, 24)") == (scheme == "dark")
        if path.name == "hand.codec.html":
            sizes = tab.locator(".codec svg.chart").evaluate_all("all => all.map(one => one.clientHeight)")
            assert len(sizes) == 4
            assert min(sizes) > 150
        tab.close()
