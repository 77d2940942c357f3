"""What an experiment asks for: from its file, or from what the lake remembers of it.

Here belongs finding the settings; what they mean is in ``experiment``.
"""

from __future__ import annotations

import json
from pathlib import Path

from panic_assets.experiment import Experiment, ExperimentError
from panic_assets.files import ExperimentFiles, UnknownExperiment
from panic_assets.lake import Lake

_NOT_OF_THE_FILE = "resolved_models"


def asked_of(lake: Lake, files: ExperimentFiles, name: str) -> tuple[Experiment, Path | None]:
    """The settings of an experiment, and its file if there is one.

    Raises:
        ExperimentError: its file is wrong.
        UnknownExperiment: neither a file nor the lake knows it.
    """
    sound, broken = files.read()
    if name in sound:
        path, experiment = sound[name]
        return experiment, path
    for path, error in broken.items():
        if path.stem == name:
            raise error
    held = remembered(lake, name)
    if held is None:
        raise UnknownExperiment(f"neither {files.folder} nor the lake at {lake.root} holds an experiment {name!r}")
    return held, None


def remembered(lake: Lake, name: str) -> Experiment | None:
    """The settings with which the lake's runs were planned last; None if it has none that can be read."""
    rows = lake.read("experiments", name, columns=["config"]).to_pylist()
    if not rows:
        return None
    try:
        config = json.loads(rows[0]["config"])
        return Experiment.parse({key: value for key, value in config.items() if key != _NOT_OF_THE_FILE})
    except (ValueError, AttributeError, ExperimentError):
        return None
