"""What nobody else may know: private things are not there, and no answer tells secrets or inner words."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from panic_assets.web.security.policy import GuardedRouter, Rule
from panic_assets_tests.web.server import Person, Running, running

SECRET = "sk-very-secret-key-of-a-platform"


@pytest.fixture(scope="module")
def private(server: Running, ada: Person) -> dict[str, str]:
    network = server.network(ada, description="hidden words")
    run = ada.post(f"/api/networks/{network}/prompts", json={"prompt": "a hidden prompt"}).json()["run"]["id"]
    given = {
        "name": "Cellar",
        "network_id": network,
        "watchers": [{"name": "left", "kind": "grid", "rows": 1, "columns": 1}],
    }
    installation = ada.post("/api/installations", json=given).json()["id"]
    return {"network": network, "run": run, "installation": installation}


PRIVATE = [
    "/api/networks/{network}",
    "/api/networks/{network}/status",
    "/api/networks/{network}/events",
    "/api/networks/{network}/runs",
    "/api/networks/{network}/runs/current",
    "/api/runs/{run}",
    "/api/runs/{run}/invocations",
    "/api/installations/{installation}",
    "/api/installations/{installation}/watchers/left",
    "/api/installations/{installation}/watchers/left/events",
]


@pytest.mark.parametrize("path", PRIVATE)
def test_private_things_are_as_if_they_were_not(path, server: Running, private, anyone: Person):
    stranger = server.person("stranger@example.org")
    nobody = dict.fromkeys(private, "A" * 22)
    for caller in (anyone, stranger):
        hidden, missing = caller.get(path.format(**private)), caller.get(path.format(**nobody))
        assert (hidden.status_code, missing.status_code) == (404, 404)
        said = hidden.text
        for key in private.values():
            said = said.replace(key, "A" * 22)
        assert said == missing.text, "the two look alike"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/api/networks/{network}", {"name": "Mine"}),
        ("DELETE", "/api/networks/{network}", None),
        ("POST", "/api/networks/{network}/prompts", {"prompt": "mine"}),
        ("POST", "/api/networks/{network}/stop", None),
        ("POST", "/api/networks/{network}/terminal-tokens", {}),
        ("GET", "/api/networks/{network}/terminal.svg", None),
        ("PATCH", "/api/installations/{installation}", {"name": "Mine"}),
        ("DELETE", "/api/installations/{installation}", None),
        ("PUT", "/api/installations/{installation}/order", {"names": ["left"]}),
        ("POST", "/api/installations", {"name": "Mine", "network_id": "{network}"}),
    ],
)
def test_strangers_can_not_touch_them(method, path, body, server: Running, private):
    stranger = server.person("stranger@example.org")
    given = {key: value.format(**private) if isinstance(value, str) else value for key, value in (body or {}).items()}
    answer = stranger.request(method, path.format(**private), json=None if body is None else given)
    assert answer.status_code == 404


def test_public_things_of_others_can_be_seen_and_not_touched(server: Running, ada: Person, anyone: Person):
    network = server.network(ada, is_public=True)
    stranger = server.person("stranger@example.org")
    assert anyone.get(f"/api/networks/{network}").json()["running"] is None
    assert stranger.patch(f"/api/networks/{network}", json={"name": "Mine"}).status_code == 403
    assert ada.get(f"/api/networks/{network}").json()["running"]["owner_id"] == ada.user_id


def test_an_admin_may_do_all(private, boss: Person):
    assert boss.get(f"/api/networks/{private['network']}").status_code == 200
    assert boss.post(f"/api/networks/{private['network']}/stop").status_code == 200


def test_anonymous_answers_hold_no_addresses_secrets_or_owners(
    server: Running, ada: Person, boss: Person, anyone: Person
):
    network = server.network(ada, is_public=True)
    ada.post(f"/api/networks/{network}/prompts", json={"prompt": "a red house"})
    assert boss.put("/api/secrets/OPENAI_API_KEY", json={"value": SECRET}).status_code == 204
    told = boss.get("/api/secrets")
    assert {"name": "OPENAI_API_KEY", "origin": "store"} in told.json()
    assert SECRET not in told.text
    paths = [path for path in server.app.openapi()["paths"] if not path.endswith("/events")]
    answers = [anyone.get(path.replace("{network_id}", network)) for path in paths]
    for answer in answers:
        for word in (SECRET, "ada@example", "boss@example", ada.user_id, "password_hash", "Traceback", "sqlite"):
            assert word not in answer.text, (answer.url, word)
    assert "ada@example" not in anyone.get("/").text
    assert SECRET.encode() not in server.live.store.path.read_bytes()
    audit = boss.get("/api/audit").text
    assert SECRET not in audit
    assert "secret.put" in audit


def test_a_defect_tells_nothing_of_itself(tmp_path):
    async def broken() -> None:
        raise RuntimeError(f"connection to /inner/place with {SECRET} failed")

    def add(app: FastAPI) -> None:
        from panic_assets.web.security import policy

        policy.POLICY["GET /api/broken"] = Rule("public")
        router = GuardedRouter()
        router.get("/api/broken")(broken)
        app.include_router(router)
        del policy.POLICY["GET /api/broken"]

    with running(tmp_path, change=add) as server:
        answer = server.person().get("/api/broken")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "inner" not in answer.text
        assert SECRET not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_answer_has_the_headers_that_make_browsers_careful(anyone: Person, ada: Person):
    for answer in (anyone.get("/api/health"), anyone.get("/api/users"), anyone.get("/nothing"), anyone.get("/media/x")):
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy or "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers


def test_a_request_that_is_too_large_is_refused_told_or_not(ada: Person):
    text = b'{"name": "' + b"x" * 2_000_000 + b'"}'

    def in_parts():
        for start in range(0, len(text), 65536):
            yield text[start : start + 65536]

    for content in (text, in_parts()):
        answer = ada.post("/api/networks", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
        assert answer.json()["remedy"] == "send less"


def test_every_write_is_in_the_audit_log(server: Running, boss: Person):
    operator = server.person("audited@example.org")
    network = server.network(operator, name="Audited")
    operator.patch(f"/api/networks/{network}", json={"lockout_seconds": 5})
    operator.patch(f"/api/networks/{network}", json={"lockout_seconds": -5})
    operator.delete(f"/api/networks/{network}")
    entries = [entry for entry in boss.get("/api/audit").json() if entry["target"] == network]
    assert [entry["action"] for entry in entries] == ["network.delete", "network.update", "network.create"]
    assert {entry["actor"] for entry in entries} == {f"user:{operator.user_id}"}
    assert entries[1]["details"] == {"address": "127.0.0.1", "fields": ["lockout_seconds"]}
