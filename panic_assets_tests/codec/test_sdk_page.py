"""``docs/codec-sdk.md``: its code runs as shown, and what it says is shown by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from panic_assets.codec import errors
from panic_assets_tests.pages import assert_tests_exist, blocks, page, run_sessions

PAGE = page("codec-sdk.md")


def test_the_code_of_the_page_does_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_sessions(PAGE, "codec-sdk.md")
    assert result.attempted > 100
    assert result.failed == 0
    fenced = re.findall(r"^```(\w+)$", PAGE, re.MULTILINE)
    assert fenced == ["pycon"] * len(blocks(PAGE, "pycon"))  # nothing on the page is shown and not run


def test_every_test_that_the_page_names_is_there() -> None:
    assert_tests_exist(PAGE, least=70)


def test_every_known_defect_and_snippet_has_a_line() -> None:
    defects, snippets = PAGE.split("| snippet of the design")
    assert re.findall(r"^\| (\d+)\. ", defects, re.MULTILINE) == [str(number) for number in range(1, 14)]
    assert re.findall(r"^\| (\d+)\. ", snippets, re.MULTILINE) == [str(number) for number in range(1, 7)]


def test_the_table_of_errors_has_them_all() -> None:
    section = PAGE.split("## What goes wrong")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| .* \| `(\w+)`(?:, with both identities)? \| `(\w+)` \|$", section, re.MULTILINE))
    kinds = {kind.__name__: kind for kind in errors.CodecError.__subclasses__() if kind.__module__ == errors.__name__}
    assert told.keys() == kinds.keys()
    for name, built_in in told.items():
        assert built_in in [kind.__name__ for kind in kinds[name].__mro__]
