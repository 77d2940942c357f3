from __future__ import annotations

import pytest

from panic_assets.errors import PanicError
from panic_assets.live.platforms.faults import is_moderation, kind_of_failure, kind_of_status
from panic_assets.live.platforms.http import base_address


@pytest.mark.parametrize(
    "words",
    [
        "NSFW content detected",
        "NSFW",
        "Error: possible nsfw output",
        "The input or output was flagged as sensitive. Please try again (E005)",
        "was Flagged As Sensitive",
        "Inappropriate Content was found",
        "explicit content",
        "this shows adult content",
        "Sensitive input (E003)",
    ],
)
def test_words_of_moderation(words: str) -> None:
    assert is_moderation(words)
    assert kind_of_failure(words) == "moderation"
    assert kind_of_status(400, words) == kind_of_status(500, words) == "moderation"
    assert kind_of_status(401, words) == "auth"


@pytest.mark.parametrize(
    "words",
    ["", "CUDA out of memory", "case sensitive", "sensitive (e005)", "(E005)", "content is missing", None, 7, []],
)
def test_other_words(words: object) -> None:
    assert not is_moderation(words)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[(status, "auth") for status in (401, 403)],
        *[(status, "quota") for status in (402, 429)],
        *[(status, "transient") for status in (408, 425, 500, 502, 503, 504, 529)],
        *[(status, "invalid") for status in (301, 304, 400, 404, 405, 410, 413, 422)],
    ],
)
def test_statuses(status: int, kind: str) -> None:
    assert kind_of_status(status) == kind


def test_where_an_api_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PANIC_X_URL", raising=False)
    assert base_address(None, "PANIC_X_URL", "https://usual.test/v1") == "https://usual.test/v1"
    monkeypatch.setenv("PANIC_X_URL", "http://own.test:8000/v1/")
    assert base_address(None, "PANIC_X_URL", "https://usual.test/v1") == "http://own.test:8000/v1"
    assert base_address("http://given.test", "PANIC_X_URL", "https://usual.test/v1") == "http://given.test"
    for bad in ("own.test", "ftp://own.test", "http://me:secret@own.test", "http://own.test?key=secret", "http://a b"):
        monkeypatch.setenv("PANIC_X_URL", bad)
        with pytest.raises(PanicError, match="PANIC_X_URL") as caught:
            base_address(None, "PANIC_X_URL", "https://usual.test/v1")
        assert "secret" not in str(caught.value)
