"""Pages of codecs in a browser: the list, an experiment's article, and what was never measured."""

from __future__ import annotations

import pytest

from panic_assets.lake import Lake
from panic_assets_tests.codec import measured
from panic_assets_tests.web.pages.parts import Tabs
from panic_assets_tests.web.server import Person, Running


@pytest.fixture(scope="module")
def filled(server: Running, ada: Person) -> None:
    lake = Lake(server.live.settings.data / "lake")
    measured.fill(lake, "drawn")
    measured.fill(lake, "lossy", "its pictures are stored as <b>jpeg-50</b>")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_list_leads_to_what_was_measured(
    tabs: Tabs, server: Running, filled: None, width: int, scheme: str
) -> None:
    tab = tabs.signed_in(server, "ada@example.org", viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.goto(server.url)
    tab.click("nav >> text=Codecs")
    tab.wait_for_url("**/codec")
    assert tab.locator(".card").count() == 2
    assert "At equal MS-SSIM latent needs 50 % fewer bytes than AVIF" in tab.inner_text(".card >> nth=0")
    assert "stored as <b>jpeg-50</b>" in tab.inner_text(".card >> nth=1")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    tab.click("text=drawn")
    tab.wait_for_url("**/codec/drawn")
    assert tab.locator(".codec svg.chart").count() == 4
    for summary in tab.locator(".codec summary").all():
        summary.click()
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    colour = "getComputedStyle(document.querySelector('.codec .a1 .line')).stroke"
    assert tab.evaluate(colour) == ("rgb(92, 178, 236)" if scheme == "dark" else "rgb(0, 114, 178)")


def test_what_was_never_measured_is_not_there(ada: Person, anyone: Person, filled: None) -> None:
    assert ada.get("/codec/elsewhere").status_code == 404
    assert ada.get("/codec/NOT-A-NAME").status_code in (404, 422)
    assert anyone.get("/codec", follow_redirects=False).status_code in (303, 401)
