"""The pages of operators, with scripts and without."""

from __future__ import annotations

from typing import Any

import pytest

from panic_assets_tests.web.pages.parts import Tabs, holds, installation, network, prompted, terminal_token
from panic_assets_tests.web.server import PASSWORD, Person, Running


@pytest.mark.parametrize("scripts", [True, False])
def test_a_ring_is_put_together_and_saved(tabs: Tabs, server: Running, ada: Person, scripts: bool) -> None:
    tab = tabs.signed_in(server, "ada@example.org", java_script_enabled=scripts)
    tab.goto(f"{server.url}/networks/new")
    tab.fill("#name", "Ring")
    tab.fill("#description", "of *two*")

    def ring() -> Any:
        return tab.locator("#ring .ring .name").all_inner_texts()

    def add(model: str, wanted: int) -> None:
        tab.select_option("#chosen", model)
        tab.click("#ring [value=add]")
        tab.locator(".ring > li").nth(wanted - 1).wait_for()

    assert "dummy-i2t" not in tab.inner_html("#chosen"), "a prompt is text: only what takes it is offered"
    add("dummy-t2i", 1)
    assert "dummy-t2t" not in tab.inner_html("#chosen")
    assert tab.inner_text("#ring [role=status] .tag.bad") == "draft"
    assert "goes on to model 1" in tab.inner_text("#ring .notice")
    add("dummy-i2t", 2)
    assert tab.inner_text("#ring [role=status] .tag.good") == "runnable"
    tab.click("[aria-label='Move Dummy image to text up']")
    tab.locator(".ring > li:first-child", has_text="image to text").wait_for()
    assert "a prompt is text" in tab.inner_text("#ring .notice")
    tab.click("[aria-label='Move Dummy image to text down']")
    tab.locator(".ring > li:first-child", has_text="text to image").wait_for()
    add("dummy-t2t", 3)
    tab.click("[aria-label='Remove Dummy text to text']")
    tab.locator(".ring > li").nth(2).wait_for(state="detached")
    assert tab.inner_text("#kept") == "not saved"
    assert len(ring()) == 2
    assert tab.input_value("#name") == "Ring", "what was typed stays"
    tab.click(".actions button.main")
    tab.wait_for_url(lambda url: "/networks/" in url and not url.endswith("/new"))
    saved = ada.get(f"/api/networks/{tab.url.rsplit('/', 1)[1]}").json()
    assert saved["models"] == ["dummy-t2i", "dummy-i2t"]
    assert (saved["name"], saved["description"], saved["runnable"]) == ("Ring", "of *two*", True)
    tab.goto(f"{server.url}/networks/{saved['id']}/edit")
    assert tab.inner_text("#kept") == "saved"


def test_what_is_wrong_is_said_and_nothing_typed_is_lost(server: Running, ada: Person) -> None:
    answer = _post(ada, "/networks/new", name=" ", description="kept", steps="600: soon", lockout_seconds="5")
    assert answer.status_code == 422
    assert "pacing: &#39;soon&#39; is no number" in answer.text
    assert "kept" in answer.text
    answer = _post(ada, "/networks/new", name=" ", steps="later: 1", lockout_seconds="-1")
    assert answer.status_code == 422
    assert "lockout_seconds" in answer.text
    assert "name" in answer.text


def test_all_settings_of_a_network_go_through_its_form(server: Running, ada: Person) -> None:
    ring = network(server, ada, outputs=7, rest=0.5)
    before = ada.get(f"/api/networks/{ring}").json()
    form = _form_of(ada.get(f"/networks/{ring}/edit").text)
    assert _post(ada, f"/networks/{ring}/edit", **form).status_code == 303
    after = ada.get(f"/api/networks/{ring}").json()
    assert {**after, "updated_at": 0} == {**before, "updated_at": 0}, "saving what is there changes nothing"
    changed = {**form, "steps": "60: 2\nlater: 30", "cost": "1.5", "on_quota": "skip", "attempts": "5"}
    assert _post(ada, f"/networks/{ring}/edit", **changed).status_code == 303
    running = ada.get(f"/api/networks/{ring}").json()["running"]
    assert running["pacing"]["steps"] == [[60, 2], [None, 30]]
    assert (running["limits"]["cost"], running["on_error"]["attempts"]) == (1.5, 5)
    assert running["on_error"]["actions"]["quota"] == "skip"


def test_watchers_are_added_changed_moved_and_removed(tabs: Tabs, server: Running, ada: Person) -> None:
    place = installation(ada, network(server, ada))
    tab = tabs.signed_in(server, "ada@example.org")
    tab.goto(f"{server.url}/installations/{place}")
    new = tab.locator("form.watcher").last
    new.locator("[name=name]").fill("both")
    new.locator("[name=kind]").select_option("single")
    assert not new.locator("[name=rows]").is_visible()
    new.locator("[name=stride]").fill("3")
    new.locator("[name=offsets]").fill("0, 2")
    new.locator("button.main").click()
    tab.wait_for_selector("#both")
    tab.click("#both [value=up]")
    tab.locator("form.watcher:nth-of-type(5)#both").wait_for()
    tab.click("#flaps [value=remove]")
    tab.wait_for_selector("#flaps", state="detached")
    found = [one["watcher"] for one in ada.get(f"/api/installations/{place}").json()["watchers"]]
    assert [one["name"] for one in found] == ["wall", "left", "right", "both"]
    assert (found[3]["stride"], found[3]["offsets"]) == (3, [0, 2])
    tab.fill("#both [name=offsets]", "3")
    tab.click("#both .actions [value=save]")
    tab.wait_for_selector("[role=alert]:has-text('not below the stride')")
    tabs.complaints = [told for told in tabs.complaints if "422" not in told]


