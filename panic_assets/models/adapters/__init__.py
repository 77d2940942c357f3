"""Adapters: one module for each library that models come from.

Here belongs the table of adapters and the one way to load a model. A module is imported when a model needs it, so that
nobody pays for torch who does not use it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.base import Device
from panic_assets.models.entry import ModelEntry
from panic_assets.models.errors import ModelLoadError

__all__ = ["ADAPTERS", "fetch_model", "load_model"]

ADAPTERS = {
    "diffusers": "panic_assets.models.adapters.pipelines",
    "captioner": "panic_assets.models.adapters.captioners",
    "chat": "panic_assets.models.adapters.chat",
    "sentence-transformers": "panic_assets.models.adapters.sentences",
    "encoder": "panic_assets.models.adapters.encoders",
    "open-clip": "panic_assets.models.adapters.openclip",
    "openai": "panic_assets.models.adapters.servers",
    "plugin": "panic_assets.models.adapters.plugin",
    "dummy": "panic_assets.models.adapters.dummies",
}
"""Modules by adapter key; each has ``load(entry, device)``, and ``fetch`` if it needs other files than all."""


def load_model(entry: ModelEntry, device: Device = "auto") -> LoadedModel:
    """Load a model: a ``Generator`` or an ``Embedder``, as ``entry.kind`` says.

    Args:
        entry: what to load.
        device: ``auto`` takes CUDA if there, else Apple's GPU, else the CPU; or a torch device such as ``cuda:1``.

    Raises:
        ModelLoadError: files or packages are missing, incomplete or of a refused format, or the entry's parameters do
            not fit the model that was found. The text says which and what to do.
    """
    loaded: LoadedModel = _module(entry).load(entry, device)
    return loaded


def fetch_model(entry: ModelEntry) -> Path:
    """The local folder with a model's files, which are fetched from the hub if they are not there; loads nothing.

    Raises:
        ModelLoadError: as :func:`load_model`, where the files can't be had.
    """
    module = _module(entry)
    from panic_assets.models.adapters import weights

    return weights.locate(entry, getattr(module, "fetch", None))


def _module(entry: ModelEntry) -> ModuleType:
    """The module of an entry's adapter.

    Raises:
        ModelLoadError: the library that it needs is not installed.
    """
    try:
        return import_module(ADAPTERS[entry.adapter])
    except ImportError as error:
        raise ModelLoadError(
            entry.name, str(entry.source), f"the library is not installed ({error})", "Install panic-assets[models]."
        ) from error
