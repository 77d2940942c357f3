"""Every route of the application, and every kind of caller: who gets in and who does not."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI

from panic_assets.web import pages  # noqa: F401 - adds the rules of pages to the table
from panic_assets.web.security.policy import POLICY, GuardedRouter, NoRule, Rule, add_rules, require_rules, routes_of
from panic_assets_tests.web.server import Person, Running

SCOPES = ("read", "prompt", "train", "operate", "admin")
#: Those that the guard lets in answer something else than these; below the guard 403 and 404 mean other things.
REFUSED = (401, 403)
NOBODY = "A" * 22
VALUES = {"name": "left", "model_id": "dummy-t2t", "key:path": "ab/cd.webp"}


def filled(path: str) -> str:
    """The path with ids that nothing has: behind the guard there is nothing to break."""
    return re.sub(r"\{([\w:]+)\}", lambda found: VALUES.get(found[1], NOBODY), path)


def expected(who: str, rule: Rule) -> bool:
    if rule.who == "public":
        return True
    if who == "terminal":
        return rule.who == "terminal"
    if who == "anyone":
        return False
    if who.startswith("token "):
        _, scope, kind = who.split()
        narrow = {"read": {"read"}, "prompt": {"prompt"}, "train": {"train"}}
        allowed = {**narrow, "operate": {"read", "prompt", "operate"}}.get(scope)
        if rule.scope is None or (allowed is not None and rule.scope not in allowed):
            return False
        return rule.who != "admin" or kind == "admin"
    return rule.who != "admin" or who == "admin"


@pytest.fixture(scope="module")
def callers(server: Running, ada: Person, boss: Person, anyone: Person) -> dict[str, Person]:
    found = {"anyone": anyone, "operator": ada, "admin": boss}
    found["terminal"] = server.person()
    found["terminal"].headers["X-Terminal-Token"] = server.live.signer.terminal(NOBODY, 60)[0]
    for scope in SCOPES:
        found[f"token {scope} operator"] = server.program(ada.user_id, scope)
        found[f"token {scope} admin"] = server.program(boss.user_id, scope)
    return found


def is_let_in(caller: Person, route: str) -> bool:
    """By a body that is no JSON: the guard speaks before anything is read, and nothing is done."""
    method, path = route.split(" ", 1)
    answer = caller.request(
        method,
        filled(path),
        content=None if method in ("GET", "DELETE") else b"{no json",
        headers={} if method in ("GET", "DELETE") else {"Content-Type": "application/json"},
    )
    if "there is no such account" in answer.text:
        return True  # a login that took what was sent for an address and a password
    sent_to = answer.headers.get("location", "")
    return answer.status_code not in REFUSED and not sent_to.startswith("/login?next=") and "expired" not in sent_to


#: They end the session that calls.
ELSEWHERE = {"DELETE /api/sessions", "DELETE /api/sessions/current", "POST /logout", "POST /account/sessions"}


@pytest.mark.parametrize("route", sorted(set(POLICY) - ELSEWHERE))
def test_who_may_call_a_route(route: str, server: Running, callers: dict[str, Person]):
    rule = routes_of(server.app)[route]
    assert rule is not None
    got = {who for who, caller in callers.items() if is_let_in(caller, route)}
    assert got == {who for who in callers if expected(who, rule)}


@pytest.mark.parametrize("route", sorted(ELSEWHERE))
def test_who_may_end_sessions(route: str, server: Running, callers: dict[str, Person]):
    for who, caller in callers.items():
        if who not in ("operator", "admin"):
            assert not is_let_in(caller, route), who
    person = server.person("leaving@example.org")
    assert is_let_in(person, route)
    assert not is_let_in(person, route), "the session goes on"


def test_every_route_is_guarded_and_every_rule_is_used(server: Running):
    require_rules(server.app)
    assert set(routes_of(server.app)) == set(POLICY)
    assert sum(route.split()[1].startswith("/api/") for route in POLICY) > 40


def test_a_route_without_a_rule_can_not_be_made():
    router = GuardedRouter()
    with pytest.raises(NoRule, match=r"no rule for GET /api/unheard-of"):
        router.get("/api/unheard-of")(lambda: None)


def test_a_route_that_is_not_guarded_is_found():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.get("/api/bare")(lambda: None)
    with pytest.raises(NoRule, match="GET /api/bare"):
        require_rules(app)


def test_a_rule_is_not_given_twice():
    with pytest.raises(NoRule, match="two rules"):
        add_rules({"GET /api/users": Rule("public")})
    assert POLICY["GET /api/users"].who == "admin"
