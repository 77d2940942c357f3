"""The report as a file: whole, harmless, offline, and made of what the lake holds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from panic_assets.lake import Lake
from panic_assets.reports import style
from panic_assets.reports.study.contents import NoSuchStudy, study_of
from panic_assets.reports.study.figures import drawn, figure_of_study
from panic_assets.reports.study.render import page, write_study_report
from panic_assets.studies.events.store import EventStore
from panic_assets_tests.studies import made

HOSTILE = "</title></svg><script>window.owned = 1</script><img src=x onerror='window.owned = 1'>\u2028&\""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    folder = tmp_path_factory.mktemp("studies")
    store = EventStore(f"sqlite:///{folder / 'events.db'}")
    store.migrate()
    made.tell(store, 20, epoch_count=4)
    lake = Lake(folder / "lake")
    made.fill(lake, store, 20)
    yield lake
    store.close()


@pytest.fixture(scope="module")
def report(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("reports") / "below" / "study-demo.html"
    assert write_study_report(lake, "demo", path, "http://mlflow.test") == path
    return path.read_text(encoding="utf-8")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_sentence_comes_before_every_chart(report: str):
    assert report.index(made.SENTENCE.split(",")[0]) < report.index("<svg")
    order = [
        report.index(f'id="{name}"') for name in ("differences", "arms", "robustness", "bounds", "cost", "numbers")
    ]
    assert order == sorted(order)


def test_every_number_of_the_comparison_is_in_the_table(report: str):
    rows = made.comparison(made.trials(20))
    table = report[report.index('id="numbers"') : report.index('id="data"')]
    assert table.count("<tr") == 1 + len(rows)
    assert table.count('class="claimed"') == 1
    assert "3 of 4" in table or "4 of 4" in table


def test_trials_lead_to_mlflow(report: str):
    assert f"http://mlflow.test/#/experiments/1/runs/{made.trial_id(3)}" in report


def test_nothing_is_fetched_and_no_text_is_markup(lake: Lake):
    rows = made.rows(10)
    rows["comparison"] = made.comparison(rows["trials"], sentence=f"claim {HOSTILE}")
    del rows["study_comparison"]
    for row in rows["trials"]:
        row["arm"] = row["arm"] if row["arm"] == "none" else row["arm"] + HOSTILE
        row["error_type"] = HOSTILE
    for row in rows["comparison"]:
        row["arm"] += HOSTILE
    for row in rows["lipschitz"]:
        row["layer_name"] = HOSTILE
    rows["model_runs"][0]["spec"] = {"description": HOSTILE, "claim": {"metric": HOSTILE, "arm": HOSTILE}}
    rows["model_runs"][0]["metadata"] = {HOSTILE: HOSTILE}
    parsed = _Tags()
    parsed.feed(page(study_of(HOSTILE, **rows)))
    names = [tag for tag, _ in parsed.found]
    assert names.count("script") == 1
    assert not {"img", "iframe", "link", "object"} & set(names)
    assert not [name for _, given in parsed.found for name in given if name.startswith("on") or name == "style"]
    assert not [given for _, given in parsed.found if str(given.get("href", "#")).startswith(("http", "javascript"))]


def test_a_study_that_is_not_there_is_told_with_what_to_do(lake: Lake, tmp_path: Path):
    with pytest.raises(NoSuchStudy, match="panic study run other"):
        write_study_report(lake, "other", tmp_path / "other.html")
    assert figure_of_study(lake, "other") is None


def test_a_study_without_a_comparison_shows_what_its_trials_told():
    html = page(study_of("young", trials=made.trials(6)))
    assert "No comparison has been made yet" in html
    assert 'id="arms"' in html
    assert 'id="differences"' not in html


def test_the_figure_is_small_and_the_same_each_time(lake: Lake):
    figure = figure_of_study(lake, "demo")
    assert figure is not None
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles[0] == "test accuracy: difference from none"
    assert "accuracy under PGD, L2" in titles
    first, again = style.small_png(figure), style.small_png(figure_of_study(lake, "demo"))
    assert first is not None
    assert first == again
    thin = study_of("thin", trials=made.trials(10), comparison=made.comparison(made.trials(10)))
    assert drawn(thin) is not None


def test_a_browser_shows_it_offline_at_two_widths(report: str, tmp_path: Path):
    playwright: Any = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed")
    file = tmp_path / "study.html"
    file.write_text(report, encoding="utf-8")
    complaints: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for width, scheme in ((1280, "light"), (390, "dark")):
            tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
            tab.on("console", lambda message: complaints.append(message.text))
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            tab.on("request", lambda request: complaints.append(request.url))
            tab.goto(file.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") == width
            assert tab.evaluate("document.querySelectorAll('svg.chart').length") >= 12
            assert _crossing(tab) == [], width
            tab.keyboard.press("Tab")
            tab.click(".arm-key >> nth=1")
            assert tab.evaluate("document.querySelectorAll('.chart .away').length") > 20
            tab.keyboard.press("Escape")
            assert tab.evaluate("document.querySelectorAll('.chart .away').length") == 0
        browser.close()
    assert [told for told in complaints if not told.startswith("file:")] == []


def _crossing(tab: Any) -> list[str]:
    """Words in charts that lie on one another, or beyond their drawing."""
    crossing: list[str] = tab.evaluate(
        """() => [...document.querySelectorAll("svg.chart")].flatMap((svg) => {
          const frame = svg.getBoundingClientRect();
          const texts = [...svg.querySelectorAll("text")];
          const words = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
          const over = ([, a], [, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > a.height * 0.3;
          return words.flatMap((one, n) => [
            ...words.slice(n + 1).filter((other) => over(one, other)).map((other) => `${one[0]} / ${other[0]}`),
            ...(one[1].left < frame.left - 2 || one[1].right > frame.right + 2 ? [`${one[0]} leaves its chart`] : []),
          ]);
        })"""
    )
    return crossing


def test_the_style_names_no_other_host(report: str):
    assert not re.findall(r"url\(|@import|https?://(?!mlflow\.test|www\.w3\.org)", report)
