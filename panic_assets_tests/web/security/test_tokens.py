"""API tokens: made once, kept as a hash, never more than their user."""

from __future__ import annotations

from datetime import timedelta

from panic_assets.web.security.signing import hash_of
from panic_assets_tests.web.security.test_sessions import Shifted
from panic_assets_tests.web.server import Person, Running, running


def test_a_token_is_shown_once_and_kept_as_a_hash(server: Running, ada: Person):
    made = ada.post("/api/tokens", json={"name": "script", "scopes": ["read", "prompt"], "days": 30}).json()
    assert made["token"].startswith("panic_")
    assert len(made["token"]) >= 6 + 43, "256 bits"
    listed = next(token for token in ada.get("/api/tokens").json() if token["id"] == made["id"])
    assert listed["token"] is None
    assert server.live.store.api_token(hash_of(made["token"])).name == "script"
    program = server.person()
    program.headers["Authorization"] = f"Bearer {made['token']}"
    assert program.get("/api/users/me").json()["email"] == "ada@example.org"
    assert ada.delete(f"/api/tokens/{made['id']}").status_code == 204
    assert program.get("/api/users/me").status_code == 401


def test_a_token_ends(tmp_path):
    clock = Shifted()
    with running(tmp_path, clock=clock) as server:
        ada = server.person("ada@example.org")
        program = server.person()
        token = ada.post("/api/tokens", json={"name": "short", "scopes": ["read"], "days": 1}).json()["token"]
        program.headers["Authorization"] = f"Bearer {token}"
        assert program.get("/api/users/me").status_code == 200
        clock.ahead += timedelta(days=1, seconds=1)
        assert program.get("/api/users/me").status_code == 401


def test_no_token_does_more_than_its_user(server: Running, ada: Person, boss: Person):
    assert ada.post("/api/tokens", json={"name": "x", "scopes": ["admin"]}).status_code == 403
    assert server.program(ada.user_id, "admin").get("/api/users").status_code == 403
    assert server.program(boss.user_id, "admin").get("/api/users").status_code == 200
    assert server.program(boss.user_id, "operate").get("/api/users").status_code == 403


def test_nobody_revokes_the_token_of_another(server: Running, ada: Person, boss: Person):
    made = boss.post("/api/tokens", json={"name": "mine", "scopes": ["read"]}).json()
    assert ada.delete(f"/api/tokens/{made['id']}").status_code == 404
    assert boss.delete(f"/api/tokens/{made['id']}").status_code == 204


def test_what_is_shown_wrongly_is_not_taken_for_a_session(server: Running, ada: Person):
    for shown in ("Bearer panic_forged", "Bearer", "Basic YWRhOng=", "panic_x"):
        answer = ada.get("/api/users/me", headers={"Authorization": shown})
        assert answer.status_code == 401, shown
        assert "API token" in answer.json()["detail"]
