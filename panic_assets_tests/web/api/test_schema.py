"""The API against its own description: whatever is sent, no answer is a defect or one that is not described."""

from __future__ import annotations

import re

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks as said

from panic_assets_tests.web.server import Person, Running

#: They never end, or end the very session or token that asks.
_LEFT_OUT = re.compile(r"/events$|^/api/sessions|^/api/users/me|^/api/backup$|^/api/stop-all$")
_CHECKS = [
    schemathesis.checks.not_a_server_error,
    said.status_code_conformance,
    said.content_type_conformance,
    said.response_schema_conformance,
]
_FEW = settings(
    max_examples=5,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def ids(server: Running, boss: Person) -> dict[str, str]:
    """Things that are there, so that not every answer is 404."""
    network = server.network(boss, is_public=True, models=["dummy-t2i", "dummy-i2t"])
    run = boss.post(f"/api/networks/{network}/prompts", json={"prompt": "a red house"}).json()["run"]["id"]
    watchers = [{"name": "left", "kind": "grid", "rows": 1, "columns": 2}]
    wanted = {"name": "Hall", "network_id": network, "is_public": True, "watchers": watchers}
    place = boss.post("/api/installations", json=wanted).json()["id"]
    return {"network_id": network, "run_id": run, "installation_id": place, "name": "left", "model_id": "dummy-t2t"}


def test_no_answer_is_a_defect_or_not_described(server: Running, boss: Person, ids: dict[str, str]):
    program = server.program(boss.user_id, "admin")
    schema = schemathesis.openapi.from_dict(server.app.openapi())
    schema.config.update(base_url=server.url)
    asked, answers = 0, set()
    headers = {"Authorization": program.headers["Authorization"]}
    for found in schema.get_all_operations():
        operation = found.ok()
        if _LEFT_OUT.search(operation.path):
            continue

        @_FEW
        @given(case=operation.as_strategy())
        def ask(case):
            nonlocal asked
            asked += 1
            if asked % 2 and case.method != "DELETE":
                case.path_parameters = {**(case.path_parameters or {}), **_known(case, ids)}
            answer = case.call(base_url=server.url, headers=headers, timeout=20)
            answers.add(answer.status_code)
            case.validate_response(answer, checks=_CHECKS)

        ask()
    assert asked > 100, "how many cases hypothesis makes of a small operation varies"
    assert {200, 201, 204, 404, 422} <= answers


def _known(case, ids: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in ids.items() if name in (case.path_parameters or {})}
