"""Trying a model before an experiment is built on it, and fetching its files.

Here belongs one batch on plain inputs, with its time and memory, and the download without a load. Printing is the
reports' business; whether a model is any good nobody can tell from one batch.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from panic_assets.errors import PanicError
from panic_assets.lake import images
from panic_assets.models.adapters import fetch_model, load_model
from panic_assets.models.base import Device, Output
from panic_assets.models.entry import HubSource, ModelEntry
from panic_assets.models.errors import ModelCallError
from panic_assets.paths import cache_dir

EXAMPLE_TEXT = "a red circle above a blue square"
_SIDE = 256
_GIB = 2**30


@dataclass(frozen=True)
class Trial:
    """One batch of one medium through a model.

    ``seconds`` is the time of the whole batch of ``items``. ``output`` is the first text or picture that came out, or
    the first vector as float32 array (dimension,); ``flags`` are those of all items; ``picture`` is where a picture
    was written.
    """

    medium: str
    items: int
    seconds: float
    output: str | np.ndarray
    flags: frozenset[str]
    picture: Path | None

    @property
    def seconds_per_item(self) -> float:
        """Time of the batch, shared out."""
        return self.seconds / self.items


@dataclass(frozen=True)
class Check:
    """What a model did when it was tried.

    ``load_seconds`` include the import of its library. ``host_gib`` is by how much the most memory that this process
    ever held grew; ``cuda_gib`` is the most that torch held on CUDA devices at once, None if there is none.
    """

    entry: ModelEntry
    load_seconds: float
    trials: tuple[Trial, ...]
    host_gib: float
    cuda_gib: float | None


@dataclass(frozen=True)
class Files:
    """Where a model's files lie, and their bytes; ``folder`` is None for a model without files."""

    entry: ModelEntry
    folder: Path | None
    size: int

    @property
    def from_hub(self) -> bool:
        """Whether they had to be fetched; others come with the package, a folder or another package."""
        return isinstance(self.entry.source, HubSource)


def check_model(entry: ModelEntry, device: Device = "auto") -> Check:
    """Load a model and run one batch of equal inputs, with seeds 0, 1, ..., for each medium it takes.

    A batch has ``entry.batch`` inputs, one if the entry leaves that to be probed. A picture that comes out
    is written to ``cache/checks`` of the data directory.

    Raises:
        ModelLoadError: it can't be loaded.
        ModelCallError: it was loaded, but the call failed.
    """
    held_before = _most_memory()
    started = time.perf_counter()
    model: Any = load_model(entry, device)
    load_seconds = time.perf_counter() - started
    trials = tuple(_tried(model, entry, medium) for medium in sorted(entry.takes, reverse=True))
    return Check(entry, load_seconds, trials, (_most_memory() - held_before) / _GIB, _cuda_gib())


def download(entry: ModelEntry) -> Files:
    """Fetch a hub model's files at the entry's revision, without loading them; find those of another source.

    Raises:
        ModelLoadError: they can't be had, and why.
    """
    if entry.source.kind in ("builtin", "server"):
        return Files(entry, None, 0)
    folder = fetch_model(entry)
    return Files(entry, folder, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def example_picture() -> np.ndarray:
    """What ``EXAMPLE_TEXT`` says, on white, as uint8 array (256, 256, 3)."""
    picture = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    picture[(rows - 72) ** 2 + (columns - 128) ** 2 < 48**2] = (220, 30, 30)
    picture[144:232, 84:172] = (30, 60, 220)
    return picture


def _tried(model: Any, entry: ModelEntry, medium: str) -> Trial:
    item: Any = EXAMPLE_TEXT if medium == "text" else example_picture()
    items = [item] * (entry.batch or 1)
    flags: frozenset[str] = frozenset()
    started = time.perf_counter()
    try:
        if entry.kind == "generator":
            outputs: Sequence[Output] = model.invoke(items, list(range(len(items))))
            value, flags = outputs[0].value, flags.union(*(output.flags for output in outputs))
        else:
            value = model.embed(items, medium)[0]
        seconds = time.perf_counter() - started
        if entry.kind == "embedder" and medium == "text" and any(model.truncated(items)):
            flags = frozenset({"truncated_input"})
    except PanicError:
        raise
    except Exception as error:
        what = f"{entry.name} was loaded from {entry.source}, but its call failed: {type(error).__name__}: {error}"
        remedy = f"Parameters are {entry.parameters}; if memory ran out, lower batch, which is {len(items)}."
        raise ModelCallError(f"{what}. {remedy}") from error
    picture = _written(entry, value) if entry.gives == "image" else None
    return Trial(medium, len(items), seconds, value, flags, picture)


def _written(entry: ModelEntry, picture: Any) -> Path:
    path = cache_dir() / "checks" / f"{entry.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode(picture, "png"))
    return path


def _most_memory() -> int:
    """Bytes; the most that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _cuda_gib() -> float | None:
    torch = sys.modules.get("torch")  # a dummy has no need of it
    if torch is None or not torch.cuda.is_available():
        return None
    return float(sum(torch.cuda.max_memory_allocated(number) for number in range(torch.cuda.device_count())) / _GIB)
