"""What tests ask of the pages in docs: code that runs, tests that exist.

Here belongs the reading of pages. What a page must say is the business of the tests of its room.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def page(name: str) -> str:
    """The text of a page in docs."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[tuple[int, str]]:
    """Line number and content of the fenced blocks of a language, in order."""
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, match.start(1)) + 1, match[1]) for match in found]


def run_sessions(text: str, name: str, known: dict[str, Any] | None = None) -> doctest.TestResults:
    """Run all blocks of ``pycon`` one after another, as one session: what they show must be what happens."""
    parser = doctest.DocTestParser()
    examples = []
    for line, content in blocks(text, "pycon"):
        for example in parser.get_examples(content, name):
            example.lineno += line - 1
            examples.append(example)
    # Without the text, failures are shown with their line and their own source.
    session = doctest.DocTest(examples, known or {}, name, name, 0, None)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    return runner.run(session)


def named_tests(text: str) -> set[str]:
    """The tests that a page names, as `test_of_this` or `test_of_that`."""
    return set(re.findall(r"`(test_[a-z0-9_]+)`", text))


@cache
def tests_there() -> frozenset[str]:
    """The names of all tests of the project."""
    return frozenset(
        name
        for path in (ROOT / "panic_assets_tests").rglob("test_*.py")
        for name in re.findall(r"def (test_[a-z0-9_]+)", path.read_text(encoding="utf-8"))
    )


def assert_tests_exist(text: str, least: int, other_words: Collection[str] = ()) -> None:
    """Every test that a page names exists, and there are at least so many; ``other_words`` only look like tests."""
    named = named_tests(text) - set(other_words)
    assert len(named) >= least
    assert not named - tests_there()
