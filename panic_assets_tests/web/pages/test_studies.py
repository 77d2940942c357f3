"""Pages of studies in a browser: what is on them, live curves, keyboards, narrow screens, and hostile names."""

from __future__ import annotations

from typing import Any

import pytest

from panic_assets.lake import Lake
from panic_assets_tests.studies import made
from panic_assets_tests.web.pages.parts import Tabs, holds
from panic_assets_tests.web.server import Person, Running

EVIL = "</svg><script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
WIDTHS = ((1280, "light"), (390, "dark"))


@pytest.fixture(scope="module")
def demo(server: Running, ada: Person) -> str:
    made.tell(server.live.events, 30, epoch_count=6, running=3)
    made.fill(Lake(server.live.settings.data / "lake"), server.live.events, 30)
    return "demo"


@pytest.fixture(scope="module")
def evil(server: Running, ada: Person) -> str:
    row = made.trials(1, "evil")[0] | {"trial_id": "evil:1.x"}
    told = {"arm": EVIL, "parameters": {EVIL: EVIL, "depth": 3}, "mlflow_run_id": "../../" + EVIL}
    spec = {"description": EVIL, "claim": {"metric": EVIL, "arm": EVIL}}
    start = made.event("ml.run.start", "evil", model_run_id="demo-run", requested_trials=1, spec=spec)
    metric = {EVIL: 1.0, "validation_loss": 1e308, "robust_area_": 2.0}
    bodies = [
        start | {"payload": start["payload"] | {"model_run_id": row["model_run_id"], "mlflow_experiment_id": EVIL}},
        made.start_of(row, **told),
        made.event("ml.run.metric", "evil", trial_id=row["trial_id"], metrics=metric, step=0),
        made.event("ml.run.metric", "evil", trial_id=row["trial_id"], metrics=metric, step=1),
        made.event(
            "ml.trial.failed", "evil", trial_id=row["trial_id"], error_message=EVIL, error_type=EVIL, metrics=metric
        ),
    ]
    assert {receipt.status for receipt in server.live.events.ingest(bodies)} == {"accepted"}
    return "evil"


def signed_in(tabs: Tabs, server: Running, width: int = 1280, scheme: str = "light") -> Any:
    return tabs.signed_in(server, "ada@example.org", viewport={"width": width, "height": 800}, color_scheme=scheme)


@pytest.mark.parametrize(("width", "scheme"), WIDTHS)
def test_no_page_is_wider_than_its_screen(tabs: Tabs, server: Running, demo: str, evil: str, width: int, scheme: str):
    tab = signed_in(tabs, server, width, scheme)
    for address in (
        "/studies",
        f"/studies/{demo}",
        f"/studies/{demo}/live",
        f"/studies/{demo}/trials",
        f"/studies/{demo}/trials/{made.trial_id(1)}",
        f"/studies/{evil}",
        f"/studies/{evil}/live",
        f"/studies/{evil}/trials",
        f"/studies/{evil}/trials/evil:1.x",
    ):
        tab.goto(server.url + address)
        assert tab.evaluate("document.documentElement.scrollWidth") == width, address
        if address.endswith("live"):
            holds(tab, "document.getElementById('link').textContent === 'live'")
        assert tab.evaluate("window.owned") is None, address


def test_the_claim_comes_first_and_the_charts_after_it(tabs: Tabs, server: Running, demo: str):
    tab = signed_in(tabs, server)
    tab.goto(f"{server.url}/studies")
    tab.click("a:text-is('demo')")
    assert tab.inner_text(".sentence") == made.SENTENCE
    assert tab.evaluate("document.querySelector('.sentence').getBoundingClientRect().bottom < innerHeight")
    assert tab.eval_on_selector_all(".study section h2", "all => all.map(one => one.textContent)") == [
        "Differences from \u201cnone\u201d, pair by pair",
        "How well each arm learned",
        "Accuracy against \u03b5",
        "What bounds the models",
        "What it costs",
        "Every number",
        "The data",
    ]
    assert tab.locator("a[href*='#/experiments/1']").count() == 1
    assert tab.locator("a[href*='/assets/study_report']").count() == 1
    with tab.expect_download() as download:
        tab.click("a[href$='/tables/comparison/csv']")
    assert download.value.suggested_filename == "demo-comparison.csv"


def test_an_arm_is_chosen_by_keyboard(tabs: Tabs, server: Running, demo: str):
    tab = signed_in(tabs, server)
    tab.goto(f"{server.url}/studies/{demo}")
    tab.focus(".arm-key >> nth=1")
    tab.keyboard.press("Enter")
    assert tab.get_attribute(".arm-key >> nth=1", "aria-pressed") == "true"
    shown = "[...document.querySelectorAll('.chart .arm:not(.away)')].every(one => one.dataset.arm === '1')"
    assert tab.evaluate(shown)
    tab.keyboard.press("Escape")
    assert tab.evaluate("document.querySelectorAll('.chart .away').length") == 0


