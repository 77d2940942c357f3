"""Pages from templates: what every one of them knows, and what they show of models, runs and errors.

Here belongs drawing; what is drawn comes from the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError

from panic_assets.live.platforms.base import LiveModel
from panic_assets.web.errors import Problem, problem_of
from panic_assets.web.live import live_of
from panic_assets.web.pages.assets import build
from panic_assets.web.pages.markdown import caption, described
from panic_assets.web.security.callers import Caller

ENDINGS = {
    "stopped": "stopped by hand",
    "pre_empted": "a new prompt took over",
    "failed": "a model failed",
    "length": "it has reached its greatest length",
    "budget": "its budget is used up",
    "duration": "its time was over",
    "restarted": "the server was restarted",
}
REASONS = {
    "moderation": "refused by the model's moderation",
    "quota": "the platform's quota is used up",
    "auth": "the platform let nobody in",
    "timeout": "no answer in time",
    "transient": "the platform is not well",
    "invalid": "the model could not use this input",
    "cancelled": "cancelled",
    "internal": "something broke",
}
_FOR_ALL = (("/", "Networks"), ("/models", "Models"))
_FOR_OPERATORS = (
    ("/networks", "My networks"),
    ("/installations", "Installations"),
    ("/studies", "Studies"),
    ("/codec", "Codecs"),
    ("/account", "Account"),
)


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The template with what is common to all pages: who is calling, the token for forms, the navigation."""
    caller: Caller | None = getattr(request.state, "caller", None)
    csrf = live_of(request).signer.csrf(caller.session.token_hash) if caller and caller.session else ""
    shown = (
        _environment()
        .get_template(template)
        .render(
            {
                "caller": caller or Caller("unknown"),
                "csrf": csrf,
                "path": request.url.path,
                "build": build(),
                "navigation": _navigation(caller),
                **values,
            }
        )
    )
    return HTMLResponse(shown, status, {"Cache-Control": "no-store"})


def error_page(request: Request, problem: Problem) -> Response:
    """A problem for people: who is not signed in is asked to, a terminal whose pass ran out is told so."""
    place = request.url.path
    if problem.status in (401, 403) and place.startswith("/networks/") and place.endswith("/terminal"):
        return see(f"{place}/expired")
    if problem.status == 401 and request.method == "GET":
        wanted = place + (f"?{request.url.query}" if request.url.query else "")
        return see(f"/login?{urlencode({'next': wanted})}")
    shown = {"title": "", "problems": None, **problem.body()}
    return page(request, "error.html", problem.status, problem=shown)


def see(address: str) -> RedirectResponse:
    """Go and look there, after a form was taken."""
    return RedirectResponse(address, 303)


def complaints(error: Exception) -> list[str]:
    """What is wrong with what was sent, a sentence each, for the page that it came from."""
    if isinstance(error, ValidationError):
        return [
            f"{'.'.join(str(part) for part in problem['loc']) or 'the form'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
    problem = problem_of(error)
    if problem.status >= 500:
        raise error
    return list(problem.more.get("problems") or ()) or [f"{problem.detail}: {problem.remedy}"]


def stations(models: Iterable[str], catalog: Mapping[str, LiveModel]) -> list[dict[str, Any]]:
    """The models of a ring for a template; one that the catalog does not know is called by its id."""
    found = []
    for name in models:
        model = catalog.get(name)
        shown = {"id": name, "name": name, "takes": "text", "gives": "text", "known": False}
        if model is not None:
            shown |= {"name": model.name, "takes": model.takes, "gives": model.gives, "known": True}
        found.append(shown)
    return found


def terminal_query(request: Request) -> str:
    """The terminal's token of this request, for addresses that need it too: ``?token=...`` or nothing."""
    token = request.query_params.get("token", "")
    return f"?token={quote(token, safe='')}" if token else ""


def _navigation(caller: Caller | None) -> list[tuple[str, str]]:
    user = caller.user if caller else None
    if user is None:
        return [*_FOR_ALL, ("/login", "Sign in")]
    return [*_FOR_ALL, *_FOR_OPERATORS, *((("/admin", "Admin"),) if user.is_admin else ())]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("panic_assets.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"markdown": described, "caption": caption}
    environment.globals |= {
        "ending": lambda reason: ENDINGS.get(reason, "ended"),
        "reason": lambda kind: REASONS.get(kind, "failed"),
    }
    return environment
