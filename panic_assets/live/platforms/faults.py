"""What kind of error the words or the status of a platform mean.

Here belongs the decision alone, as data; where words come from is each platform's business.
"""

from __future__ import annotations

from panic_assets.live.records import ErrorKind

_UNWANTED = ("flagged as sensitive", "nsfw", "inappropriate content", "explicit content", "adult content")
_UNWANTED_CODES = frozenset({"content_policy_violation", "content_filter", "moderation_blocked"})
#: Words of a computation that failed for no fault of its input.
_PASSING = ("interrupted", "try again", "please retry", "temporar", "overloaded", "high demand", "timed out", "queue")
_BY_STATUS: dict[int, ErrorKind] = {
    401: "auth",
    402: "quota",
    403: "auth",
    408: "transient",
    425: "transient",
    429: "quota",
}


def is_moderation(words: object) -> bool:
    """Whether a platform's words say that it refused, or found, something unfit to be shown. Non-texts don't."""
    if not isinstance(words, str):
        return False
    lower = words.lower()
    return any(word in lower for word in _UNWANTED) or ("sensitive" in lower and "(E00" in words)


def kind_of_status(status: int, words: str = "", code: object = None) -> ErrorKind:
    """The kind of an answer that is an error."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if is_moderation(words) or code in _UNWANTED_CODES:
        return "moderation"
    return "transient" if status >= 500 else "invalid"


def kind_of_failure(words: str) -> ErrorKind:
    """The kind of a computation that began and failed: with another input it may go well, unless it says otherwise."""
    if is_moderation(words):
        return "moderation"
    return "transient" if any(word in words.lower() for word in _PASSING) else "invalid"
