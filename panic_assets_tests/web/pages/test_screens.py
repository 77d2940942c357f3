"""Screens that are left on: they don't grow, and they come back after whatever happened to the server."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from panic_assets_tests.web.pages.parts import Tabs, holds, installation, network, prompted, tiles
from panic_assets_tests.web.server import Person, Running, running

_PUSH = """async ([from, count, keys]) => {
  const {tell} = await import('/static/watch.js');
  if (!from) tell('run', {id: 'long', number: 1e9});
  for (let at = from; at < from + count; at += 1) {
    const kind = at % 5, failed = kind === 4;
    const output = kind < 2 ? {medium: 'image', key: keys[at % keys.length]}
      : {medium: 'text', text: `**number** ${at} of a caption that goes on\\n\\n- for *${'a while '.repeat(at % 9)}*`};
    tell('invocation', {slot: at % 6, invocation: {id: `n${at}`, run_id: 'long', sequence_number: at, attempts: 1,
      state: kind === 3 ? 'invoking' : failed ? 'failed' : 'completed', error_kind: 'timeout', output}});
    if (at % 40 === 39) await new Promise(requestAnimationFrame);
  }
  await new Promise((done) => setTimeout(done, 700));
}"""


def _size(session: Any) -> tuple[int, int]:
    """(nodes, bytes of the heap) after everything that can go has gone."""
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return int(found["Nodes"]), int(found["JSHeapUsedSize"])


def test_ten_thousand_updates_leave_nothing_behind(tabs: Tabs, server: Running, ada: Person) -> None:
    ring = network(server, ada, outputs=8, rest=0.0)
    place = installation(ada, ring)
    keys = [one["output"]["key"] for one in prompted(ada, ring)["invocations"] if one["output"]["key"]]
    wall = tabs.open(f"{server.url}/watch/{place}/wall")
    wall.wait_for_selector(".tile[data-kind=image]")
    session = wall.context.new_cdp_session(wall)
    session.send("Performance.enable")
    wall.evaluate(_PUSH, [0, 600, keys])
    nodes, heap = _size(session)
    wall.evaluate(_PUSH, [600, 10_000, keys])
    nodes_after, heap_after = _size(session)
    assert [int(shown[1:]) for shown in tiles(wall)] == [10_596, 10_597, 10_598, 10_599, 10_594, 10_595]
    assert abs(nodes_after - nodes) < 60, (nodes, nodes_after)
    assert heap_after - heap < 400_000, (heap, heap_after)


def test_a_screen_comes_back_with_its_server(tabs: Tabs, tmp_path: Path) -> None:
    tabs.forgiven = ("net::ERR_", "Failed to load resource")
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    with running(tmp_path, port=port) as server:
        ada = server.person("ada@example.org")
        ring = network(server, ada, outputs=6, rest=0.0)
        place = installation(ada, ring)
        wall = tabs.open(f"{server.url}/watch/{place}/wall")
        first = prompted(ada, ring)
        wall.wait_for_selector(f".tile[data-id='{first['invocations'][5]['id']}']")
        wall.evaluate("window.kept = true")
    wall.wait_for_selector("#away:not([hidden])")
    assert tiles(wall) == [one["id"] for one in first["invocations"]], "the wall keeps what it had"
    with running(tmp_path, port=port) as server:
        second = prompted(server.person("ada@example.org"), ring, "a blue house")
        wall.wait_for_selector(f".tile[data-id='{second['invocations'][5]['id']}']")
        assert tiles(wall) == [one["id"] for one in second["invocations"]]
        assert wall.evaluate("window.kept") is True, "the same version needs no new page"
        wall.route("**/static/build", lambda route: route.fulfill(body="another"))
        wall.evaluate(
            "async () => { const {stream} = await import('/static/watch.js'); const url = stream.url;"
            "stream.url = '/api/none'; stream.renew(); setTimeout(() => { stream.url = url; }, 300); }"
        )
        holds(wall, "window.kept === undefined")  # another version: the page was loaded anew
        wall.wait_for_selector(f".tile[data-id='{second['invocations'][5]['id']}']")


def test_a_silent_connection_is_opened_anew_from_its_place(tabs: Tabs, server: Running, ada: Person) -> None:
    ring = network(server, ada, outputs=6, rest=0.0)
    place = installation(ada, ring)
    wall = tabs.open(f"{server.url}/watch/{place}/wall")
    wall.wait_for_selector("#away", state="hidden")
    wall.evaluate(
        "async () => { const {Stream} = await import('/static/stream.js'); window.kinds = [];"
        f"window.other = new Stream('/api/networks/{ring}/events', (kind) => window.kinds.push(kind),"
        "() => {}, 200); }"
    )
    with wall.expect_request(lambda request: f"networks/{ring}/events" in request.url and _place(request)) as again:
        pass
    assert _place(again.value).isdigit()
    prompted(ada, ring)
    holds(wall, "window.kinds.filter((kind) => kind === 'run').length >= 2")
    assert wall.evaluate("window.kinds.filter((kind) => kind === 'state').length") == 1, "missed events, no new state"


def _place(request: Any) -> str:
    return str(request.headers.get("last-event-id", ""))


def test_words_fit_their_tile(tabs: Tabs, server: Running, ada: Person) -> None:
    place = installation(ada, network(server, ada))
    wall = tabs.open(f"{server.url}/watch/{place}/wall")
    for text in ("a", "word " * 300, "Donaudampfschifffahrtsgesellschaft " * 12, "# A heading\n\n1. one\n2. two"):
        wall.evaluate(
            "async (text) => { const {tell} = await import('/static/watch.js');"
            "const number = window.next = (window.next ?? 10) + 1; tell('run', {id: `r${number}`, number});"
            "tell('invocation', {slot: 0, invocation: {id: `r${number}`, run_id: `r${number}`, sequence_number: 0,"
            "state: 'completed', attempts: 1, output: {medium: 'text', text}}});"
            "await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame); }",
            text,
        )
        over = wall.evaluate(
            "() => { const n = document.querySelector('.words'); "
            "return [n.scrollHeight - n.clientHeight, n.scrollWidth - n.clientWidth]; }"
        )
        assert max(over) <= 1, (text[:20], over)
    assert wall.locator(".words ol li").count() == 2
