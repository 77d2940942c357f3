"""The experiment file of an import: so that embedding models of ours can be added, and the partition run.

Here belongs writing it; what it says is in ``mapping``.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from panic_assets.experiment import Experiment
from panic_assets.files import ExperimentFiles
from panic_assets.lake.durable import replace_file

_ALWAYS = ("name", "description", "imported_from", "networks", "prompts", "seeds", "max_length", "embedding_models")


def write_file(files: ExperimentFiles, experiment: Experiment) -> None:
    """Write the file, or bring the one that is there up to date; one that says the same is left as it is.

    A file of that name that can't be read is left alone, too: somebody is at work on it.
    """
    known, broken = files.read()
    held = known.get(experiment.name)
    if (held and held[1] == experiment) or any(path.stem == experiment.name for path in broken):
        return
    path = held[0] if held else files.folder / f"{experiment.name}.yaml"
    values = _values(experiment)
    is_json = path.suffix == ".json"
    text = json.dumps(values, indent=2, ensure_ascii=False) if is_json else _as_yaml(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode())


def _values(experiment: Experiment) -> dict[str, Any]:
    """What a person would write: no field that says what it says anyway."""
    config = experiment.config
    config["prompts"] = [prompt if prompt["tags"] else prompt["text"] for prompt in config["prompts"]]
    fields = Experiment.model_fields
    others = {name: value for name, value in config.items() if name not in _ALWAYS and value != fields[name].default}
    return {name: config[name] for name in _ALWAYS} | others


def _as_yaml(values: dict[str, Any]) -> str:
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120))
