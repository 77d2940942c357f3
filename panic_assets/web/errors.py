"""Every error as an answer: problem+json with a remedy, or a page for people.

Here belong the shape, the statuses of known errors, and what is never told: the inner words of a defect.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from panic_assets.errors import PanicError
from panic_assets.live.archive import ArchiveError, NoSuchMedium
from panic_assets.live.networks import NotRunnable
from panic_assets.live.runner import BadPrompt
from panic_assets.live.store import BadValue, LiveStoreError, NotThere, StillFollowed, StillRunning
from panic_assets.web.security.passwords import BadPassword

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"


class ProblemBody(BaseModel):
    """A problem, after RFC 9457, with what to do about it."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "there is no network 'kPq3…'; it may have been deleted",
                "remedy": "look at the list of networks",
            }
        },
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    remedy: str
    problems: list[str] | None = Field(None, description="each thing that is wrong, where there are several")
    seconds_left: float | None = Field(None, description="when trying again may help")


class Problem(PanicError):
    """Something that the caller is told: a status, what is wrong, and what to do."""

    def __init__(
        self, status: int, detail: str, remedy: str, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.remedy, self.headers, self.more = status, detail, remedy, headers or {}, more

    def body(self) -> dict[str, Any]:
        """Ready for JSON."""
        title = HTTPStatus(self.status).phrase
        told = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        return {**told, "remedy": self.remedy, **self.more}

    def response(self) -> Response:
        """As an answer of the API."""
        return JSONResponse(self.body(), self.status, self.headers, MEDIA_TYPE)


def too_many(what: str, seconds: float) -> Problem:
    """429, with when to come again."""
    wait = max(int(-(-seconds // 1)), 1)
    return Problem(
        429, f"too many {what} from here", f"wait {wait} s", {"Retry-After": str(wait)}, seconds_left=round(seconds, 3)
    )


#: What each known error is: its status, and the remedy where the error itself does not say it.
_KNOWN: tuple[tuple[type[PanicError], int, str], ...] = (
    (NotThere, 404, "look at the list; it may have been deleted, or you may not see it"),
    (BadValue, 422, "correct the field and send it again"),
    (BadPassword, 422, "choose another"),
    (NoSuchMedium, 404, "it may have been deleted"),
    (BadPrompt, 422, "write a prompt of 1 to 2,000 characters"),
    (NotRunnable, 422, "edit the models of the network until it has no problems"),
    (StillRunning, 409, "stop it, then delete it"),
    (StillFollowed, 409, "move or delete these installations, then delete it"),
)


def problem_of(error: Exception) -> Problem:
    """What the caller is told of an error; of a defect nothing but that it happened."""
    if isinstance(error, Problem):
        return error
    for kind, status, remedy in _KNOWN:
        if isinstance(error, kind):
            more: dict[str, Any] = {"problems": list(error.problems)} if isinstance(error, NotRunnable) else {}
            return Problem(status, str(error), remedy, None, **more)
    if isinstance(error, RequestValidationError):
        problems = [f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()]
        return Problem(422, "the request is not as it should be", "see /api/openapi.json", problems=problems)
    if isinstance(error, HTTPException):
        return Problem(error.status_code, str(error.detail), _remedy(error.status_code), dict(error.headers or {}))
    if isinstance(error, LiveStoreError | ArchiveError):
        what = "archive" if isinstance(error, ArchiveError) else "database"
        return Problem(503, f"the {what} does not answer as it should", "try again; if it stays, ask the operator")
    return Problem(500, "something went wrong in here, and was written to the log", "try again; if it stays, report it")


def install(app: FastAPI) -> None:
    """Let ``app`` answer every error so. To be called before other layers are added around it."""

    async def answer(request: Request, error: Exception) -> Response:
        return answer_to(request, error)

    for kind in (PanicError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    app.add_middleware(Defects)


def answer_to(request: Request, error: Exception) -> Response:
    """What the caller gets: a page, or problem+json from the API."""
    problem = problem_of(error)
    if problem.status >= 500:
        _log.error("%s %s", request.method, request.url.path, exc_info=error)
    page = getattr(request.app.state, "error_page", None)
    if page is None or request.url.path.startswith(("/api/", "/media/")):
        return problem.response()
    shown: Response = page(request, problem)
    shown.headers.update(problem.headers)
    return shown


class Defects:
    """Answers what nothing else did, and logs it once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or has_begun:
                raise
            await answer_to(Request(scope, receive), error)(scope, receive, send)


def _remedy(status: int) -> str:
    return {
        404: "see that the address is right; /api/openapi.json lists all",
        405: "see /api/openapi.json for what this address takes",
        413: "send less",
    }.get(status, "see /api/openapi.json")
