"""The models that live networks can be made of, read from data: hosted ones, dummies, and those of the registry.

Here belong reading and checking; what an entry's ``settings`` may hold is laid down beside the platforms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from panic_assets.errors import PanicError
from panic_assets.live.platforms.base import LiveModel
from panic_assets.live.platforms.settings import SETTINGS
from panic_assets.models.entry import ModelEntry
from panic_assets.models.registry import load_registry

SHIPPED = Path(__file__).with_name("models.yaml")
#: For the first call of a large model, which has to be loaded, perhaps after others that wait.
LOCAL_SECONDS = 900.0
_FIELDS = tuple(field.name for field in fields(LiveModel))
_SHAPE = TypeAdapter(LiveModel)
_ID = re.compile(r"[\w.-]{1,100}", re.ASCII)


class CatalogError(PanicError):
    """A file of live models that is not valid; ``problems`` holds one sentence for each."""

    def __init__(self, where: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"{where}: " + "".join(f"\n  - {problem}" for problem in problems))


def load_catalog(registry: Mapping[str, ModelEntry] | None = None, extra: Path | None = None) -> dict[str, LiveModel]:
    """All live models by id: those of ``models.yaml``, the generators of the registry, then those of ``extra``.

    A model of ``extra`` whose id is there already takes its place, as for another price or time limit. ``registry`` is
    that of this installation if none is given.

    Raises:
        CatalogError: a file can't be read, or an entry in it is wrong.
        RegistryError: the same of the registry.
    """
    catalog = {model.id: model for model in _read(SHIPPED)}
    for name, entry in (load_registry() if registry is None else registry).items():
        if entry.kind == "generator":
            catalog[name] = local_model(entry)
    if extra is not None:
        catalog |= {model.id: model for model in _read(Path(extra))}
    return catalog


def local_model(entry: ModelEntry) -> LiveModel:
    """A generator of the registry as a live model. It costs nobody anything but electricity."""
    assert entry.input is not None  # as all generators have
    assert entry.output is not None
    return LiveModel(
        id=entry.name,
        name=entry.name,
        platform="local",
        path=entry.name,
        takes=entry.input,
        gives=entry.output,
        description=entry.notes,
        cost_per_call=0.0 if entry.source.kind != "server" else None,
        timeout_seconds=LOCAL_SECONDS,
    )


def _read(file: Path) -> list[LiveModel]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogError(str(file), [f"can't be read: {error}"]) from error
    if not isinstance(content, dict) or set(content) != {"models"} or not isinstance(content["models"], list):
        raise CatalogError(str(file), ["must hold one field, models: a list of entries"])
    models: list[LiveModel] = []
    problems: list[str] = []
    for number, values in enumerate(content["models"]):
        if not isinstance(values, dict):
            problems.append(f"models[{number}]: {values!r} is not a mapping of fields")
            continue
        name = str(values.get("id", f"models[{number}]"))
        found = _problems(values)
        if any(model.id == name for model in models):
            found.append("is there twice; rename or remove one")
        problems += [f"{name}: {problem}" for problem in found]
        if not found:
            models.append(_SHAPE.validate_python(values))
    if problems:
        raise CatalogError(str(file), problems)
    return models


def _problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with one entry."""
    problems = []
    for field in values:
        if field not in _FIELDS:
            near = get_close_matches(str(field), _FIELDS, n=1)
            problems.append(f"{field}: is no field; {f'did you mean {near[0]}?' if near else ', '.join(_FIELDS)}")
    try:
        model = _SHAPE.validate_python({name: value for name, value in values.items() if name in _FIELDS})
    except ValidationError as error:
        return problems + _sentences(error)
    if not _ID.fullmatch(model.id):
        problems.append(f"id: {model.id!r} is not 1 to 100 letters, digits, full stops, - and _")
    if model.timeout_seconds <= 0:
        problems.append(f"timeout_seconds: {model.timeout_seconds:g} is not positive")
    if model.cost_per_call is not None and model.cost_per_call < 0:
        problems.append(f"cost_per_call: {model.cost_per_call:g} is negative")
    if model.platform not in SETTINGS:
        return [*problems, f"platform: there is no {model.platform!r}; there are {', '.join(SETTINGS)}"]
    try:
        SETTINGS[model.platform].model_validate(dict(model.settings))
    except ValidationError as error:
        problems += _sentences(error, "settings.")
    return problems


def _sentences(error: ValidationError, before: str = "") -> list[str]:
    return [
        f"{before}{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    ]
