"""Pages for anyone: what they show, what they hide, and that their files are sound."""

from __future__ import annotations

import re

from panic_assets_tests.web.pages.parts import Tabs, network, prompted, terminal_token
from panic_assets_tests.web.server import Person, Running


def test_private_things_look_like_none(server: Running, ada: Person, anyone: Person) -> None:
    ring = network(server, ada, outputs=1, rest=0.0, is_public=False, name="Secret")
    run = prompted(ada, ring)
    for address in (f"/networks/{ring}", f"/networks/{ring}/gallery", f"/runs/{run['id']}", "/i/" + _first(run)):
        assert ada.get(address).status_code == 200, address
        hidden, none = anyone.get(address), anyone.get(address[:-3] + "xxx")
        assert (hidden.status_code, none.status_code) == (404, 404), address
        assert "Secret" not in hidden.text
    assert "Secret" not in anyone.get("/").text
    assert "Secret" not in anyone.get(f"/networks/{ring}/terminal/expired").text


def test_a_pass_opens_one_terminal_and_runs_out(server: Running, ada: Person, anyone: Person) -> None:
    ring, other = network(server, ada), network(server, ada)
    token = terminal_token(ada, ring)
    assert anyone.get(f"/networks/{ring}/terminal?token={token}").status_code == 200
    for address in (f"/networks/{other}/terminal?token={token}", f"/networks/{ring}/terminal?token=x{token}"):
        answer = anyone.get(address)
        assert answer.status_code == 303
        assert answer.headers["location"].endswith("/terminal/expired")
    assert anyone.get(f"/networks/{ring}/terminal/expired").status_code == 200
    assert ada.get(f"/networks/{ring}/terminal").status_code == 200, "an operator needs no pass"
    assert server.person("bob@example.org").get(f"/networks/{ring}/terminal").status_code == 303


def test_an_open_terminal_notices_that_its_pass_ran_out(tabs: Tabs, server: Running, ada: Person) -> None:
    ring = network(server, ada)
    token, _ = server.live.signer.terminal(ring, 2)
    terminal = tabs.open(f"{server.url}/networks/{ring}/terminal?token={token}")
    terminal.wait_for_url("**/terminal/expired")
    assert "run out" in terminal.inner_text("h1")


def test_the_gallery_has_every_run_once(server: Running, ada: Person, anyone: Person) -> None:
    ring = network(server, ada)
    runs = []
    for number in range(20):
        run, _ = server.live.store.begin_run(ring, f"prompt {number}", "test", ["dummy-t2i"], "image")
        server.live.store.end_run(run.id, "stopped")
        runs.append(run.id)
    seen, address, pages = list[str](), f"/networks/{ring}/gallery", 0
    while address:
        shown = anyone.get(address).text
        seen += re.findall(r'<h2 class="break"><a href="/runs/([\w-]{22})"', shown)
        onward = re.search(r'rel="next" href="([^"]+)"', shown)
        address, pages = onward[1] if onward else "", pages + 1
    assert seen == runs[::-1]
    assert pages == 3


def test_a_run_and_each_output_have_pages(server: Running, ada: Person, anyone: Person) -> None:
    ring = network(server, ada, outputs=4, rest=0.0)
    run = prompted(ada, ring, "a *red* house")
    sheet = anyone.get(f"/runs/{run['id']}").text
    for one in run["invocations"]:
        assert f"/i/{one['id']}" in sheet
        page = anyone.get(f"/i/{one['id']}")
        assert page.status_code == 200
        assert (one["output"]["key"] or one["output"]["text"].split(",")[0]) in page.text
    second = anyone.get(f"/i/{run['invocations'][1]['id']}").text
    assert f'rel="prev" href="/i/{_first(run)}"' in second
    assert f'rel="next" href="/i/{run["invocations"][2]["id"]}"' in second
    assert "dummy-t2i" in anyone.get("/models/dummy-t2i").text
    assert anyone.get("/models/none").status_code == 404
    assert "Dummy image to text" in anyone.get("/models").text


def test_files_are_asked_for_again_and_sent_once(anyone: Person) -> None:
    first = anyone.get("/static/house.css")
    assert first.headers["content-type"].startswith("text/css")
    again = anyone.get("/static/house.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert re.fullmatch(r"[0-9a-f]{16}", anyone.get("/static/build").text)
    for name in ("none.css", "..%2fapp.py", "%2e%2e/app.py"):
        assert anyone.get(f"/static/{name}").status_code == 404, name


def test_pages_hold_no_scripts_and_styles_of_their_own(server: Running, ada: Person, anyone: Person) -> None:
    ring = network(server, ada)
    for address in ("/", f"/networks/{ring}", "/login", "/models", "/networks/new", "/account", "/none"):
        shown = ada.get(address)
        assert "script-src 'self'" in shown.headers["content-security-policy"]
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", shown.text), address
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", shown.text), address


def _first(run: dict[str, list[dict[str, str]]]) -> str:
    return run["invocations"][0]["id"]
