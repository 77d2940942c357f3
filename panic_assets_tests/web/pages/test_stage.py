"""A prompt is typed, and everything that follows the network shows what comes of it, in step."""

from __future__ import annotations

import re
from typing import Any

from panic_assets.live.boards import board_text
from panic_assets_tests.web.pages.parts import Tabs, holds, installation, network, over, prompted, terminal_token, tiles
from panic_assets_tests.web.server import Person, Running

_REMEMBER = """() => {
  window.numbers = [];
  new MutationObserver(() => {
    const number = document.querySelector('[data-number]')?.dataset.number;
    if (number && window.numbers.at(-1) !== Number(number)) window.numbers.push(Number(number));
  }).observe(document.body, {subtree: true, attributes: true, attributeFilter: ['data-number']});
}"""


def _screens(tabs: Tabs, server: Running, place: str, context: Any = None) -> dict[str, Any]:
    found = {}
    for name in ("wall", "left", "right", "flaps"):
        found[name] = tabs.open(f"{server.url}/watch/{place}/{name}", context)
        found[name].wait_for_selector("#away", state="hidden")
    return found


def _last(run: dict[str, Any], stride: int, offset: int) -> dict[str, Any]:
    return [one for one in run["invocations"] if one["sequence_number"] % stride == offset][-1]


def _check(screens: dict[str, Any], run: dict[str, Any]) -> None:
    """Every screen shows the last invocation of each of its slots."""
    wanted = [_last(run, 6, slot)["id"] for slot in range(6)]
    same = "wanted => JSON.stringify([...document.querySelectorAll('.tile')].map(tile => tile.dataset.id)) === wanted"
    holds(screens["wall"], same, str(wanted).replace("'", '"').replace(", ", ","))
    assert tiles(screens["wall"]) == wanted
    for name, offset in (("left", 0), ("right", 1)):
        screens[name].wait_for_selector(f".tile[data-id='{_last(run, 2, offset)['id']}']")
    odd = _last(run, 2, 1)
    screens["flaps"].wait_for_selector(f"#screen[data-id='{odd['id']}']")
    assert screens["flaps"].get_attribute("#screen", "data-text") == board_text(odd["output"]["text"])
    letters = "() => [...document.querySelectorAll('.flap')].map(flap => flap.textContent).join('').replaceAll(' ', '')"
    text = "".join(board_text(odd["output"]["text"]).split())
    holds(screens["flaps"], f"wanted => ({letters})() === wanted", text)


def test_a_prompt_reaches_every_screen_in_step(tabs: Tabs, server: Running, ada: Person, anyone: Person) -> None:
    ring = network(server, ada)
    place = installation(ada, ring)
    together = tabs.context()  # one browser has six connections for all of these windows
    screens = _screens(tabs, server, place, together)
    page = tabs.open(f"{server.url}/networks/{ring}", together)
    terminal = tabs.open(f"{server.url}/networks/{ring}/terminal?token={terminal_token(ada, ring)}", together)
    for name in ("left", "right"):
        screens[name].evaluate(_REMEMBER)
    terminal.fill("#prompt", "a red house on a hill")
    terminal.keyboard.press("Enter")
    run = over(anyone, ring)
    assert run["prompt"] == "a red house on a hill"
    assert [one["sequence_number"] for one in run["invocations"]] == list(range(8))
    _check(screens, run)
    for name, shown in (("left", [0, 2, 4, 6]), ("right", [0, 1, 3, 5, 7])):
        numbers = screens[name].evaluate("window.numbers")
        assert set(numbers) <= set(shown), name
        assert numbers == sorted(numbers), name
    last = run["invocations"][-1]["id"]
    terminal.wait_for_selector(f".entry[data-id='{last}'][data-state=completed]")
    ids = terminal.eval_on_selector_all(".entry[data-id]", "entries => entries.map(entry => entry.dataset.id)")
    assert ids == [one["id"] for one in run["invocations"]]
    assert terminal.inner_text(f".entry[data-id='{last}'] .words") == run["invocations"][-1]["output"]["text"]
    holds(terminal, "[...document.images].every(image => image.naturalWidth > 0)")
    page.wait_for_selector(f"#strip [data-id='{last}']")
    holds(page, "document.getElementById('completed').textContent === '8'")
    for screen in (screens["wall"], screens["left"]):
        holds(
            screen,
            "[...document.querySelectorAll('.tile[data-kind=image]')].every(tile => "
            "tile.querySelector('img.shown')?.naturalWidth > 0)",
        )