def test_the_monitor_shows_what_runs_and_lets_curves_grow(tabs: Tabs, server: Running, demo: str):
    tab = signed_in(tabs, server)
    tab.goto(f"{server.url}/studies/{demo}/live")
    holds(tab, "document.querySelectorAll('#now tr').length === 3")
    assert tab.inner_text("#completed") == "27"
    row = made.trials(30)[29]
    line = f"#now tr[data-id='{row['trial_id']}']"
    assert tab.inner_text(f"{line} td:nth-child(5)") == "2"
    assert tab.inner_text(f"{line} .flag") == "off"
    assert tab.locator("#chart .live").count() == 3
    assert tab.locator("#chart .past").count() == 27
    server.live.events.ingest([made.epoch_of(row, 29, step, 6) for step in (3, 4)])
    holds(tab, "id => document.querySelector(`[data-id='${id}'] td:nth-child(5)`).textContent === '4'", row["trial_id"])
    tab.click("#metrics button:text-is('validation accuracy')")
    assert "validation accuracy, % of rows" in tab.inner_html("#chart")
    late = signed_in(tabs, server)
    late.goto(f"{server.url}/studies/{demo}/live")
    holds(
        late, "id => document.querySelector(`[data-id='${id}'] td:nth-child(5)`)?.textContent === '4'", row["trial_id"]
    )
    tab.focus(f"{line} a")
    server.live.events.ingest([made.epoch_of(row, 29, 5, 6)])
    holds(tab, "id => document.querySelector(`[data-id='${id}'] td:nth-child(5)`).textContent === '5'", row["trial_id"])
    assert tab.evaluate("document.activeElement.closest('tr').dataset.id") == row["trial_id"], "focus stays"
    server.live.events.ingest([made.end_of(row)])
    holds(tab, "id => document.querySelector(`#over tr`).dataset.id === id", row["trial_id"])
    assert tab.inner_text("#running") == "2"


def test_trials_are_sorted_and_filtered_without_scripts(tabs: Tabs, server: Running, demo: str):
    tab = tabs.signed_in(server, "ada@example.org", java_script_enabled=False)
    tab.goto(f"{server.url}/studies/{demo}/trials")
    tab.click("thead a:text-is('test accuracy')")
    tab.wait_for_selector("thead th[aria-sort=ascending]")
    tab.click("thead th[aria-sort] a")
    tab.wait_for_selector("thead th[aria-sort=descending]")
    values = [float(told) for told in tab.locator("tbody tr td:nth-child(6)").all_inner_texts() if told.strip()]
    assert len(values) >= 27
    assert values == sorted(values, reverse=True)
    tab.select_option("#arm", "dropout")
    tab.click("main form button")
    tab.wait_for_url("**arm=dropout**")
    assert tab.locator("tbody tr").count() == 6
    assert tab.get_attribute("thead th[aria-sort]", "aria-sort") == "descending", "the order is kept"


def test_many_trials_come_a_hundred_at_a_time(server: Running, ada: Person):
    rows = made.trials(230, "many")
    run = made.event("ml.run.start", "many", model_run_id=rows[0]["model_run_id"], requested_trials=230)
    server.live.events.ingest([run, *map(made.start_of, rows)])
    first = ada.get("/studies/many/trials").text
    assert first.count("<tr>") == 101
    assert 'rel="next" href="/studies/many/trials?start=100"' in first
    last = ada.get("/studies/many/trials", params={"start": 200}).text
    assert last.count("<tr>") == 31
    assert 'rel="next"' not in last


def test_a_trial_tells_all_of_itself(tabs: Tabs, server: Running, demo: str):
    tab = signed_in(tabs, server)
    tab.goto(f"{server.url}/studies/{demo}/trials/{made.trial_id(1)}")
    told = tab.inner_text("main")
    for words in (
        "spectral norm",
        "completed",
        "learning rate",
        "As it learned",
        "Layer by layer",
        "Under disturbance",
    ):
        assert words.lower() in told.lower(), words
    assert tab.inner_text(".badges .flag") == "on"
    assert tab.locator("svg.chart").count() == 3
    assert tab.get_attribute("td[title]", "title") == made.trial_id(1) * 2
    link = tab.get_attribute("a[href*='#/experiments/']", "href")
    assert link.endswith(f"#/experiments/1/runs/{made.trial_id(1)}")
    tab.click("a:text-is('none')")
    assert tab.url.endswith(made.trial_id(0)), "the same pair without the constraint"


def test_studies_are_for_those_who_are_signed_in(server: Running, anyone: Person, demo: str):
    for address in (
        "/studies",
        "/studies/demo",
        "/studies/demo/live",
        "/studies/demo/trials",
        "/studies/demo/trials/x",
    ):
        assert anyone.get(address).headers["location"].startswith("/login?next=%2Fstudies"), address


def test_a_study_that_is_not_there(ada: Person):
    answer = ada.get("/studies/no-such")
    assert answer.status_code == 404
    assert "there is no study" in answer.text
