"""The root of all errors this package raises on purpose.

Each room derives its own from it, so that a caller can tell a described problem from a defect.
"""

from __future__ import annotations

from collections.abc import Sequence


class PanicError(Exception):
    """A problem described for the person who meets it: what, where, and what would be right."""


class FileProblems(PanicError):
    """A file that can't be run as written; ``problems`` holds one sentence for each thing to mend."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{where}: {count}{lines}")
