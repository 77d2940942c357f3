"""What people and models write stays words, wherever it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets.live.platforms.base import Answer, Call
from panic_assets.live.values import Value
from panic_assets.web.pages.markdown import caption, described
from panic_assets_tests.web.pages.parts import Tabs, installation, network, prompted, terminal_token
from panic_assets_tests.web.server import Running, running

EVIL = (
    "<script>window.owned = 1</script> <img src=x onerror='window.owned = 1'> **bold** "
    "[here](javascript:window.owned=1) [there](https://evil.example/) ![seen](https://evil.example/p.png) "
    '</div></main><svg onload=window.owned=1> " onfocus=window.owned=1 autofocus x="'
)


class Evil:
    """Says what no model should say."""

    name, bills = "dummy", False

    async def invoke(self, call: Call) -> Answer:
        return Answer(Value("text", text=EVIL))

    async def close(self) -> None:
        pass


def test_nothing_that_is_written_runs_or_leads_away(tabs: Tabs, tmp_path: Path) -> None:
    with running(tmp_path, platforms={"dummy": Evil()}) as server:
        ada = server.person("ada@example.org", is_admin=True)
        ring = network(server, ada, outputs=3, rest=0.0, models=["dummy-t2t"], name=EVIL[:190], description=EVIL)
        place = installation(ada, ring)
        run = prompted(ada, ring, EVIL)
        last = run["invocations"][-1]["id"]
        _check_pages(tabs, server, ring, place, run["id"], last, terminal_token(ada, ring))


def _check_pages(tabs: Tabs, server: Running, ring: str, place: str, run: str, last: str, token: str) -> None:
    tab = tabs.signed_in(server, "ada@example.org")
    pages = [f"/networks/{ring}/{part}" for part in ("", "gallery", f"terminal?token={token}", "edit", "qr")]
    pages[0] = f"/networks/{ring}"
    pages += [f"/watch/{place}/{name}" for name in ("wall", "left", "flaps")]
    pages += ["/", f"/runs/{run}", f"/i/{last}", "/networks", f"/installations/{place}", "/admin", "/admin/audit"]
    for address in pages:
        tab.goto(server.url + address)
        if address.startswith("/watch") and "flaps" not in address:
            tab.wait_for_selector(".tile[data-kind=text] .words strong:text-is('bold')")
            assert "<script>" in tab.inner_text(".tile[data-kind=text]")
        if "terminal" in address:
            tab.wait_for_selector(f".entry[data-id='{last}'] strong")
        tab.wait_for_timeout(60)
        assert tab.evaluate("window.owned") is None, address
        assert tab.locator("a[href^='javascript:']").count() == 0, address
        assert tab.locator("img[src*=evil], svg, [onerror], [onload], [onfocus]").count() == 0, address
        away = tab.eval_on_selector_all("a[href^='http']", "links => links.map(link => link.rel)")
        assert all("noopener" in rel for rel in away), address


def test_descriptions_may_link_and_captions_may_not() -> None:
    assert described("[a](https://a.example)") == (
        '<p><a href="https://a.example" rel="noopener noreferrer nofollow">a</a></p>\n'
    )
    assert caption("[a](https://a.example) **b**") == "<p>a <strong>b</strong></p>\n"
    for shown in (described, caption):
        assert "<img" not in shown("![seen](https://evil.example/p.png)")
        assert "seen" in shown("![seen](https://evil.example/p.png)")
        assert "<script" not in shown("<script>x</script>")
        assert "javascript:" not in shown("[x](javascript:x)").replace("[x](javascript:x)", "")


@pytest.mark.parametrize("dark", [False, True])
def test_letters_stand_out_from_their_ground(tabs: Tabs, server: Running, dark: bool) -> None:
    """WCAG 2: 4.5 to 1 for text, 3 to 1 for edges of fields, in both shades."""
    tab = tabs.open(f"{server.url}/", tabs.context(color_scheme="dark" if dark else "light"))
    names = ("ink", "faint", "accent", "bad", "good", "edge", "paper", "card", "on-accent")
    shades = tab.evaluate(
        "names => Object.fromEntries(names.map(n => [n, getComputedStyle(document.documentElement)"
        ".getPropertyValue('--' + n).trim()]))",
        list(names),
    )
    for ground in ("paper", "card"):
        for name in ("ink", "faint", "accent", "bad", "good"):
            assert _contrast(shades[name], shades[ground]) >= 4.5, (name, ground)
        assert _contrast(shades["edge"], shades[ground]) >= 3, ground
    assert _contrast(shades["on-accent"], shades["accent"]) >= 4.5


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)
