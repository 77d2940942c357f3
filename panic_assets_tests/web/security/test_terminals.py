"""Terminals: who has scanned a code may prompt one network for a while, and nothing else."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from panic_assets.live.clock import SystemClock
from panic_assets.web.api.networks import qr_svg
from panic_assets.web.security.signing import Signer
from panic_assets_tests.web.security.test_sessions import Shifted
from panic_assets_tests.web.server import Person, Running, running

PROMPT = {"prompt": "a red house"}


@pytest.fixture(scope="module")
def network(server: Running, ada: Person) -> str:
    return server.network(ada, is_public=True)


def token_for(owner: Person, network_id: str, **wanted) -> str:
    answer = owner.post(f"/api/networks/{network_id}/terminal-tokens", json=wanted)
    assert answer.status_code == 201, answer.text
    assert urlsplit(answer.json()["url"]).path == f"/networks/{network_id}/terminal"
    return parse_qs(urlsplit(answer.json()["url"]).query)["token"][0]


def prompted(anyone: Person, network_id: str, token: str, how: str = "header") -> int:
    path = f"/api/networks/{network_id}/prompts"
    if how == "header":
        return anyone.post(path, json=PROMPT, headers={"X-Terminal-Token": token}).status_code
    return anyone.post(path, json=PROMPT, params={"token": token}).status_code


@pytest.mark.parametrize("how", ["header", "query"])
def test_whoever_has_the_token_may_prompt(how, server: Running, ada: Person, anyone: Person, network: str):
    token = token_for(ada, network)
    assert prompted(anyone, network, token, how) == 201
    run = server.live.store.current_run(network)
    assert run is not None
    assert run.started_by == f"terminal:{server.live.signer.read_terminal(token).id}"


def test_nobody_prompts_without_one(server: Running, ada: Person, anyone: Person, network: str):
    assert anyone.post(f"/api/networks/{network}/prompts", json=PROMPT).status_code == 401
    stranger = server.person("stranger@example.org")
    assert stranger.post(f"/api/networks/{network}/prompts", json=PROMPT).status_code == 403


def test_a_token_is_for_one_network(server: Running, ada: Person, anyone: Person, network: str):
    other = server.network(ada, is_public=True)
    token = token_for(ada, network)
    assert prompted(anyone, other, token) == 403
    assert server.live.store.current_run(other) is None


def test_forged_tokens_are_refused(server: Running, ada: Person, anyone: Person, network: str):
    token = token_for(ada, network)
    payload, signature = token.rsplit(".", 1)
    other, _ = token_for(ada, server.network(ada)).rsplit(".", 1)
    foreign, _ = Signer("x" * 40, SystemClock()).terminal(network, 60)
    session = ada.cookies["panic_session"]
    for forged in (payload, f"{payload}.", f"{payload}.{signature[:-2]}AA", f"{other}.{signature}", foreign, session):
        assert prompted(anyone, network, forged) == 401, forged


def test_a_token_is_checked_at_every_prompt(tmp_path):
    clock = Shifted()
    with running(tmp_path, clock=clock, terminal_seconds=600) as server:
        ada, anyone = server.person("ada@example.org"), server.person()
        network = server.network(ada)
        long, short = token_for(ada, network, seconds=10**9), token_for(ada, network, seconds=60)
        assert [prompted(anyone, network, token) for token in (long, short)] == [201, 201]
        clock.ahead += timedelta(seconds=61)
        assert [prompted(anyone, network, token) for token in (long, short)] == [201, 401]
        clock.ahead += timedelta(seconds=540)
        assert prompted(anyone, network, long) == 401, "never for longer than the server is set up for"


def test_a_terminal_sees_its_private_network_and_no_other(server: Running, ada: Person, anyone: Person):
    private, other = server.network(ada), server.network(ada)
    shown = {"headers": {"X-Terminal-Token": token_for(ada, private)}}
    assert anyone.get(f"/api/networks/{private}").status_code == 404
    assert anyone.get(f"/api/networks/{private}", **shown).json()["running"] is None
    assert anyone.get(f"/api/networks/{private}/status", **shown).status_code == 200
    assert anyone.get(f"/api/networks/{other}", **shown).status_code == 404
    assert [network["id"] for network in anyone.get("/api/networks", **shown).json() if not network["is_public"]] == [
        private
    ]
    assert anyone.post(f"/api/networks/{private}/stop", **shown).status_code == 403


def test_prompts_are_limited_by_address_and_proxies_are_believed_if_trusted(tmp_path):
    with running(tmp_path, prompts_per_minute=2, trusted_proxies=("127.0.0.0/8", "198.18.0.0/15")) as server:
        ada = server.person("ada@example.org")
        network = server.network(ada)

        def prompt(forwarded: str):
            return ada.post(f"/api/networks/{network}/prompts", json=PROMPT, headers={"X-Forwarded-For": forwarded})

        assert [prompt("203.0.113.1").status_code for _ in range(3)] == [201, 201, 429]
        refused = prompt("203.0.113.1, 198.18.0.9")
        assert refused.status_code == 429, "the same, through one more of our own"
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert refused.json()["remedy"].startswith("wait ")
        assert prompt("203.0.113.1, 203.0.113.2").status_code == 201, "what comes before a stranger is made up"


def test_without_trusted_proxies_what_is_forwarded_counts_for_nothing(tmp_path):
    with running(tmp_path, prompts_per_minute=2) as server:
        ada = server.person("ada@example.org")
        path = f"/api/networks/{server.network(ada)}/prompts"
        codes = [
            ada.post(path, json=PROMPT, headers={"X-Forwarded-For": f"203.0.113.{i}"}).status_code for i in range(3)
        ]
        assert codes == [201, 201, 429]


def test_a_code_that_holds_the_address(ada: Person, network: str):
    answer = ada.get(f"/api/networks/{network}/terminal.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith("<?xml")
    assert "<script" not in answer.text


def test_a_third_of_a_code_may_be_covered():
    import segno

    url = "https://live.example/networks/kPq3v0JtXw2mB7cYd9LrUA/terminal?token=" + "t" * 120
    side = int(re.search(rb'width="(\d+)"', qr_svg(url))[1]) - 8
    assert side == segno.make(url, error="h", micro=False, boost_error=False).symbol_size(border=0)[0]
    assert side > segno.make(url, error="l", micro=False, boost_error=False).symbol_size(border=0)[0]
