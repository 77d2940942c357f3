"""How routes of the API are made: guarded, and with every error that they may answer written into OpenAPI.

Here belongs what all of them share.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query

from panic_assets.web.errors import MEDIA_TYPE, ProblemBody
from panic_assets.web.security.policy import GuardedRouter

_MEANINGS = {
    400: "The request can't be read",
    401: "Nobody is signed in, or what was shown does not hold",
    403: "The caller may not do this",
    404: "There is no such thing, or the caller may not see it",
    405: "This address does not take that method",
    409: "It can't be done now",
    413: "The request is too large",
    415: "What was sent is of a kind that is not taken",
    422: "What was sent is not as it should be",
    429: "Too many requests from this address",
    500: "A defect",
    503: "The database does not answer",
}
#: An answer of any route that nothing else is known of.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": meaning,
        "model": ProblemBody,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
    for status, meaning in _MEANINGS.items()
}
Id = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9_-]{22}$", description="22 random characters", examples=["kPq3v0JtXw2mB7cYd9LrUA"]),
]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,100}$", description="the name of a watcher", examples=["left"])]
Limit = Annotated[int, Query(ge=1, le=200, description="at most so many")]


def router(tag: str) -> GuardedRouter:
    """A router of the API."""
    return GuardedRouter(tags=[tag], responses=PROBLEMS)
