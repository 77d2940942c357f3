"""What several commands need: the Dagster instance of the data directory, taking in a file, running the job.

Here belongs what is shared between commands and prints nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from panic_assets import paths

if TYPE_CHECKING:
    import dagster as dg

    from panic_assets.experiment import Experiment

STATE_VARIABLE = "PANIC_DAGSTER_STATE"


def adopt(file: Path) -> Experiment:
    """Check a file against the registry, then take it into the data directory.

    Raises:
        ExperimentError: the file is wrong; all problems are named.
    """
    from panic_assets.experiment import Experiment
    from panic_assets.files import ExperimentFiles
    from panic_assets.models.registry import load_registry

    Experiment.load(file).check(load_registry(), where=str(file))
    return ExperimentFiles(paths.experiments_dir()).adopt(file)


def dagster_instance() -> dg.DagsterInstance:
    """The Dagster instance of this data directory."""
    import dagster as dg

    state = Path(os.environ.setdefault(STATE_VARIABLE, str(paths.data_dir() / ".dagster")))
    state.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("DAGSTER_HOME", str(paths.project_dir()))
    return dg.DagsterInstance.get()


def register(instance: dg.DagsterInstance, experiment: Experiment) -> None:
    """Make the experiment a partition; nothing happens if it is one."""
    from panic_assets.defs.partitions import EXPERIMENTS

    instance.add_dynamic_partitions(str(EXPERIMENTS.name), [experiment.name])


def execute(instance: dg.DagsterInstance, experiment: Experiment, progress: object) -> dict[str, int]:
    """Run the job in this process; how many items each asset computed.

    Raises:
        PanicError: a step failed or a check found something; the message is that of the cause.
    """
    from panic_assets.definitions import build_defs
    from panic_assets.defs.launch import execute
    from panic_assets.defs.progress import listening

    with listening(progress):  # type: ignore[arg-type]
        return execute(build_defs().resolve_job_def("experiment"), instance, experiment.name)