def test_every_form_wants_its_proof_and_every_page_its_people(server: Running, ada: Person, anyone: Person) -> None:
    ring = network(server, ada)
    stranger = server.person("bob@example.org")
    with_cookie = server.person("ada@example.org")
    del with_cookie.headers["X-CSRF-Token"]
    assert with_cookie.post(f"/networks/{ring}/stop").status_code == 403
    assert _post(with_cookie, f"/networks/{ring}/delete", csrf_token="0" * 64).status_code == 403
    assert stranger.get(f"/networks/{ring}/edit").status_code == 403
    assert _post(stranger, f"/networks/{ring}/edit", name="mine").status_code == 403
    for address in ("/networks", "/account", "/installations", "/admin", f"/networks/{ring}/qr"):
        assert anyone.get(address).headers["location"].startswith("/login?next=%2F"), address
    for address in ("/admin", "/admin/users", "/admin/secrets", "/admin/audit"):
        assert ada.get(address).status_code == 403, address
    assert _post(ada, "/admin/stop-all").status_code == 403


def test_admins_have_their_pages(server: Running, boss: Person, ada: Person) -> None:
    network(server, ada, name="Somebody's")
    assert "Somebody&#39;s" in boss.get("/admin").text
    new = {"email": "new@example.org", "password": "long enough for anyone"}
    assert _post(boss, "/admin/users", **new).status_code == 303
    assert "new@example.org" in boss.get("/admin/users").text
    assert _post(boss, "/admin/users", **{**new, "password": "short"}).status_code == 422
    assert _post(boss, "/admin/secrets", name="OPENAI_API_KEY", value="sk-never-shown-again").status_code == 303
    shown = boss.get("/admin/secrets").text
    assert "OPENAI_API_KEY" in shown
    assert "sk-never" not in shown
    log = boss.get("/admin/audit").text
    assert "secret.put" in log
    assert "sk-never" not in log
    assert boss.get("/api/backup").content.startswith(b"SQLite format 3")


def test_a_login_leads_on_but_never_away(server: Running, ada: Person, anyone: Person) -> None:
    for wanted, reached in (
        ("/account", "/account"),
        ("//evil.example", "/networks"),
        ("https://evil.example", "/networks"),
    ):
        form = {"email": "ada@example.org", "password": PASSWORD, "next": wanted}
        answer = _post(server.person(), "/login", **form)
        assert (answer.status_code, answer.headers["location"]) == (303, reached)
    wrong = _post(anyone, "/login", email="ada@example.org", password="wrong")
    assert wrong.status_code == 401
    assert "no such account with that password" in wrong.text


def test_a_token_is_shown_once(server: Running, ada: Person) -> None:
    made = _post(ada, "/account/tokens", name="robot", scope="read", days="3")
    token = made.text.split('<code class="break">')[1].split("<")[0]
    assert token.startswith("panic_")
    assert token not in ada.get("/account").text
    robot = server.person()
    assert robot.get("/api/users/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_the_code_renews_itself(tabs: Tabs, server: Running, ada: Person) -> None:
    ring = network(server, ada)
    tab = tabs.signed_in(server, "ada@example.org")
    tab.goto(f"{server.url}/networks/{ring}/qr")
    first = tab.get_attribute("#qr", "src")
    assert float(tab.get_attribute("#qr", "data-refresh")) * 2 < server.live.settings.terminal_seconds
    soon = ('data-refresh="300.0"', 'data-refresh="0.2"')
    tab.route(
        "**/qr",
        lambda route: route.fulfill(body=route.fetch().text().replace(*soon), content_type="text/html"),
    )
    tab.reload()
    holds(tab, "Number(document.getElementById('qr').dataset.renewed) >= 2")
    assert tab.get_attribute("#qr", "src") != first
    assert tab.evaluate("document.getElementById('qr').naturalWidth") > 50


def test_a_browser_without_scripts_can_prompt_and_stop(tabs: Tabs, server: Running, ada: Person) -> None:
    ring = network(server, ada, outputs=2, rest=0.0)
    plain = tabs.open(
        f"{server.url}/networks/{ring}/terminal?token={terminal_token(ada, ring)}",
        tabs.context(java_script_enabled=False),
    )
    plain.fill("#prompt", "without scripts")
    plain.click("#send")
    plain.wait_for_selector(".entry.prompt .words:text-is('without scripts')")
    prompted(ada, ring, "again")
    owner = tabs.signed_in(server, "ada@example.org", java_script_enabled=False)
    owner.goto(f"{server.url}/networks/{ring}")
    owner.click("button.danger")
    owner.wait_for_selector("#state")


def _post(person: Person, address: str, **fields: str | list[str]) -> Any:
    return person.post(address, data=fields)


def _form_of(page: str) -> dict[str, Any]:
    """The fields of a network's form, as a browser would send them."""
    from html.parser import HTMLParser

    class Fields(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: dict[str, Any] = {"model": []}
            self.name, self.inside = "", ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = {name: value or "" for name, value in attrs}
            if tag in ("select", "textarea"):
                self.name, self.inside = given["name"], tag
                self.found[self.name] = ""
            elif tag == "option" and "selected" in given:
                self.inside = "chosen"
            elif tag == "input" and given.get("name") == "model":
                self.found["model"].append(given["value"])
            elif tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
                self.found[given["name"]] = given.get("value", "on")

        def handle_data(self, data: str) -> None:
            if self.inside in ("textarea", "chosen"):
                self.found[self.name] += data

        def handle_endtag(self, tag: str) -> None:
            if tag in ("option", "textarea", "select"):
                self.inside = "select" if tag == "option" else ""

    reader = Fields()
    reader.feed(page.split('id="draft"')[1].split("</form>")[0])
    return {name: value for name, value in reader.found.items() if name not in ("csrf_token", "chosen")}
