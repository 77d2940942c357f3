"""All analyses, in the order in which they are made. A new one is a line here and a page in docs/analyses."""

from __future__ import annotations

from panic_assets.dynamics.stage import Analysis

ANALYSES: tuple[Analysis, ...] = ()


def analysis(name: str) -> Analysis:
    """The analysis called ``name``.

    Raises:
        KeyError: there is none.
    """
    return {one.name: one for one in ANALYSES}[name]
