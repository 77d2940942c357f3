"""Signing in and out, writes by cookie, and passwords."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2 as httpx
import pytest

from panic_assets.live.clock import SystemClock
from panic_assets.web.security.signing import hash_of
from panic_assets_tests.web.server import PASSWORD, Person, Running, running


class Shifted(SystemClock):
    """The clock of this machine, set forward by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def test_a_session_is_a_careful_cookie_of_which_only_a_hash_is_kept(server: Running):
    server.account("grace@example.org")
    grace = server.person()
    answer = grace.post("/api/sessions", json={"email": "GRACE@example.org", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    token = grace.cookies["panic_session"]
    assert server.live.store.session(hash_of(token)) is not None
    assert token.encode() not in b"".join(file.read_bytes() for file in server.live.settings.folder.glob("live.db*")), (
        "the token itself is on the disk"
    )
    assert grace.get("/api/sessions/current").json()["user"]["email"] == "grace@example.org"


def test_over_https_the_cookie_is_the_hosts_alone(tmp_path):
    with running(tmp_path, public_url="https://live.example") as server:
        server.account("ada@example.org")
        answer = server.person().post("/api/sessions", json={"email": "ada@example.org", "password": PASSWORD})
        assert answer.headers["set-cookie"].startswith("__Host-panic_session=")
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("email", "password"), [("ada@example.org", "not the right one"), ("nobody@example.org", PASSWORD)]
)
def test_wrong_passwords_and_unknown_accounts_look_alike(email, password, ada: Person, anyone: Person):
    answer = anyone.post("/api/sessions", json={"email": email, "password": password})
    assert answer.status_code == 401
    assert answer.json()["detail"] == "there is no such account with that password"
    assert "set-cookie" not in answer.headers


def test_a_write_by_cookie_needs_the_token_of_its_session(server: Running, ada: Person):
    other = server.person("eve@example.org")
    network = {"name": "Forged"}
    for token in (None, "", "0" * 64, other.headers["X-CSRF-Token"]):
        headers = {} if token is None else {"X-CSRF-Token": token}
        bare = httpx.Client(base_url=server.url, cookies=ada.cookies, headers=headers)
        answer = bare.post("/api/networks", json=network)
        assert answer.status_code == 403, token
        assert "X-CSRF-Token" in answer.json()["remedy"]
    assert not [n for n in ada.get("/api/networks?mine=true").json() if n["name"] == "Forged"]
    assert ada.post("/api/networks", json=network).status_code == 201


def test_a_bearer_token_needs_none_and_a_cookie_beside_it_counts_for_nothing(server: Running, ada: Person):
    program = server.program(ada.user_id, "operate")
    assert program.post("/api/networks", json={"name": "By a program"}).status_code == 201
    reader = server.program(ada.user_id, "read")
    reader.cookies.update(ada.cookies)
    reader.headers["X-CSRF-Token"] = ada.headers["X-CSRF-Token"]
    assert reader.post("/api/networks", json={"name": "By a reader"}).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_foreign_form_could_send_is_not_taken(kind, ada: Person):
    answer = ada.post("/api/networks", content=b'{"name": "Form"}', headers={"Content-Type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize("header", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_a_login_from_a_page_of_another_site_is_refused(header, server: Running):
    server.person("ida@example.org")
    login = {"email": "ida@example.org", "password": PASSWORD}
    assert server.person().post("/api/sessions", json=login, headers=header).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Origin": server.url}
    assert server.person().post("/api/sessions", json=login, headers=own).status_code == 201


def test_signing_out_here_and_everywhere(server: Running):
    one, two, three = (server.person("kay@example.org") for _ in range(3))
    assert len(one.get("/api/sessions").json()) == 3
    assert sum(session["is_current"] for session in one.get("/api/sessions").json()) == 1
    assert one.delete("/api/sessions/current").status_code == 204
    assert one.get("/api/users/me").status_code == 401
    assert two.get("/api/users/me").status_code == 200
    assert two.delete("/api/sessions").status_code == 204
    assert [person.get("/api/users/me").status_code for person in (two, three)] == [401, 401]


def test_another_password_ends_all_sessions(server: Running):
    one, two = (server.person("joan@example.org") for _ in range(2))
    new = "another long password"
    assert one.put("/api/users/me/password", json={"old": "wrong", "new": new}).status_code == 403
    assert one.put("/api/users/me/password", json={"old": PASSWORD, "new": "short"}).status_code == 422
    assert one.get("/api/users/me").status_code == 200
    assert one.put("/api/users/me/password", json={"old": PASSWORD, "new": new}).status_code == 204
    assert [person.get("/api/users/me").status_code for person in (one, two)] == [401, 401]
    answer = server.person().post("/api/sessions", json={"email": "joan@example.org", "password": new})
    assert answer.status_code == 201


def test_a_session_slides_and_ends(tmp_path):
    clock = Shifted()
    with running(tmp_path, clock=clock, session_seconds=3600, session_longest_seconds=10_000) as server:
        ada = server.person("ada@example.org")
        for step in (3000, 3000, 3000):
            clock.ahead += timedelta(seconds=step)
            answer = ada.get("/api/users/me")
            assert answer.status_code == 200, clock.ahead
            assert "Max-Age" in answer.headers["set-cookie"]
        clock.ahead += timedelta(seconds=1100)
        assert ada.get("/api/users/me").status_code == 401, "longer than the longest"
        bea = server.person("bea@example.org")
        clock.ahead += timedelta(seconds=3700)
        assert bea.get("/api/users/me").status_code == 401, "unused for too long"


def test_logins_are_limited_by_account_and_address_and_that_outlives_a_restart(tmp_path):
    settings = {"logins_per_account": 3, "logins_per_address": 5}

    def tried(server: Running, email: str, password: str = "wrong") -> int:
        answer = server.person().post("/api/sessions", json={"email": email, "password": password})
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status_code

    with running(tmp_path, **settings) as server:
        server.account("ada@example.org")
        server.account("bea@example.org")
        assert [tried(server, "ada@example.org") for _ in range(3)] == [401] * 3
        assert tried(server, "Ada@example.org ", PASSWORD) == 429, "even the right one"
        assert tried(server, "bea@example.org", PASSWORD) == 201, "others may go on"
    with running(tmp_path, **settings) as server:
        assert tried(server, "ada@example.org", PASSWORD) == 429
        assert [tried(server, f"nobody{i}@example.org") for i in range(6)][-1] == 429


def test_accounts_that_go_take_their_sessions_along(server: Running, boss: Person):
    leaver = server.person("leaver@example.org")
    assert boss.delete(f"/api/users/{boss.user_id}").status_code == 409
    assert boss.delete(f"/api/users/{leaver.user_id}").status_code == 204
    assert leaver.get("/api/users/me").status_code == 401
