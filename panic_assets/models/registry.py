"""The models that exist, read from data files.

Here belong finding and merging registry files and looking a name up. The shipped models are in ``registry.yaml``
beside this module; ``$PANIC_DATA/models.yaml`` adds a person's own. Adding a model of a supported library is an entry
there, no code. Loading weights is the adapters' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from panic_assets.experiment import unknown_model
from panic_assets.models.entry import ModelEntry, parse_entry
from panic_assets.models.errors import RegistryError, UnknownModel
from panic_assets.paths import data_dir

__all__ = ["ModelEntry", "Registry", "load_registry"]

SHIPPED = Path(__file__).with_name("registry.yaml")
_PARSED: dict[tuple[Path, int, int], list[ModelEntry]] = {}


class Registry(Mapping[str, ModelEntry]):
    """Entries by name, in the order of the files."""

    def __init__(self, entries: Iterable[ModelEntry]) -> None:
        self._entries = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> ModelEntry:
        """The entry of that name.

        Raises:
            UnknownModel: with the nearest names.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownModel(unknown_model(name, self._entries)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def with_overrides(self, overrides: Mapping[str, Mapping[str, Any]]) -> Registry:
        """A registry in which the named entries have other values, as an experiment's ``models`` asks.

        Raises:
            UnknownModel: a name that no entry has.
            RegistryError: a field or value that is not valid.
        """
        changed = {name: self[name].with_overrides(values) for name, values in overrides.items()}
        return Registry({**self._entries, **changed}.values())


def load_registry(extra: Path | None = None) -> Registry:
    """The shipped models, then those of ``$PANIC_DATA/models.yaml`` if it is there, then those of ``extra``.

    Raises:
        RegistryError: a file can't be read, an entry is wrong, or a name is taken and the entry does not say
            ``replaces: true``.
    """
    own = data_dir() / "models.yaml"
    files = [SHIPPED, *([own] if own.exists() else []), *([Path(extra)] if extra is not None else [])]
    entries: dict[str, ModelEntry] = {}
    for file in files:
        for entry in _read(file):
            if entry.name in entries and not entry.replaces:
                raise RegistryError(
                    str(file), [f"{entry.name}: the name is taken; choose another, or say replaces: true"]
                )
            if entry.replaces and entry.name not in entries:
                raise RegistryError(str(file), [f"{entry.name}: replaces nothing; remove replaces"])
            entries[entry.name] = entry
    return Registry(entries.values())


def _read(file: Path) -> list[ModelEntry]:
    """The entries of one file; an unchanged file is parsed once in a process."""
    try:
        status = file.stat()
        key = (file.absolute(), status.st_mtime_ns, status.st_size)
        if key not in _PARSED:
            _PARSED[key] = _parse(file)
        return _PARSED[key]
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(str(file), [f"can't be read: {error}"]) from error


def _parse(file: Path) -> list[ModelEntry]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RegistryError(str(file), [f"is not YAML: {error}"]) from error
    if not isinstance(content, dict) or set(content) != {"models"} or not isinstance(content["models"], list):
        raise RegistryError(str(file), ["must hold one field, models: a list of entries"])
    entries: list[ModelEntry] = []
    problems: list[str] = []
    for number, values in enumerate(content["models"]):
        if not isinstance(values, dict):
            problems.append(f"models[{number}]: {values!r} is not a mapping of fields")
            continue
        name = values.get("name", f"models[{number}]")
        try:
            entry = parse_entry(_beside(values, file), str(name))
        except RegistryError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
            continue
        if any(entry.name == other.name for other in entries):
            problems.append(f"{entry.name}: is there twice; rename or remove one")
        if file == SHIPPED and not (entry.verified or entry.not_verified):
            problems.append(f"{entry.name}: not_verified: is needed where verified is empty; say why no test loads it")
        entries.append(entry)
    if problems:
        raise RegistryError(str(file), problems)
    return entries


def _beside(values: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Make a relative folder of a person's own file start at that file."""
    source = values.get("source")
    if file == SHIPPED or not isinstance(source, dict) or "path" not in source or source.get("kind") != "folder":
        return dict(values)
    return {**values, "source": {**source, "path": str(file.absolute().parent / Path(source["path"]).expanduser())}}
