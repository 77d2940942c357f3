"""Faults on purpose, for tests and drills: what a dummy does instead of its work when ``$PANIC_FAULTS`` says so.

The variable names a JSON file of faults by the name of a model. It is an environment variable and no parameter,
because parameters are part of what a model is: runs with and without faults must be the same runs, so that their
tables can be compared. Processes of devices inherit it. Without the variable nothing here does anything. An example:

    {"DummyI2T": {"kind": "die", "times": 1}, "DummyT2I": [{"kind": "out_of_memory", "at_batch": 8}]}

How often a fault has struck is counted in a file beside, so that the count outlives the processes that it ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from panic_assets.models.entry import ModelEntry
from panic_assets.models.errors import ModelCallError, ModelError, ModelLoadError

VARIABLE = "PANIC_FAULTS"
HANG_SECONDS = 3600.0

Kind = Literal[
    "out_of_memory", "transient", "poisoned", "hang", "die", "segfault", "non_finite", "load_error", "load_hang"
]
"""``non_finite`` spoils outputs: black pictures with that flag, vectors of NaN. ``load_error`` and ``load_hang`` strike
when a model is loaded, ``die`` and ``segfault`` end the process, the others raise what libraries raise."""

_AT_LOAD = ("load_error", "load_hang")


class OutOfMemoryError(RuntimeError):
    """As the one of torch, by its name and text."""


class Fault(BaseModel):
    """One fault of one model."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Kind
    on: str | None = Field(
        None, min_length=1, description="in a text input, or in the hexadecimal digest of a picture; none for all"
    )
    times: int | None = Field(None, gt=0, description="strikes so often in all processes together; none for always")
    at_batch: int = Field(1, gt=0, description="strikes only in a call of at least so many items")
    tally: str | None = Field(None, description="file to count in, a byte for each time; none: beside the faults' file")


_FILE = TypeAdapter(dict[str, Fault | list[Fault]])


def strike_at_load(entry: ModelEntry) -> None:
    """Do what is asked for the loading of this model.

    Raises:
        ModelLoadError: asked for.
        ModelError: the file of faults can't be used.
    """
    for fault, tally in _faults(entry.name):
        if fault.kind in _AT_LOAD and _is_due(fault, tally):
            if fault.kind == "load_hang":
                time.sleep(HANG_SECONDS)
            raise ModelLoadError(entry.name, str(entry.source), "a fault was asked for", f"Unset {VARIABLE}.")


def strike_at_call(entry: ModelEntry, keys: Iterable[str]) -> frozenset[int]:
    """Do what is asked for a call of this model; the places of the items whose outputs are to be spoiled.

    Args:
        entry: the model.
        keys: for each item what ``on`` is searched in; not looked at where the model has no faults.

    Raises:
        Exception: asked for.
        ModelError: the file of faults can't be used.
    """
    spoiled: frozenset[int] = frozenset()
    searched: list[str] | None = None
    for fault, tally in _faults(entry.name):
        searched = list(keys) if searched is None else searched
        struck = frozenset(place for place, key in enumerate(searched) if fault.on is None or fault.on in key)
        if fault.kind in _AT_LOAD or not struck or len(searched) < fault.at_batch or not _is_due(fault, tally):
            continue
        if fault.kind == "non_finite":
            spoiled |= struck
        else:
            _strike(fault.kind, entry, len(searched))
    if spoiled and entry.output == "text":
        raise ModelCallError(f"{entry.name}: the fault non_finite is for pictures and vectors; choose another kind")
    return spoiled


def _strike(kind: Kind, entry: ModelEntry, size: int) -> None:
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "segfault":
        ctypes.string_at(0)
    elif kind == "hang":
        time.sleep(HANG_SECONDS)
    if kind == "out_of_memory":
        raise OutOfMemoryError(f"CUDA out of memory (asked for): {size} items of {entry.name}")
    if kind == "poisoned":
        raise RuntimeError(f"CUDA error: device-side assert triggered (asked for): {entry.name}")
    raise RuntimeError(f"a transient error (asked for): {entry.name}")


def _faults(model: str) -> list[tuple[Fault, Path]]:
    """The faults of a model, each with the file that counts it."""
    name = os.environ.get(VARIABLE)
    if not name:
        return []
    path = Path(name)
    try:
        found = _FILE.validate_python(json.loads(path.read_text(encoding="utf-8"))).get(model, [])
    except (OSError, ValueError, ValidationError) as error:
        raise ModelError(f"{VARIABLE}: {path} is no file of faults; mend it or unset the variable: {error}") from error
    faults = found if isinstance(found, list) else [found]
    return [
        (fault, Path(fault.tally) if fault.tally else path.with_name(f"{path.name}.{model}.{number}.tally"))
        for number, fault in enumerate(faults)
    ]


def _is_due(fault: Fault, tally: Path) -> bool:
    """Count, and tell whether this time is one of those that are asked for.

    A write to a file opened for appending is one step, also among processes, and leaves the offset behind what was
    written: so each time gets a number of its own.
    """
    descriptor = os.open(tally, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, b".")
        number = os.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        os.close(descriptor)
    return fault.times is None or number <= fault.times
