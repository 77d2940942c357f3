"""Who may call what, as data: one line for each route, and no route without a line.

Here belong the table and the routes that obey it. What a caller may see of the thing a route is about is in
``callers``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts

from panic_assets.errors import PanicError
from panic_assets.web.errors import Problem
from panic_assets.web.live import Live, live_of
from panic_assets.web.security.callers import CSRF_FIELD, CSRF_HEADER, Caller, Scope, identify, signed
from panic_assets.web.security.cookies import put_cookie

Who = Literal["public", "terminal", "trainer", "operator", "admin"]
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class Rule:
    """Who may call a route.

    ``trainer`` is an operator, or a program that signs what it sends. ``scope`` is what an API token needs; None where
    no token may, only a person with a session. ``action`` is what is written into the audit log when it is done.
    ``is_login``: it makes a session, so there is none yet to protect.
    """

    who: Who
    scope: Scope | None = "read"
    action: str | None = None
    is_login: bool = False


_public, _own = Rule("public"), Rule("operator", "operate")


def _operate(action: str) -> Rule:
    return Rule("operator", "operate", action)


def _admin(action: str | None = None) -> Rule:
    return Rule("admin", "admin", action)


#: Method and path of every route. ``public`` routes still hide what is private: it is 404 to who may not see it.
POLICY: dict[str, Rule] = {
    "GET /api/health": _public,
    "GET /api/openapi.json": _public,
    "GET /media/{key:path}": _public,
    "GET /api/models": _public,
    "GET /api/models/{model_id}": _public,
    "POST /api/models/check": _public,
    "GET /api/networks": _public,
    "POST /api/networks": _operate("network.create"),
    "GET /api/networks/{network_id}": _public,
    "PATCH /api/networks/{network_id}": _operate("network.update"),
    "DELETE /api/networks/{network_id}": _operate("network.delete"),
    "GET /api/networks/{network_id}/status": _public,
    "GET /api/networks/{network_id}/events": _public,
    "GET /api/networks/{network_id}/runs": _public,
    "GET /api/networks/{network_id}/runs/current": _public,
    "GET /api/runs/{run_id}": _public,
    "GET /api/runs/{run_id}/invocations": _public,
    "POST /api/networks/{network_id}/prompts": Rule("terminal", "prompt"),
    "POST /api/networks/{network_id}/stop": _operate("network.stop"),
    "POST /api/networks/{network_id}/terminal-tokens": _operate("terminal.create"),
    "GET /api/networks/{network_id}/terminal.svg": _operate("terminal.create"),
    "GET /api/installations": _public,
    "POST /api/installations": _operate("installation.create"),
    "GET /api/installations/{installation_id}": _public,
    "PATCH /api/installations/{installation_id}": _operate("installation.update"),
    "DELETE /api/installations/{installation_id}": _operate("installation.delete"),
    "PUT /api/installations/{installation_id}/order": _operate("watcher.reorder"),
    "POST /api/installations/{installation_id}/watchers": _operate("watcher.create"),
    "GET /api/installations/{installation_id}/watchers/{name}": _public,
    "PUT /api/installations/{installation_id}/watchers/{name}": _operate("watcher.update"),
    "DELETE /api/installations/{installation_id}/watchers/{name}": _operate("watcher.delete"),
    "GET /api/installations/{installation_id}/watchers/{name}/events": _public,
    "POST /api/sessions": Rule("public", None, is_login=True),
    "GET /api/sessions": Rule("operator", None),
    "DELETE /api/sessions": Rule("operator", None, "session.delete_all"),
    "GET /api/sessions/current": Rule("operator", None),
    "DELETE /api/sessions/current": Rule("operator", None, "session.delete"),
    "GET /api/users/me": Rule("operator"),
    "PUT /api/users/me/password": Rule("operator", None, "user.password"),
    "GET /api/tokens": Rule("operator", None),
    "POST /api/tokens": Rule("operator", None, "token.create"),
    "DELETE /api/tokens/{token_id}": Rule("operator", None, "token.delete"),
    "GET /api/users": _admin(),
    "POST /api/users": _admin("user.create"),
    "PUT /api/users/{user_id}/password": _admin("user.password"),
    "DELETE /api/users/{user_id}": _admin("user.delete"),
    "POST /api/stop-all": _admin("network.stop_all"),
    "GET /api/secrets": _admin(),
    "PUT /api/secrets/{name}": _admin("secret.put"),
    "DELETE /api/secrets/{name}": _admin("secret.delete"),
    "GET /api/audit": _admin(),
    "GET /api/backup": _admin("backup.download"),
    "POST /api/events/ml": Rule("trainer", "train"),
    "GET /api/events/ml/dead-letters": Rule("operator"),
    "POST /api/events/ml/dead-letters/replay": _operate("dead_letters.replay"),
    "DELETE /api/events/ml/dead-letters/{letter_id}": _operate("dead_letter.discard"),
}


class NoRule(PanicError):
    """A route that the table does not know, or the other way round."""


def add_rules(rules: dict[str, Rule]) -> None:
    """More lines of the table, such as those of pages. To be called before the routes are made.

    Raises:
        NoRule: a route is in the table with another line.
    """
    for route, rule in rules.items():
        if POLICY.setdefault(route, rule) != rule:
            raise NoRule(f"{route} has two rules in the policy: {POLICY[route]} and {rule}; keep one")


class GuardedRoute(APIRoute):
    """A route that answers only whom its line lets in. It looks before it reads what was sent.

    Raises:
        NoRule: the table has no line for it.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        names = [f"{method} {path}" for method in sorted(more.get("methods") or {"GET"})]
        missing = [name for name in names if name not in POLICY]
        if missing:
            raise NoRule(f"no rule for {', '.join(missing)}: say in security/policy.py who may call it")
        self.rules = {name.split(" ", 1)[0]: POLICY[name] for name in names}
        super().__init__(path, endpoint, **more)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the guard."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            rule = self.rules["GET" if request.method == "HEAD" else request.method]
            caller = request.state.caller = await admit(request, rule)
            response = await handle(request)
            await _write_down(request, caller, rule, response.status_code)
            if caller.session_grew and caller.session is not None:
                put_cookie(request, response, None, caller.session.expires_at)
            return response

        return guarded


