"""The use that docstrings show is what happens."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

_SHOWING = (
    "banded",
    "bitstream.fields",
    "components",
    "core.arena",
    "core.context",
    "core.pipe",
    "core.system",
    "core.world",
    "errors",
    "packing",
    "plots",
    "quantising",
    "report",
    "systems.ans",
    "systems.blur",
    "systems.hadamard",
    "systems.klt",
    "systems.metrics",
    "systems.residual",
    "systems.wavelet",
)


@pytest.mark.parametrize("name", _SHOWING)
def test_docstrings_show_what_happens(name: str) -> None:
    result = doctest.testmod(import_module(f"panic_assets.codec.{name}"), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