def test_who_comes_late_sees_the_run_at_once(tabs: Tabs, server: Running, ada: Person) -> None:
    ring = network(server, ada, outputs=9, rest=0.0)
    place = installation(ada, ring)
    run = prompted(ada, ring)
    _check(_screens(tabs, server, place, tabs.context()), run)
    terminal = tabs.open(f"{server.url}/networks/{ring}/terminal?token={terminal_token(ada, ring)}")
    terminal.wait_for_selector(f".entry[data-id='{run['invocations'][-1]['id']}']")
    assert terminal.inner_text(".entry.prompt .words") == "a red house"
    assert "greatest length" in terminal.inner_text(".entry.end")


def test_moving_an_installation_switches_its_screens(tabs: Tabs, server: Running, ada: Person) -> None:
    here, there = (network(server, ada, outputs=6, rest=0.0) for _ in range(2))
    place = installation(ada, here)
    runs = {ring: prompted(ada, ring, f"a house {number}") for number, ring in enumerate((here, there))}
    wall = tabs.open(f"{server.url}/watch/{place}/wall")
    wall.wait_for_selector(f".tile[data-id='{runs[here]['invocations'][0]['id']}']")
    assert ada.patch(f"/api/installations/{place}", json={"network_id": there}).status_code == 200
    wall.wait_for_selector(f".tile[data-id='{runs[there]['invocations'][0]['id']}']")
    assert tiles(wall) == [one["id"] for one in runs[there]["invocations"]]


def test_the_terminal_counts_the_lockout_down_by_touch(tabs: Tabs, server: Running, ada: Person) -> None:
    ring = network(server, ada, outputs=1000, rest=0.2, lockout_seconds=3)
    phone = tabs.context(viewport={"width": 390, "height": 740}, has_touch=True, is_mobile=True)
    terminal = tabs.open(f"{server.url}/networks/{ring}/terminal?token={terminal_token(ada, ring)}", phone)
    assert terminal.evaluate("document.documentElement.scrollWidth") <= 390
    terminal.tap("#prompt")
    terminal.keyboard.type("one")
    terminal.tap("#send")
    terminal.wait_for_selector("#ask[data-locked=yes]")
    terminal.fill("#prompt", "two")
    terminal.keyboard.press("Enter")
    assert re.fullmatch(r"[1-3] s", terminal.inner_text("#send"))
    assert terminal.is_disabled("#send")
    assert terminal.input_value("#prompt") == "two", "what was typed waits"
    terminal.wait_for_selector("#ask[data-locked=no]")
    terminal.tap("#send")
    terminal.wait_for_selector(".entry.prompt:nth-of-type(n+2) .words:text-is('two')")
    assert ada.post(f"/api/networks/{ring}/stop").json() == {"stopped": 1}
    terminal.wait_for_selector(".entry.end:has-text('stopped by hand')")


def test_sound_is_drawn_and_failure_is_dark_red(tabs: Tabs, server: Running, ada: Person) -> None:
    ring = network(server, ada, outputs=2, rest=0.0, models=["dummy-t2a", "dummy-a2t"])
    place = installation(ada, ring, ({"name": "wall", "kind": "grid", "rows": 1, "columns": 2},))
    prompted(ada, ring)
    wall = tabs.open(f"{server.url}/watch/{place}/wall")
    wall.wait_for_selector(".tile[data-kind=audio] canvas")
    holds(
        wall,
        "() => { const c = document.querySelector('.tile[data-kind=audio] canvas');"
        "return c.getContext('2d').getImageData(0, c.height / 2, c.width, 1).data.some(v => v > 0); }",
    )
    wall.evaluate(
        "async () => { const {tell} = await import('/static/watch.js'); tell('run', {id: 'r', number: 99});"
        "tell('invocation', {slot: 0, invocation: {id: 'x', run_id: 'r', sequence_number: 0, state: 'failed',"
        "attempts: 1, error_kind: 'moderation', output: {}}});"
        "tell('invocation', {slot: 1, invocation: {id: 'y', run_id: 'r', sequence_number: 1, state: 'invoking',"
        "attempts: 1, output: {}}}); }"
    )
    wall.wait_for_selector(".tile[data-kind=failed] .failure:has-text('moderation')")
    assert wall.evaluate("getComputedStyle(document.querySelector('.failure')).backgroundColor") == "rgb(79, 13, 18)"
    assert wall.inner_text(".tile[data-kind=invoking] .mark") == "P!"
