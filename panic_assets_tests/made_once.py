"""Folders that the workers of pytest-xdist share: whoever comes first makes one, the others wait for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from panic_assets.lake.locks import locked

_LONGEST_SECONDS = 600.0


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` filled, once in this session of tests whatever the number of workers.

    Nobody changes what is in it: tests that change something copy it first.

    Raises:
        PartitionLocked: another worker has been making it for ten minutes.
    """
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    folder, whole = place / f"made-{name}", place / f"made-{name}.whole"
    with locked(place / f"made-{name}.lock", _LONGEST_SECONDS):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # one that another began and failed to make
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
