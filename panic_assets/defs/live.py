"""Live runs into the lake: the job that brings them, and what starts it.

Here belongs when live runs are ingested and what is told of it; how is in ``panic_assets.live.ingest``. What was
ingested has an experiment file, and so the sensor over these computes the rest.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import dagster as dg

from panic_assets import paths
from panic_assets.defs.intervals import SENSOR_SECONDS
from panic_assets.defs.metadata import plain
from panic_assets.defs.partitions import EXPERIMENTS
from panic_assets.defs.patience import patient
from panic_assets.defs.resources import Laboratory
from panic_assets.web.settings import PREFIX, Settings

if TYPE_CHECKING:
    from panic_assets.live.ingest import Ingested
    from panic_assets.live.store import Store

Answer = TypeVar("Answer")
#: After an ingestion that failed the next one, if no run ends meanwhile, waits so long.
_AGAIN_SECONDS = 600.0
_SHOWN = 50  # cut runs that are told one by one
_NOTHING = "There is no live store here, so nothing to ingest."


def ingest_here(settings: Settings, include_running: bool = False) -> "Ingested":
    """Ingest with the settings of a server: its database, archive and catalog, its embedding models and time zone.

    Raises:
        PanicError: see `panic_assets.live.ingest.ingest`; or a setting has no meaning.
    """
    from panic_assets.live.archive import Archive
    from panic_assets.live.catalog import load_catalog
    from panic_assets.live.ingest import ingest
    from panic_assets.live.to_lake.names import zone_of
    from panic_assets.models.registry import load_registry

    registry = load_registry()
    return _with_store(
        settings,
        lambda store: ingest(
            store,
            Archive(settings.archive),
            settings.data,
            include_running=include_running,
            zone=zone_of(settings.timezone),
            embedding_models=[name for name in settings.embeddings if name in registry],
            catalog=load_catalog(registry, settings.catalog_file),
        ),
    )


def is_there(settings: Settings) -> bool:
    """Whether there is a live store to read. Other databases than SQLite's are asked, and may be away."""
    if importlib.util.find_spec("sqlalchemy") is None:
        return False
    return bool(settings.database_url) or (settings.folder / "live.db").is_file()


def _is_wanted() -> bool:
    """Whether live runs are to be looked for unasked: a server has been here before the definitions were loaded."""
    url = os.environ.get(f"{PREFIX}DATABASE_URL")
    return bool(url) or (paths.data_dir() / "live" / "live.db").is_file()


class Extent(dg.Config):
    """Whether runs that go on are taken, too, as far as they are."""

    include_running: bool = False


@dg.op(description="Live runs that the lake lacks become experiments, one for each network and day.")
@patient
def bring_live_runs(context: dg.OpExecutionContext, config: Extent, laboratory: Laboratory) -> None:
    """Ingest, and register what is new as partitions."""
    settings = _settings(laboratory)
    if not is_there(settings):
        context.log.info(_NOTHING)
        return
    started = time.perf_counter()
    done = ingest_here(settings, config.include_running)
    if done.experiments:
        context.instance.add_dynamic_partitions(str(EXPERIMENTS.name), list(done.experiments))
    for sentence in done.skipped[:_SHOWN]:
        context.log.warning(sentence)
    facts = {
        "experiments": list(done.experiments),
        "runs": done.runs,
        "invocations": done.invocations,
        "cut": len(done.skipped),
        "seconds": round(time.perf_counter() - started, 3),
    }
    context.add_output_metadata(plain(facts))


@dg.job(
    name="live_ingestion",
    tags={"dagster/retry_strategy": "ALL_STEPS"},
    description="Brings live runs into the lake. Nothing is written twice; their analyses follow by themselves.",
)
def live_ingestion() -> None:
    """One step."""
    bring_live_runs()


@dg.sensor(
    # By its name: Dagster binds resources to the job, and would make the sensor anew for it, with a warning.
    job_name=live_ingestion.name,
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING if _is_wanted() else dg.DefaultSensorStatus.STOPPED,
    description="Ingests live runs when some have ended. On by itself where there is a live store when Dagster starts.",
)
def live_runs(context: dg.SensorEvaluationContext, laboratory: Laboratory) -> dg.SensorResult | dg.SkipReason:
    """Compare the number of runs that are over with that of the last tick."""
    settings = _settings(laboratory)
    if not is_there(settings):
        return dg.SkipReason(_NOTHING)
    ended = _with_store(settings, lambda store: store.count_ended())
    before = json.loads(context.cursor) if context.cursor else 0
    last = context.instance.get_run_records(dg.RunsFilter(job_name=live_ingestion.name), limit=1)
    if last and not last[0].dagster_run.is_finished:
        return dg.SkipReason("Live runs are being ingested; those that ended meanwhile are next.")
    has_failed = bool(last) and last[0].dagster_run.is_failure
    is_due = has_failed and time.time() - (last[0].end_time or 0.0) >= _AGAIN_SECONDS
    if ended == before and not is_due:
        return dg.SkipReason(f"{ended} live runs are over, none new.")
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=json.dumps(ended))


@dg.schedule(
    job=live_ingestion,
    cron_schedule="0 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING if _is_wanted() else dg.DefaultScheduleStatus.STOPPED,
    description="Every hour: live runs that go on, as far as they are.",
)
def live_runs_going_on(context: dg.ScheduleEvaluationContext, laboratory: Laboratory) -> dg.RunRequest | dg.SkipReason:
    """Only where a run goes on."""
    settings = _settings(laboratory)
    if not is_there(settings):
        return dg.SkipReason(_NOTHING)
    if not _with_store(settings, lambda store: store.running_runs()):
        return dg.SkipReason("No live run goes on.")
    return dg.RunRequest(run_config={"ops": {"bring_live_runs": {"config": {"include_running": True}}}})


LIVE_JOBS, LIVE_SENSORS, LIVE_SCHEDULES = [live_ingestion], [live_runs], [live_runs_going_on]


def _settings(laboratory: Laboratory) -> Settings:
    return Settings.from_environment(data=Path(laboratory.root))


def _with_store(settings: Settings, ask: "Callable[[Store], Answer]") -> Answer:
    from panic_assets.live.store import Store

    store = Store(settings.database)
    try:
        return ask(store)
    finally:
        store.close()
