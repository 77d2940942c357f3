"""The folder of experiment files: which experiments there are, and where a file goes that comes from elsewhere.

Here belongs finding files by the name of their experiment. What is in a file belongs to ``experiment``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from panic_assets.errors import PanicError
from panic_assets.experiment import Experiment, ExperimentError

SUFFIXES = (".yaml", ".yml", ".json")


class UnknownExperiment(PanicError):
    """No file holds an experiment of that name."""


class ExperimentFiles:
    """The experiment files of one folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self) -> list[Path]:
        """All experiment files, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if p.suffix in SUFFIXES and not p.name.startswith("."))

    def read(self) -> tuple[dict[str, tuple[Path, Experiment]], dict[Path, ExperimentError]]:
        """(experiments by name with their files, files that are no experiment with what is wrong).

        A name that two files claim counts for the first; the other is told what is wrong.
        """
        experiments: dict[str, tuple[Path, Experiment]] = {}
        broken: dict[Path, ExperimentError] = {}
        for path in self.paths():
            try:
                experiment = Experiment.load(path)
            except ExperimentError as error:
                broken[path] = error
                continue
            if experiment.name in experiments:
                other = experiments[experiment.name][0]
                broken[path] = ExperimentError(
                    str(path), [f"name: {experiment.name!r} is taken by {other}; rename one"]
                )
            else:
                experiments[experiment.name] = (path, experiment)
        return experiments, broken

    def experiment(self, name: str) -> Experiment:
        """The experiment of that name.

        Raises:
            ExperimentError: its file is wrong.
            UnknownExperiment: there is no such file.
        """
        experiments, broken = self.read()
        if name in experiments:
            return experiments[name][1]
        for path, error in broken.items():
            if path.stem == name:
                raise error
        known = ", ".join(sorted(experiments)) or "none"
        raise UnknownExperiment(
            f"no file in {self.folder} holds an experiment {name!r}; there are: {known}. "
            "Add one with `panic run FILE`, or correct the name."
        )

    def adopt(self, path: Path) -> Experiment:
        """Take a file into the folder under its experiment's name, unless it lies there already.

        Raises:
            ExperimentError: the file is wrong, or the folder holds another file of that name.
        """
        experiment = Experiment.load(path)
        experiments, _ = self.read()
        there = experiments.get(experiment.name)
        if there and there[1] == experiment:
            return experiment
        if there and there[0].stem != path.stem:
            raise ExperimentError(
                str(path),
                [
                    f"name: {experiment.name!r} is taken by {there[0]}; change that file and run it, "
                    "or give this experiment another name"
                ],
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        # The suffix says how a file is read, so it comes with the text.
        suffix = path.suffix if path.suffix in SUFFIXES else ".yaml"
        target = self.folder / f"{there[0].stem if there else experiment.name}{suffix}"
        if target.exists() and not (there and there[0] == target):
            raise ExperimentError(str(path), [f"name: {target} is there already and holds something else; rename one"])
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(path, aside)
        aside.replace(target)
        if there and there[0] != target:
            there[0].unlink()
        return experiment
