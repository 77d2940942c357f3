"""How an experiment stands: its stages, who is at work, how fast, what went wrong. Dataclasses, nothing printed.

Here belongs what the lake, its locks and manifests say of one experiment. Runs of Dagster are told by the caller. How
far loops are is in ``loop_progress``, later stages in ``stage_progress``; no picture and no vector is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

import duckdb

from panic_assets.errors import PanicError
from panic_assets.experiment import Experiment
from panic_assets.files import ExperimentFiles
from panic_assets.lake import TABLES, Lake, connect
from panic_assets.lake.locks import holder_of
from panic_assets.lake.manifest import MANIFEST
from panic_assets.lake.writer import LOCK
from panic_assets.models.registry import Registry, load_registry
from panic_assets.reports import loop_progress, stage_progress
from panic_assets.reports.loop_progress import LoopProgress
from panic_assets.reports.settings import asked_of
from panic_assets.reports.stage_progress import Stage

WAITING, RUNNING, STALLED = "waiting", "running", "stalled"
FINISHED, FAILED_RUNS, IMPORTED = "finished", "failed runs", "imported"
#: The rate is that of the last minutes.
RATE_WINDOW = timedelta(minutes=5)
#: Whoever holds a lock and commits nothing for so long is stalled; loading a model may well take minutes.
PATIENCE = timedelta(minutes=10)
_TIMES_TYPICAL = 20
_LISTED = 5
#: Whose lock tells that a stage is being worked on.
_LOCKS = {
    "loop": "invocations",
    "embeddings": "embeddings",
    "persistence diagrams": "persistence_diagrams",
    "distances": "diagram_distances",
    "analyses": "dynamics",
}
_RECENT = """
    SELECT count(*), epoch(min(completed_at)) FROM invocations
    WHERE experiment = $name AND completed_at >= make_timestamptz($since)
"""
_FAILURES = """
    SELECT error, count(*) AS runs, list(run_number ORDER BY run_number)[:$listed] FROM outcomes
    WHERE experiment = $name AND stop_reason = 'failed' GROUP BY error ORDER BY runs DESC, error LIMIT $listed
"""
_EVENTS = """
    SELECT epoch(happened_at), kind, model, device, message, count(*) OVER () FROM events
    WHERE experiment = $name ORDER BY number DESC LIMIT $listed
"""
_FLAGS = """
    SELECT flag, count(*) AS outputs FROM (SELECT unnest(flags) AS flag FROM invocations WHERE experiment = $name)
    GROUP BY flag ORDER BY outputs DESC, flag
"""


@dataclass(frozen=True)
class Worker:
    """A living process that holds the lock of a stage; ``process`` is 0 where it can't be told."""

    stage: str
    process: int
    since: datetime


@dataclass(frozen=True)
class DagsterRun:
    """A run that Dagster has not ended. ``is_alive`` is False where its process is known to be gone."""

    run_id: str
    status: str
    since: datetime | None
    is_alive: bool = True


@dataclass(frozen=True)
class Failure:
    """Runs that failed with one error: how many, and the first of them."""

    error: str
    runs: int
    run_numbers: tuple[int, ...]


@dataclass(frozen=True)
class Event:
    """Something that went wrong and was dealt with."""

    happened_at: datetime
    kind: str
    model: str | None
    device: str | None
    message: str


@dataclass(frozen=True)
class ExperimentStatus:
    """How an experiment stands; ``explanation`` is a sentence on its state.

    ``invocations_per_second`` over the last minutes and ``seconds_left`` of the loop, at most, are None where nobody
    works on the loop. ``typical_commit_seconds`` lie between two commits of it, as far as its parts tell.
    """

    experiment: str
    state: str
    explanation: str
    file: Path | None
    runs: int
    runs_ended: int
    stop_reasons: dict[str, int]
    stages: tuple[Stage, ...]
    workers: tuple[Worker, ...] = ()
    dagster_runs: tuple[DagsterRun, ...] = ()
    last_activity: datetime | None = None
    typical_commit_seconds: float | None = None
    invocations_per_second: float | None = None
    seconds_left: float | None = None
    failures: tuple[Failure, ...] = ()
    events: tuple[Event, ...] = ()
    events_in_all: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    bytes: int = 0


def status_of(
    data: Path, experiment: str, dagster_runs: Sequence[DagsterRun] = (), now: datetime | None = None
) -> ExperimentStatus:
    """How an experiment of a data directory stands.

    ``dagster_runs`` are those that Dagster counts as going on. ``now`` is the time it is asked for.

    Raises:
        ExperimentError: its file is wrong.
        UnknownExperiment: neither a file nor the lake knows it.
        CorruptPart: a manifest is damaged.
    """
    now = now or datetime.now(UTC)
    lake, registry = Lake(data / "lake"), load_registry()
    asked, file = asked_of(lake, ExperimentFiles(data / "experiments"), experiment)
    tables = {*loop_progress.TABLES, *stage_progress.TABLES, "events"}
    with closing(connect(lake.root, [name for name in TABLES if name in tables])) as connection:
        loop = loop_progress.loops(connection, {experiment: asked}, registry)[experiment]
        stages = _stages(connection, lake, asked, loop, registry)
        workers = workers_of(lake, experiment)
        rate = _rate(connection, experiment, workers, now)
        events = connection.execute(_EVENTS, {"name": experiment, "listed": _LISTED}).fetchall()
        failures = connection.execute(_FAILURES, {"name": experiment, "listed": _LISTED}).fetchall()
        flags = dict(connection.execute(_FLAGS, {"name": experiment}).fetchall())
    last, size = last_activity(lake, experiment), size_of(lake, experiment)
    typical = _typical_commit(lake, experiment)
    alive = [run for run in dagster_runs if run.is_alive and run.status != "QUEUED"]
    state, explanation = _state(asked, loop, stages, workers, alive, last, typical, now)
    return ExperimentStatus(
        experiment,
        state,
        explanation,
        file,
        len(loop.runs),
        loop.ended,
        loop.reasons,
        stages,
        workers,
        tuple(dagster_runs),
        last,
        typical,
        rate,
        (loop.total - loop.made) / rate if rate else None,
        tuple(Failure(error or "unknown", runs, tuple(numbers)) for error, runs, numbers in failures),
        tuple(Event(_time(at), *rest) for at, *rest, _ in events),
        events[0][-1] if events else 0,
        flags,
        size,
    )


