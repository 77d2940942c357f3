"""Media, installations, backups and accounts by the API."""

from __future__ import annotations

import sqlite3

import pytest

from panic_assets.live.store import Store, check_database
from panic_assets.web.api.media import part_of
from panic_assets.web.errors import Problem
from panic_assets_tests.web.api.test_networks import STEADY, ended
from panic_assets_tests.web.listening import until
from panic_assets_tests.web.server import PASSWORD, Person, Running

WALL = {"name": "wall", "kind": "grid", "rows": 2, "columns": 3}
ODD = {"name": "odd", "kind": "single", "stride": 2, "offsets": [1]}


@pytest.fixture(scope="module")
def key(server: Running, ada: Person) -> str:
    network = server.network(ada, models=["dummy-t2i", "dummy-i2t"], **STEADY)
    ada.post(f"/api/networks/{network}/prompts", json={"prompt": "a red house"})
    return ended(ada, network)["invocations"][0]["output"]["key"]


def test_a_medium_is_what_it_says_and_may_be_kept(key, anyone: Person):
    answer = anyone.get(f"/media/{key}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.content[8:12] == b"WEBP"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    again = anyone.get(f"/media/{key}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_parts_of_a_medium(key, anyone: Person):
    whole = anyone.get(f"/media/{key}")
    size, etag = len(whole.content), whole.headers["etag"]
    part = anyone.get(f"/media/{key}", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, whole.content[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{size}"
    assert anyone.get(f"/media/{key}", headers={"Range": "bytes=-5"}).content == whole.content[-5:]
    assert anyone.get(f"/media/{key}", headers={"Range": "bytes=0-", "If-Range": '"old"'}).status_code == 200
    assert anyone.get(f"/media/{key}", headers={"Range": "bytes=0-", "If-Range": etag}).status_code == 206
    beyond = anyone.get(f"/media/{key}", headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 10)),
        ("bytes=5-99", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=-", None),
        ("bytes=7-3", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
    ],
)
def test_which_part_is_asked_for(wanted, part):
    assert part_of(wanted, 10) == part


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=-0"])
def test_parts_that_are_not_there(wanted):
    with pytest.raises(Problem) as error:
        part_of(wanted, 10)
    assert error.value.status == 416


@pytest.mark.parametrize("path", ["..%2Flive.db", "../live.db", "ab/" + "0" * 64 + ".webp", "%00", "live/secret.key"])
def test_nothing_else_is_handed_out(path, anyone: Person):
    assert anyone.get(f"/media/{path}").status_code == 404


def test_an_installation_and_its_watchers(server: Running, ada: Person):
    network = server.network(ada)
    made = ada.post("/api/installations", json={"name": "Hall", "network_id": network}).json()
    path = f"/api/installations/{made['id']}"
    for watcher in (WALL, ODD):
        assert ada.post(f"{path}/watchers", json=watcher).status_code == 201
    assert ada.post(f"{path}/watchers", json=WALL).status_code == 422, "the name is taken"
    bad = ada.post(f"{path}/watchers", json={"name": "bad", "kind": "single", "stride": 2, "offsets": [2]})
    assert bad.status_code == 422
    assert "offsets: 2 is not below the stride" in bad.json()["problems"][0]

    def names() -> list[str]:
        return [shown["watcher"]["name"] for shown in ada.get(path).json()["watchers"]]

    assert names() == ["wall", "odd"]
    assert ada.put(f"{path}/order", json={"names": ["odd", "wall"]}).status_code == 200
    assert ada.put(f"{path}/order", json={"names": ["odd"]}).status_code == 422
    assert ada.put(f"{path}/watchers/wall", json={**WALL, "name": "gate"}).status_code == 200
    assert names() == ["odd", "gate"]
    assert ada.get(f"{path}/watchers/gate").json()["watcher"]["rows"] == 2
    assert ada.delete(f"{path}/watchers/odd").status_code == 200
    assert ada.delete(f"{path}/watchers/odd").status_code == 404
    assert ada.delete(f"/api/networks/{network}").status_code == 409, "it is followed"
    assert ada.delete(path).status_code == 204
    assert ada.delete(f"/api/networks/{network}").status_code == 204


def test_a_backup_is_a_whole_store_and_can_be_restored(server: Running, ada: Person, boss: Person, tmp_path):
    network = server.network(ada, name="Kept")
    answer = boss.get("/api/backup")
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    file = tmp_path / "backup.db"
    file.write_bytes(answer.content)
    assert check_database(file) == []
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name FROM networks WHERE id = ?", (network,)).fetchone() == ("Kept",)
    until(lambda: not list(server.live.settings.folder.glob("backup-*")), "nothing of it stays")
    restored = Store(f"sqlite:///{tmp_path}/other.db")
    restored.migrate()
    restored.restore_from(file)
    assert restored.network(network).name == "Kept"
    restored.close()


def test_admins_make_accounts_and_change_passwords(server: Running, boss: Person):
    new = {"email": "new@example.org", "password": PASSWORD}
    made = boss.post("/api/users", json=new)
    assert made.status_code == 201
    assert boss.post("/api/users", json=new).status_code == 422, "somebody has that address"
    assert boss.post("/api/users", json={**new, "email": "x@y", "password": "short"}).status_code == 422
    person = server.person("new@example.org")
    assert boss.put(f"/api/users/{made.json()['id']}/password", json={"new": "another long one"}).status_code == 204
    assert person.get("/api/users/me").status_code == 401
    assert "new@example.org" in {user["email"] for user in boss.get("/api/users").json()}


def test_keys_of_platforms_come_and_go_and_are_never_told(boss: Person):
    assert boss.put("/api/secrets/REPLICATE_API_TOKEN", json={"value": "r8-key"}).status_code == 204
    assert boss.put("/api/secrets/REPLICATE_API_TOKEN", json={"value": "two words"}).status_code == 422
    assert boss.put("/api/secrets/lower", json={"value": "x"}).status_code == 422
    assert boss.delete("/api/secrets/REPLICATE_API_TOKEN").status_code == 204
    assert boss.delete("/api/secrets/REPLICATE_API_TOKEN").status_code == 404


def test_the_server_says_that_it_is_well(anyone: Person):
    assert anyone.get("/api/health").json()["ok"] is True
    described = anyone.get("/api/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert all(
        "application/problem+json" in operation["responses"]["404"]["content"]
        for path in described["paths"].values()
        for operation in path.values()
    )