class GuardedRouter(APIRouter):
    """A router all of whose routes are guarded."""

    def __init__(self, **more: Any) -> None:
        super().__init__(route_class=GuardedRoute, **more)


def routes_of(app: FastAPI) -> dict[str, Rule | None]:
    """Every route of an application by method and path, with its rule; None where it is not guarded.

    Files that are mounted, such as styles, are no routes: they are for anyone.
    """
    found: dict[str, Rule | None] = {}
    for route in iter_route_contexts(app.routes):
        rules = getattr(route.original_route, "rules", {})
        for method in sorted(route.methods or ()):
            found[f"{method} {route.path}"] = rules.get(method)
    return found


def require_rules(app: FastAPI) -> None:
    """Do nothing if every route is guarded and every line of the table is used.

    Raises:
        NoRule: it is not so.
    """
    found = routes_of(app)
    bare = [route for route, rule in found.items() if rule is None or rule != POLICY.get(route)]
    unused = [route for route in POLICY if route not in found]
    if bare or unused:
        raise NoRule(f"routes without a guard: {bare or 'none'}; rules without a route: {unused or 'none'}")


async def admit(request: Request, rule: Rule) -> Caller:
    """Who is calling, if the rule lets them in.

    Raises:
        Problem: 401 or 403: it does not. 415: what is sent is of a kind that nothing here takes.
    """
    caller = await identify(request, is_trainer=rule.who == "trainer")
    if request.method not in _SAFE:
        _check_type(request)
        if rule.who == "trainer":
            caller = await signed(request, caller)
        if rule.is_login:
            _check_origin(request)
        elif caller.session is not None and not await _has_csrf(request, caller):
            caller, cookie = caller.without_session(), caller
            if not _fits(request, caller, rule) and _fits(request, cookie, rule):
                raise Problem(
                    403,
                    "the request does not prove that it was made by a page of this server",
                    f"send the token that GET /api/sessions/current gives as {CSRF_HEADER}, or reload the page",
                )
    if not _fits(request, caller, rule):
        raise _refusal(caller, rule)
    return caller


