"""Networks, prompts and runs by the API."""

from __future__ import annotations

import pytest

from panic_assets.errors import PanicError
from panic_assets.web.settings import Settings, SettingsError
from panic_assets_tests.web.listening import until
from panic_assets_tests.web.server import Person, Running

STEADY = {"pacing": {"steps": [[None, 0.01]]}, "limits": {"invocations": 5}}


def ended(person: Person, network: str) -> dict:
    until(lambda: person.get(f"/api/networks/{network}/runs/current").json()["state"] == "ended", "the end of the run")
    return person.get(f"/api/networks/{network}/runs/current").json()


def test_a_draft_is_kept_with_its_problems_and_does_not_run(ada: Person):
    made = ada.post("/api/networks", json={"name": "Draft", "models": ["dummy-t2i", "no-such"]})
    assert made.status_code == 201
    assert not made.json()["runnable"]
    assert made.json()["running"]["problems"] == ["there is no model 'no-such'"]
    answer = ada.post(f"/api/networks/{made.json()['id']}/prompts", json={"prompt": "x"})
    assert answer.status_code == 422
    assert answer.json()["problems"] == ["there is no model 'no-such'"]
    mended = ada.patch(f"/api/networks/{made.json()['id']}", json={"models": ["dummy-t2i", "dummy-i2t"]}).json()
    assert (mended["runnable"], mended["name"], mended["running"]["problems"]) == (True, "Draft", [])


def test_what_a_field_can_not_hold_is_named(ada: Person):
    answer = ada.post("/api/networks", json={"name": " ", "lockout_seconds": -1, "unheard_of": 1})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert {problem.split(":")[0] for problem in answer.json()["problems"]} == {
        "body.name",
        "body.lockout_seconds",
        "body.unheard_of",
    }
    answer = ada.post("/api/networks", json={"name": "x", "pacing": {"steps": [[5, 1]]}})
    assert answer.status_code == 422
    assert "last step" in answer.json()["detail"]


def test_models_are_found_by_what_they_take_and_give(anyone: Person):
    found = anyone.get("/api/models", params={"takes": "text", "gives": "image"}).json()
    assert [model["id"] for model in found] == ["dummy-t2i"]
    assert anyone.get("/api/models/dummy-t2i").json()["gives"] == "image"
    assert anyone.get("/api/models/no-such").status_code == 404
    draft = anyone.post("/api/models/check", json={"models": ["dummy-t2i"]}).json()
    assert (draft["runnable"], draft["next_takes"]) == (False, "image")


def test_a_run_and_its_invocations_by_pages(server: Running, ada: Person):
    network = server.network(ada, is_public=True, **STEADY)
    begun = ada.post(f"/api/networks/{network}/prompts", json={"prompt": "  a red house "})
    assert begun.status_code == 201
    assert begun.json()["run"]["prompt"] == "a red house"
    assert begun.json()["invocation"]["sequence_number"] == 0
    run = ended(ada, network)
    assert (run["end_reason"], run["completed"], run["started_by"]) == ("length", 5, f"user:{ada.user_id}")
    pages, after = [], -1
    while after is not None:
        page = ada.get(f"/api/runs/{run['id']}/invocations", params={"after": after, "limit": 2}).json()
        pages.append([one["sequence_number"] for one in page["invocations"]])
        after = page["next_after"]
    assert pages == [[0, 1], [2, 3], [4]]
    again = ada.post(f"/api/networks/{network}/prompts", json={"prompt": "another"}).json()["run"]
    numbers = [one["number"] for one in ada.get(f"/api/networks/{network}/runs").json()]
    assert numbers == [2, 1]
    assert again["number"] == 2
    assert [one["number"] for one in ada.get(f"/api/networks/{network}/runs", params={"before": 2}).json()] == [1]


def test_a_locked_network_says_for_how_long(server: Running, ada: Person):
    network = server.network(ada, lockout_seconds=60)
    assert ada.post(f"/api/networks/{network}/prompts", json={"prompt": "one"}).status_code == 201
    refused = ada.post(f"/api/networks/{network}/prompts", json={"prompt": "two"})
    assert refused.status_code == 409
    assert 50 < refused.json()["seconds_left"] <= 60
    assert 50 < int(refused.headers["Retry-After"]) <= 60
    status = ada.get(f"/api/networks/{network}/status").json()
    assert 50 < status["lockout_seconds_left"] <= 60
    assert status["run"]["prompt"] == "one"
    assert ada.post(f"/api/networks/{network}/stop").json() == {"stopped": 1}
    assert ada.post(f"/api/networks/{network}/stop").json() == {"stopped": 0}
    assert ada.get(f"/api/networks/{network}/status").json()["state"] == "idle"
    assert ada.post(f"/api/networks/{network}/prompts", json={"prompt": "two"}).status_code == 201
    assert ada.delete(f"/api/networks/{network}").status_code == 409, "it runs"


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 2001])
def test_prompts_that_are_none(prompt, server: Running, ada: Person):
    network = server.network(ada)
    assert ada.post(f"/api/networks/{network}/prompts", json={"prompt": prompt}).status_code == 422


def test_all_runs_stop_at_once(server: Running, ada: Person, boss: Person):
    networks = [server.network(ada) for _ in range(3)]
    for network in networks:
        ada.post(f"/api/networks/{network}/prompts", json={"prompt": "on and on"})
    assert boss.post("/api/stop-all").json()["stopped"] >= 3
    assert {ended(ada, network)["end_reason"] for network in networks} == {"stopped"}


def test_settings_come_from_variables(tmp_path):
    given = {
        "PANIC_LIVE_TRUSTED_PROXIES": "198.18.0.0/15, ::1",
        "PANIC_LIVE_PUBLIC_URL": "https://live.example",
        "HOME": "/",
    }
    settings = Settings.from_environment(given, data=tmp_path)
    assert settings.trusted_proxies == ("198.18.0.0/15", "::1")
    assert settings.secure
    assert settings.database == f"sqlite:///{tmp_path}/live/live.db"
    with pytest.raises(SettingsError, match="did you mean PANIC_LIVE_PUBLIC_URL"):
        Settings.from_environment({"PANIC_LIVE_PUBLIC_URI": "x"})
    for name, value in {"PUBLIC_URL": "ftp://x", "TRUSTED_PROXIES": "here", "BODY_BYTES": "3"}.items():
        with pytest.raises(SettingsError, match=f"PANIC_LIVE_{name}"):
            Settings.from_environment({f"PANIC_LIVE_{name}": value})


def test_the_secret_key_is_made_once_for_its_owner_alone(tmp_path):
    settings = Settings(data=tmp_path)
    key = settings.signing_key()
    file = tmp_path / "live" / "secret.key"
    assert Settings(data=tmp_path).signing_key() == key == file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert key not in repr(Settings(secret_key=key))
    file.chmod(0o644)
    with pytest.raises(PanicError, match="chmod 600"):
        settings.signing_key()
    with pytest.raises(SettingsError, match="shorter than 32"):
        Settings(data=tmp_path, secret_key="short").signing_key()