def _stages(
    connection: duckdb.DuckDBPyConnection, lake: Lake, asked: Experiment, loop: LoopProgress, registry: Registry
) -> tuple[Stage, ...]:
    first = Stage("loop", "", loop.made, loop.total, "invocations")
    return (first, *stage_progress.later_stages(connection, lake, asked, loop, registry))


def _state(
    asked: Experiment,
    loop: LoopProgress,
    stages: Sequence[Stage],
    workers: Sequence[Worker],
    alive: Sequence[DagsterRun],
    last: datetime | None,
    typical: float | None,
    now: datetime,
) -> tuple[str, str]:
    """State and the sentence on it."""
    name = asked.name
    if workers or alive:
        since = max([worker.since for worker in workers] + ([last] if last else []), default=None)
        silence = now - since if since else timedelta(0)
        limit = max(PATIENCE, timedelta(seconds=_TIMES_TYPICAL * (typical or 0)))
        who = f"process {workers[0].process or 'unknown'}" if workers else f"Dagster's run {alive[0].run_id[:8]}"
        if workers and silence > limit:
            return STALLED, f"{who} is at work, but has committed nothing for {silence.total_seconds() / 60:.0f} min"
        return RUNNING, f"{who} is at work on it"
    if asked.imported_from:
        return IMPORTED, f"imported from {asked.imported_from}"
    if not loop.made and not loop.ended:
        return WAITING, f"not begun; `panic run {name}` begins it"
    if not all(stage.is_done or (stage.outdated and stage.done + stage.outdated == stage.total) for stage in stages):
        return STALLED, f"nobody is at work on it; `panic resume {name}` goes on from here"
    if loop.failed:
        return FAILED_RUNS, f"{loop.failed} runs failed; `panic resume {name}` tries them again"
    outdated = sum(stage.outdated for stage in stages)
    renews = f"; {outdated} analyses were made before other experiments changed the clusters" if outdated else ""
    return FINISHED, f"all of it is done{renews}"


def workers_of(lake: Lake, experiment: str) -> tuple[Worker, ...]:
    """Who holds locks of the experiment now, by stage."""
    found = []
    for stage, table in _LOCKS.items():
        path = lake.folder(table, experiment) / LOCK
        process = holder_of(path)
        if process is not None:
            found.append(Worker(stage, process, _time(path.stat().st_mtime)))
    return tuple(found)


def last_activity(lake: Lake, experiment: str) -> datetime | None:
    """When something of the experiment was committed last; None if nothing was."""
    times = []
    for path in lake.root.glob(f"*/experiment={experiment}/{MANIFEST}"):
        try:
            times.append(path.stat().st_mtime)
        except FileNotFoundError:  # deleted just now
            continue
    return _time(max(times)) if times else None


def size_of(lake: Lake, experiment: str) -> int:
    """Bytes of the parts that the lake holds of an experiment; one with a damaged manifest counts nothing."""
    size = 0
    for table in (name for name, spec in TABLES.items() if spec.of_experiment):
        try:
            manifest = lake.manifest(table, experiment)
        except PanicError:
            continue
        size += sum(part.bytes for part in manifest.parts) if manifest else 0
    return size


def _rate(
    connection: duckdb.DuckDBPyConnection, experiment: str, workers: Sequence[Worker], now: datetime
) -> float | None:
    """Invocations in a second over the last minutes; None where nobody works on the loop, or none came yet."""
    begun = next((worker.since for worker in workers if worker.stage == "loop"), None)
    if begun is None:
        return None
    since = max(begun, now - RATE_WINDOW)
    values = {"name": experiment, "since": round(since.timestamp() * 1e6)}
    ((count, _),) = connection.execute(_RECENT, values).fetchall()
    return count / max((now - since).total_seconds(), 1.0) if count else None


def _typical_commit(lake: Lake, experiment: str) -> float | None:
    """Seconds between two commits of the loop, by the times of its parts; None with fewer than three."""
    folder, manifest = lake.folder("invocations", experiment), lake.manifest("invocations", experiment)
    times = []
    for part in manifest.parts if manifest else ():
        try:
            times.append((folder / part.file).stat().st_mtime)
        except FileNotFoundError:
            continue
    times.sort()
    return median(late - early for early, late in pairwise(times)) if len(times) > 2 else None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