def _fits(request: Request, caller: Caller, rule: Rule) -> bool:
    if rule.who == "public":
        return True
    if rule.who == "trainer" and caller.signed:
        return True
    network_id = request.path_params.get("network_id")
    if rule.who == "terminal" and caller.terminal is not None and caller.terminal.lets_into(network_id):
        return True
    if caller.user is None or (caller.token is not None and rule.scope is None):
        return False
    if rule.scope is not None and not caller.has(rule.scope):
        return False
    return rule.who != "admin" or caller.user.is_admin


def _refusal(caller: Caller, rule: Rule) -> Problem:
    if caller.user is None and caller.terminal is None:
        said = caller.trouble or "nobody is signed in"
        remedy = "scan the code again" if rule.who == "terminal" else "sign in, or send an API token"
        return Problem(401, said, remedy, {"WWW-Authenticate": "Bearer"})
    if caller.user is None:
        told = "this terminal is for another network" if rule.who == "terminal" else "a terminal may only prompt"
        return Problem(403, told, "scan the code of that network" if rule.who == "terminal" else "sign in")
    if caller.token is not None and rule.scope is None:
        return Problem(403, "no API token may do this", "sign in with a password")
    if rule.scope is not None and not caller.has(rule.scope):
        return Problem(403, f"the API token lacks the scope {rule.scope}", "make another token")
    return Problem(403, "only an admin may do this", "ask one")


def _check_type(request: Request) -> None:
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get("content-length")
    if not sent and length in (None, "0") and "transfer-encoding" not in request.headers:
        return
    is_api = request.url.path.startswith("/api/")
    taken = ("application/json",) if is_api else (*_FORMS, "application/json")
    if sent not in taken:
        raise Problem(415, f"{sent or 'what has no type'} is not taken here", f"send {' or '.join(taken)}")


def _check_origin(request: Request) -> None:
    """A login must not be made by a page of somebody else, who would have a person work in the wrong account."""
    origin = urlsplit(request.headers.get("origin", "")).netloc
    own = {"", request.headers.get("host", ""), urlsplit(live_of(request).settings.public_url).netloc}
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site") or origin not in own:
        raise Problem(403, "the login comes from a page of another site", "sign in on the page of this server")


async def _has_csrf(request: Request, caller: Caller) -> bool:
    assert caller.session is not None
    given = request.headers.get(CSRF_HEADER, "")
    if not given and request.headers.get("content-type", "").startswith(_FORMS):
        field = (await request.form()).get(CSRF_FIELD, "")
        given = field if isinstance(field, str) else ""
    return bool(given) and live_of(request).signer.is_csrf(given, caller.session.token_hash)


async def _write_down(request: Request, caller: Caller, rule: Rule, status: int) -> None:
    if rule.action is None or status >= 400:
        return
    live: Live = live_of(request)
    details = {"address": caller.address, **getattr(request.state, "details", {})}
    target = getattr(request.state, "target", None) or " ".join(str(value) for value in request.path_params.values())
    await live.thread(live.store.audit, caller.name, rule.action, target, details)


def note(request: Request, target: str | None = None, **details: Any) -> None:
    """What the audit log says of this request beside who did what: never a secret."""
    if target is not None:
        request.state.target = target
    request.state.details = {**getattr(request.state, "details", {}), **details}
