"""What several commands need: taking in a file, running the job, JSON on stdout, a progress bar on stderr.

Here belongs what is shared between commands. What a command says in words is its own business.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from panic_assets import paths
from panic_assets.cli.names import complete_experiment, experiment_named
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    import dagster as dg

    from panic_assets.experiment import Experiment

STATE_VARIABLE = "PANIC_DAGSTER_STATE"
#: The option of every command that reads: one JSON document on stdout and nothing else.
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]
#: An experiment that must be there; `names.experiment_named` finds out which is meant.
Named = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT",
        help="Name of an experiment, or its beginning; `latest` is the one with the latest activity.",
        autocompletion=complete_experiment,
    ),
]
#: An experiment's file, or the name of one that was taken in before.
FileOrName = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="An experiment file, such as data/experiments/demo.yaml; or the name of an experiment, such as demo.",
        autocompletion=complete_experiment,
    ),
]


def file_of(text: str) -> Path:
    """The experiment file that is meant by a path, or by the name of an experiment.

    Raises:
        UnknownName: no experiment of that name.
        PanicError: the experiment is in the lake alone and has no file.
    """
    from panic_assets.files import SUFFIXES, ExperimentFiles

    path = Path(text)
    if path.suffix in SUFFIXES or path.is_file() or len(path.parts) > 1:
        return path
    name = experiment_named(text)
    sound, broken = ExperimentFiles(paths.experiments_dir()).read()
    if name in sound:
        return sound[name][0]
    for file in broken:
        if file.stem == name:
            return file
    raise PanicError(
        f"experiment {name} is in the lake, but has no file in {paths.experiments_dir()}; "
        f"`panic show {name} --json` has its settings under `settings`"
    )


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


def state_folder() -> Path:
    """Where Dagster keeps its state; it need not exist yet."""
    return Path(os.environ.get(STATE_VARIABLE) or paths.data_dir() / ".dagster")


def dagster_instance() -> dg.DagsterInstance:
    """The Dagster instance of this data directory."""
    import dagster as dg

    state = Path(os.environ.setdefault(STATE_VARIABLE, str(state_folder())))
    state.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("DAGSTER_HOME", str(paths.project_dir()))
    return dg.DagsterInstance.get()


def register(instance: dg.DagsterInstance, experiment: Experiment) -> None:
    """Make the experiment a partition; nothing happens if it is one."""
    from panic_assets.defs.partitions import EXPERIMENTS

    instance.add_dynamic_partitions(str(EXPERIMENTS.name), [experiment.name])


def execute(
    instance: dg.DagsterInstance,
    partition: str,
    progress: object,
    job: str = "experiment",
    tell: Callable[[str], None] = lambda words: None,
) -> dict[str, int]:
    """Run the job of an experiment or a study in this process; how many items each asset computed.

    ``tell`` hears of checks that failed and stopped nothing.

    Raises:
        PanicError: a step failed or a check found something; the message is that of the cause.
        KeyboardInterrupt: a person ended it.
    """
    from panic_assets.definitions import build_defs
    from panic_assets.defs.launch import JobInterrupted, execute
    from panic_assets.defs.progress import listening

    try:
        with listening(progress):  # type: ignore[arg-type]
            return execute(build_defs().resolve_job_def(job), instance, partition, tell)
    except JobInterrupted:
        raise KeyboardInterrupt from None


def print_json(value: Any) -> None:
    """Print one JSON document: dataclasses as objects, times in ISO 8601, bytes in hexadecimal, NaN as null."""
    in_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(_plain(value), indent=2, ensure_ascii=not in_unicode, allow_nan=False))


def _plain(value: Any) -> Any:
    """The value in the types of JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return _plain(float(value))
    if isinstance(value, date | time):
        return value.isoformat()
    if value is None or isinstance(value, str | int):
        return value
    if hasattr(value, "tolist"):  # NumPy
        return _plain(value.tolist())
    return str(value)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar with rate and time left, on a terminal alone; what it gives is called with (done, total)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items in a second, or in a minute where they are slow."""

        def render(self, task: Task) -> Text:
            """The rate of a task."""
            speed = task.finished_speed or task.speed
            if not speed:
                return Text("")
            return Text(f"{speed:.3g}/s" if speed >= 1 else f"{60 * speed:.3g}/min")

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
