"""Models that bring their own code: asked of the allow-list, then run in a process of their own.

Here belongs how such a model is found, permitted and started, and how its answers become outputs. Nothing of it is
imported in this process.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from panic_assets.models import permissions
from panic_assets.models.adapters import weights
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.base import Device, Output
from panic_assets.models.entry import HubSource, Medium, ModelEntry
from panic_assets.models.errors import ModelCallError
from panic_assets.models.parameters import PluginLoad, PluginParameters
from panic_assets.models.permissions import Code
from panic_assets.models.plugins import PluginDied, PluginError, PluginProcess, Stage
from panic_assets.models.recipes import as_message

_COMMIT = re.compile(r"[0-9a-f]{40}")


class Plugin(LoadedModel):
    """A model in another process. If that dies, the call fails and the next one starts it again."""

    def __init__(self, entry: ModelEntry, runner: _Runner) -> None:
        super().__init__(entry)
        self._runner = runner
        self._prepare()

    def _prepare(self) -> None:
        self._parameters = PluginParameters.model_validate(self.entry.parameters)

    @property
    def pid(self) -> int:
        """Of the process, which is started if it does not run."""
        return self._runner.process().process.pid

    def close(self) -> None:
        """End the process; the next call would start another."""
        self._runner.close()

    def truncated(self, items: Sequence[str]) -> list[bool]:
        """For each text whether the model reads only its beginning; a model's own method does not tell: all False."""
        if not items:
            return []
        with self._lock:
            answer, _ = self._ask("truncated", items=self._texts(items))
        return [bool(cut) for cut in answer["cut"]]

    def _invoke(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[Output]:
        medium = self.entry.input
        items, buffers = self._packed(inputs, str(medium))
        answer, _ = self._ask("write", buffers, medium=medium, items=items, seeds=list(seeds))
        texts = answer.get("texts")
        if not isinstance(texts, list) or len(texts) != len(inputs):
            raise ModelCallError(f"{self.entry.name}: its process gave no text for each of {len(inputs)} inputs")
        return [Output(str(text)) for text in texts]

    def _embed(self, items: Sequence[Any], modality: Medium) -> np.ndarray:
        packed, buffers = self._packed(items, modality)
        answer, received = self._ask("embed", buffers, medium=modality, items=packed, batch=self.batch)
        try:
            return np.frombuffer(received[0], "<f4").astype(np.float32).reshape([int(n) for n in answer["shape"]])
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise ModelCallError(f"{self.entry.name}: its process gave no vectors ({error})") from error

    def _packed(self, items: Sequence[Any], medium: str) -> tuple[list[Any], list[bytes]]:
        """Texts as they are put to the model; of pictures the heights and widths, and their bytes."""
        if medium == "text":
            return self._texts(items), []
        return [list(item.shape[:2]) for item in items], [np.ascontiguousarray(item).tobytes() for item in items]

    def _texts(self, items: Sequence[Any]) -> list[str]:
        return [self._parameters.prefix + str(item) for item in items]

    def _ask(self, what: str, buffers: Sequence[bytes] = (), **values: Any) -> tuple[dict[str, Any], list[bytes]]:
        arguments = {"arguments": self._parameters.arguments, "limit": self.entry.max_text_tokens}
        try:
            return self._runner.process().ask(what, buffers, **arguments, **values)
        except PluginDied as error:
            raise PluginDied(f"{self.entry.name}: {error}. The next call starts another") from error


class _Runner:
    """The process of some weights, which all entries that share them use."""

    def __init__(self, entry: ModelEntry, found: _Found, device: str, dtype: str) -> None:
        self._entry, self._found, self._device, self._dtype = entry, found, device, dtype
        self._starting = threading.Lock()
        self._process: PluginProcess | None = None

    def process(self) -> PluginProcess:
        """The running process with the model loaded.

        Raises:
            ModelLoadError: it is no longer permitted, or can't be started or loaded.
        """
        with self._starting:
            if self._process is None or self._process.is_lost:
                self._process = self._started()
            return self._process

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.close()

    def _started(self) -> PluginProcess:
        python = permissions.require(self._entry, self._found.codes)[0].python
        try:
            process = PluginProcess(python, Stage(self._found.repositories))
        except OSError as error:
            what = f"the interpreter {python} can't be started ({error})"
            raise weights.problem(self._entry, what, f"Correct python in {permissions.list_file()}.") from error
        try:
            process.ask(
                "load",
                folder=str(self._found.folder),
                recipe=as_message(self._entry.parameters["recipe"]),
                media=sorted(self._entry.takes),
                device=self._device,
                dtype=self._dtype,
            )
        except (PluginError, PluginDied) as error:
            process.close()
            remedy = (
                "If it was written for other versions of transformers, name an interpreter that has those as python in "
                f"{permissions.list_file()}; if a repository is missing, name it and its commit in load.code."
            )
            raise weights.problem(self._entry, f"its code failed: {error}", remedy) from error
        return process


class _Found:
    """Files and code of an entry: where they lie, and as what they are permitted."""

    def __init__(self, entry: ModelEntry) -> None:
        options = PluginLoad.model_validate(entry.load)
        code: list[Code] = list(options.code.items())
        if isinstance(entry.source, HubSource):
            own = _pinned(entry, entry.source)
            permissions.require(entry, [own, *code])  # before anything is fetched
            self.folder = weights.locate(entry)
        else:
            self.folder = weights.locate(entry)
            own = permissions.folder_code(self.folder)
            permissions.require(entry, [own, *code])
        self.codes = [own, *code]
        _require_named(entry, self.folder, set(options.code))
        self.repositories = [(repo, commit, _code_folder(entry, repo, commit)) for repo, commit in code]
        if isinstance(entry.source, HubSource):
            self.repositories.append((*own, self.folder))


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """Ask the allow-list, start a process and load the model there.

    Raises:
        ModelLoadError: it is not permitted, which the text says how to change; or as for every adapter.
        RegistryError: the allow-list is not valid.
    """
    place = weights.choose_device(device)
    dtype = str(weights.choose_dtype(entry, place)).removeprefix("torch.")
    runner = _Runner(entry, _Found(entry), str(place), dtype)
    runner.process()
    return Plugin(entry, runner)


def _pinned(entry: ModelEntry, source: HubSource) -> Code:
    if not _COMMIT.fullmatch(str(entry.revision)):
        what = f"it brings code of its own, and revision {entry.revision} can be another code tomorrow"
        remedy = (
            f"Set revision to a commit of https://huggingface.co/{source.repo}/commits/main, 40 hexadecimal digits."
        )
        raise weights.problem(entry, what, remedy)
    return source.repo, str(entry.revision)


def _require_named(entry: ModelEntry, folder: Path, named: set[str]) -> None:
    """Raise if the files name code of repositories that ``load.code`` does not."""
    wanted: set[str] = set()
    for file in folder.rglob("*.json"):
        # A file that is no JSON names nothing, and what it names all the same can't be found by the process.
        with contextlib.suppress(ValueError):
            wanted |= _repositories(json.loads(file.read_text(encoding="utf-8")))
    if missing := sorted(wanted - named):
        lines = ", ".join(f"{repo}: <commit>" for repo in missing)
        what = f"its code lies in {', '.join(missing)}, which load.code does not name"
        raise weights.problem(entry, what, f"Set load: {{code: {{{lines}}}}}, and allow those commits too.")


def _repositories(content: Any) -> set[str]:
    """Repositories that references under ``auto_map`` name, anywhere in a file: ``repo--module.Class``."""
    if isinstance(content, list):
        return set().union(*map(_repositories, content))
    if not isinstance(content, dict):
        return set()
    references = content.get("auto_map") or {}
    flat = references.values() if isinstance(references, dict) else references
    texts = [text for value in flat for text in (value if isinstance(value, list) else [value])]
    found = {text.partition("--")[0] for text in texts if isinstance(text, str) and "--" in text}
    return found.union(*(_repositories(value) for value in content.values()))


def _code_folder(entry: ModelEntry, repo: str, commit: str) -> Path:
    """The files of a repository of code alone, fetched if need be."""
    other = entry.model_copy(update={"source": HubSource(repo=repo), "revision": commit})
    return weights.locate(other)
