"""All experiments at a glance: those of files, those of the lake, and those of both.

Here belongs one line for each. How one experiment stands in full is told by ``status``.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from panic_assets.experiment import Experiment
from panic_assets.files import ExperimentFiles
from panic_assets.lake import TABLES, CorruptPart, Lake, connect
from panic_assets.models.registry import Registry, load_registry
from panic_assets.reports.loop_progress import TABLES as LOOP_TABLES
from panic_assets.reports.loop_progress import LoopProgress, loops
from panic_assets.reports.settings import remembered
from panic_assets.reports.stage_progress import embedders, outputs_of
from panic_assets.reports.status import (
    FAILED_RUNS,
    FINISHED,
    IMPORTED,
    RUNNING,
    STALLED,
    WAITING,
    last_activity,
    size_of,
    workers_of,
)

#: The file can't be read as an experiment, or the lake has rows without a description.
BROKEN = "broken"


@dataclass(frozen=True)
class ExperimentLine:
    """An experiment in short. ``invocations_in_all``: at most, where runs go on. ``problem``: why it is broken."""

    experiment: str
    state: str
    runs: int = 0
    runs_ended: int = 0
    runs_failed: int = 0
    invocations: int = 0
    invocations_in_all: int = 0
    last_activity: datetime | None = None
    bytes: int = 0
    file: Path | None = None
    is_in_lake: bool = False
    imported_from: str = ""
    problem: str = ""


def experiments_of(data: Path) -> list[ExperimentLine]:
    """One line for each experiment of a data directory, the latest activity first, those without any at the end.

    States are those of ``status``. Whether the stages after the loop are done is judged by counts alone.
    """
    lake, registry = Lake(data / "lake"), load_registry()
    sound, broken = ExperimentFiles(data / "experiments").read()
    in_lake = {name for table, spec in TABLES.items() if spec.of_experiment for name in lake.experiments(table)}
    asked: dict[str, Experiment | None] = {name: experiment for name, (_, experiment) in sound.items()}
    damaged: dict[str, str] = {path.stem: str(error) for path, error in broken.items() if path.stem not in asked}
    for name in in_lake - set(asked) - set(damaged):
        try:
            asked[name] = remembered(lake, name)
        except CorruptPart as error:
            damaged[name] = str(error)
    progress = _progress(lake, asked, registry)
    lines = [
        _line(lake, name, settings, progress[name], registry, sound[name][0] if name in sound else None)
        for name, settings in asked.items()
    ]
    files = {path.stem: path for path in broken}
    lines += [
        ExperimentLine(
            name,
            BROKEN,
            last_activity=last_activity(lake, name),
            bytes=size_of(lake, name),
            file=files.get(name),
            is_in_lake=name in in_lake,
            problem=problem,
        )
        for name, problem in damaged.items()
    ]
    never = datetime.min.replace(tzinfo=UTC)
    lines.sort(key=lambda line: line.experiment)
    return sorted(lines, key=lambda line: line.last_activity or never, reverse=True)


def _progress(lake: Lake, asked: dict[str, Experiment | None], registry: Registry) -> dict[str, LoopProgress]:
    with closing(connect(lake.root, LOOP_TABLES)) as connection:
        return loops(connection, asked, registry)


def _line(
    lake: Lake, name: str, asked: Experiment | None, loop: LoopProgress, registry: Registry, file: Path | None
) -> ExperimentLine:
    last = last_activity(lake, name)
    return ExperimentLine(
        name,
        _state(lake, name, asked, loop, registry),
        len(loop.runs),
        loop.ended,
        loop.failed,
        loop.made,
        loop.total,
        last,
        size_of(lake, name),
        file,
        last is not None,
        asked.imported_from if asked else "",
        "" if asked else "the lake holds rows of it, but no description",
    )


def _state(lake: Lake, name: str, asked: Experiment | None, loop: LoopProgress, registry: Registry) -> str:
    if workers_of(lake, name):
        return RUNNING
    if asked is None:
        return BROKEN
    if asked.imported_from:
        return IMPORTED
    if not loop.made and not loop.ended:
        return WAITING
    if loop.ended < len(loop.runs) or not _is_analysed(lake, asked, loop, registry):
        return STALLED
    return FAILED_RUNS if loop.failed else FINISHED


def _is_analysed(lake: Lake, asked: Experiment, loop: LoopProgress, registry: Registry) -> bool:
    """Whether there are as many vectors as outputs, and every analysis was made once; reads manifests alone."""
    from panic_assets.dynamics.analyses import ANALYSES

    manifest = lake.manifest("embeddings", asked.name)
    for model, entry in embedders(asked, registry).items():
        parts = [part for part in manifest.parts if part.labels.get("embedding_model") == model] if manifest else []
        prompts = len(loop.runs) if "text" in entry.takes else 0
        if sum(part.rows for part in parts) < outputs_of(loop, entry, registry) + prompts:
            return False
    marks = lake.properties("dynamics", asked.name)
    return all(f"analysis:{analysis.name}" in marks for analysis in ANALYSES)
