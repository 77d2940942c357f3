"""Two hundred screens of twenty networks: nobody misses anything, nobody is told anything twice."""

from __future__ import annotations

from panic_assets_tests.web.crowd import gather, perform
from panic_assets_tests.web.listening import Audience
from panic_assets_tests.web.server import running


def test_two_hundred_listeners_hear_everything_once(tmp_path):
    with running(tmp_path, prompts_per_minute=1000) as server, Audience(server.url) as audience:
        owner = server.person("ada@example.org")
        crowd = gather(owner, audience, networks=20, listeners=10, invocations=4, rest_seconds=0.05)
        assert server.live.hub.viewers(f"network:{next(iter(crowd.listeners))}") == 10
        perform(owner, crowd, 60)
        assert crowd.problems() == []
