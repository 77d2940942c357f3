"""Parts of browser tests: tabs, a network that goes round quickly, and walls that follow it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from panic_assets_tests.web.server import PASSWORD, Person, Running

WATCHERS = (
    {"name": "wall", "kind": "grid", "rows": 2, "columns": 3},
    {"name": "left", "kind": "single", "stride": 2, "offsets": [0]},
    {"name": "right", "kind": "single", "stride": 2, "offsets": [1]},
    {"name": "flaps", "kind": "vestaboard", "stride": 2, "offsets": [1], "board": "flaps"},
)


class Tabs:
    """Opens tabs; ``complaints`` has errors, refused requests, and requests to anywhere else."""

    def __init__(self, chromium: Any) -> None:
        self.complaints: list[str] = []
        self.forgiven: tuple[str, ...] = ()
        self._chromium, self._contexts = chromium, list[Any]()

    def context(self, **settings: Any) -> Any:
        """A browser of its own, with its own cookies."""
        self._contexts.append(self._chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **settings}))
        return self._contexts[-1]

    def open(self, address: str, context: Any = None) -> Any:
        """A tab at an address, in a context or in one of its own."""
        tab = (context or self.context()).new_page()
        origin = "/".join(address.split("/")[:3])
        tab.on("pageerror", lambda error: self.complain(str(error)))
        tab.on("console", lambda message: self._console(message))
        tab.on("request", lambda request: self._request(request.url, origin))
        tab.goto(address)
        return tab

    def signed_in(self, server: Running, email: str, **settings: Any) -> Any:
        """A tab of somebody who typed a password."""
        tab = self.open(f"{server.url}/login", self.context(**settings))
        tab.fill("#email", email)
        tab.fill("#password", PASSWORD)
        tab.click("main button")
        tab.wait_for_url("**/networks")
        return tab

    def complain(self, text: str) -> None:
        if not any(part in text for part in self.forgiven):
            self.complaints.append(text)

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complain(message.text)

    def _request(self, url: str, origin: str) -> None:
        if not url.startswith((origin + "/", "data:", "blob:")):
            self.complain(f"asked another host: {url}")


def network(server: Running, owner: Person, outputs: int = 8, rest: float = 0.25, **fields: Any) -> str:
    """A network that makes so many outputs, with rests between them, in seconds."""
    wanted: dict[str, Any] = {
        "models": ["dummy-t2i", "dummy-i2t"],
        "is_public": True,
        "pacing": {"steps": [[None, rest]], "board_rest": rest, "first_rest": 0},
        "limits": {"invocations": outputs, "seconds": None, "cost": None},
    }
    return server.network(owner, **{**wanted, **fields})


def installation(owner: Person, network_id: str, watchers: tuple[Any, ...] = WATCHERS) -> str:
    """A place with these watchers."""
    wanted = {"name": "Hall", "network_id": network_id, "is_public": True, "watchers": list(watchers)}
    answer = owner.post("/api/installations", json=wanted)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def terminal_token(owner: Person, network_id: str) -> str:
    """A pass to the terminal."""
    return str(owner.post(f"/api/networks/{network_id}/terminal-tokens", json={}).json()["token"])


def prompted(owner: Person, network_id: str, text: str = "a red house") -> dict[str, Any]:
    """A run of that prompt, once it is over."""
    answer = owner.post(f"/api/networks/{network_id}/prompts", json={"prompt": text})
    assert answer.status_code == 201, answer.text
    return over(owner, network_id)


def over(anyone: Person, network_id: str) -> dict[str, Any]:
    """The latest run with all its invocations, once it is over."""

    def ended() -> Any:
        answer = anyone.get(f"/api/networks/{network_id}/runs/current")
        return answer.json() if answer.status_code == 200 and answer.json()["state"] == "ended" else None

    run: dict[str, Any] = until(ended, "the run to be over")
    return run


def until(found: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """What ``found`` gives, as soon as it gives something."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        result = found()
        if result:
            return result
        time.sleep(0.03)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")


def tiles(screen: Any) -> list[str]:
    """The identifiers of the invocations in the tiles of a screen."""
    shown: list[str] = screen.eval_on_selector_all(".tile", "tiles => tiles.map(tile => tile.dataset.id ?? '')")
    return shown


def holds(tab: Any, expression: str, argument: Any = None) -> None:
    """Wait until an expression holds in a tab, whose policy lets nobody evaluate text from within."""
    from playwright.sync_api import Error

    for _ in range(400):
        try:
            if tab.evaluate(expression, argument):
                return
        except Error as error:
            if "context was destroyed" not in str(error):  # the page is being loaded anew
                raise
        tab.wait_for_timeout(40)
    raise AssertionError(f"in vain: {expression}")
