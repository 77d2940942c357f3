"""The assets of studies: trials are trained, what was measured of them follows, then their comparison and its report.

Here belongs which step follows which and what Dagster is told; each step is one function of ``panic_assets.studies``.
The checks are in ``study_checks``.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import math
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dagster as dg

from panic_assets.defs.metadata import figure, plain, table_metadata
from panic_assets.defs.partitions import STUDIES
from panic_assets.defs.patience import patient
from panic_assets.defs.progress import tell_listeners
from panic_assets.defs.resources import Laboratory
from panic_assets.studies.bench import Bench

if TYPE_CHECKING:
    from panic_assets.studies.runner import TrialNews

GROUP, TRAINING_POOL, STUDY_JOB = "studies", "training", "study"
_AS_NEW_DATA_COMES = dg.AutomationCondition.eager()
_TOLD = ("train_loss", "validation_loss", "test_loss", "test_accuracy", "lipschitz_upper", "seconds")


@dg.asset(
    partitions_def=STUDIES,
    group_name=GROUP,
    kinds={"parquet", "pytorch"},
    pool=TRAINING_POOL,
    description="Every training of a study, by search and in pairs: states, hyperparameters, final measures, files.",
)
@patient
def study_trials(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Tables ``model_runs``, ``trials`` and ``artifacts``; a trial that is over is not trained again."""
    from panic_assets.studies import stage

    bench = Bench(laboratory.root)
    spec = bench.files.study(context.partition_key)
    summary = stage.train(bench, spec, _Observer(context))
    for note in summary.notes:
        context.log.warning(note)
    numbers = table_metadata(bench.lake, "trials", spec.name, summary.seconds, summary.trained)
    facts = {
        "states": summary.states,
        "trials_of_the_study": summary.requested,
        "left": summary.left,
        "why_left": summary.why,
        "measured": summary.measured,
        "model_run_id": summary.model_run_id,
        "notes": summary.notes or None,
    }
    return dg.MaterializeResult(metadata=numbers | plain(facts))


class _Observer:
    """One observation for each trial that was trained just now, seen before the step is over."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context, self._started, self._trained = context, time.monotonic(), 0

    def __call__(self, news: "TrialNews") -> None:
        facts: dict[str, str | float] = {}
        self._trained += news.is_new
        if self._trained:
            rate = self._trained / max(time.monotonic() - self._started, 1e-9)
            facts = {"per_second": round(rate, 2), "seconds_left": round((news.total - news.place) / rate)}
        tell_listeners("study_trials", news.place, news.total, facts)
        if not news.is_new:
            return
        record, trial = news.record, news.record.trial
        told: dict[str, Any] = {
            "done": news.place,
            "total": news.total,
            "trial_id": trial.trial_id,
            "mode": trial.mode,
            "arm": trial.arm,
            "pair": trial.pair,
            "seed": trial.seed,
            "state": record.state,
            "reason": record.reason,
            "spectral_norm": trial.hyperparameters.spectral_norm,
            "mlflow_run_id": record.mlflow_run_id,
        }
        metrics = record.all_metrics
        told |= {name: metrics[name] for name in _TOLD if math.isfinite(metrics.get(name, math.nan))}
        said = f"{trial.mode} {trial.arm} {trial.pair}: {record.state}{f', {record.reason}' if record.reason else ''}"
        self._context.log.info(f"trial {news.place} of {news.total}: {said}")
        self._context.log_event(
            dg.AssetObservation(
                asset_key="study_trials", partition=self._context.partition_key, metadata=plain(told | facts)
            )
        )


def _writing(
    context: dg.AssetExecutionContext, laboratory: Laboratory, table: str, write: Callable[[Bench, str], int]
) -> dg.MaterializeResult:
    """What the steps have in common that write one table from what training left behind."""
    started = time.perf_counter()
    bench, study = Bench(laboratory.root), context.partition_key
    write(bench, study)
    return dg.MaterializeResult(metadata=table_metadata(bench.lake, table, study, time.perf_counter() - started))


@dg.asset(
    partitions_def=STUDIES,
    group_name=GROUP,
    deps=["study_trials"],
    kinds={"parquet"},
    automation_condition=_AS_NEW_DATA_COMES,
    description="Losses, accuracies and the spectral norm of each layer, at every epoch of every trial.",
)
@patient
def trial_metrics(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Table ``trial_metrics``."""
    from panic_assets.studies.stage import write_metrics

    return _writing(context, laboratory, "trial_metrics", write_metrics)


@dg.asset(
    partitions_def=STUDIES,
    group_name=GROUP,
    deps=["trial_metrics"],
    kinds={"parquet"},
    automation_condition=_AS_NEW_DATA_COMES,
    description="How far each trained model can stretch: norms of its layers, bounds of the whole from both sides.",
)
@patient
def lipschitz(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Table ``lipschitz``."""
    from panic_assets.studies.stage import write_lipschitz

    return _writing(context, laboratory, "lipschitz", write_lipschitz)


@dg.asset(
    partitions_def=STUDIES,
    group_name=GROUP,
    deps=["lipschitz"],
    kinds={"parquet"},
    automation_condition=_AS_NEW_DATA_COMES,
    description="What trained models still know under attacks and noise of growing size, and what is certified.",
)
@patient
def robustness(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Table ``robustness``."""
    from panic_assets.studies.stage import write_robustness

    return _writing(context, laboratory, "robustness", write_robustness)


@dg.asset(
    partitions_def=STUDIES,
    group_name=GROUP,
    deps=["robustness"],
    kinds={"parquet"},
    automation_condition=_AS_NEW_DATA_COMES,
    description="Each arm against the reference, in pairs: differences with intervals, effect sizes, the claim's fate.",
)
@patient
def study_comparison(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Table ``study_comparison``."""
    from panic_assets.studies import stage
    from panic_assets.studies.from_lake import study_sentence

    started = time.perf_counter()
    bench = Bench(laboratory.root)
    spec = bench.files.study(context.partition_key)
    if problem := stage.compare(bench, spec):
        context.log.warning(problem)
    sentence = study_sentence(bench.lake, spec.name)
    numbers = table_metadata(bench.lake, "study_comparison", spec.name, time.perf_counter() - started)
    return dg.MaterializeResult(metadata=numbers | ({"found": dg.MetadataValue.md(sentence)} if sentence else {}))


@dg.asset(
    partitions_def=STUDIES,
    group_name=GROUP,
    deps=["study_comparison"],
    automation_condition=_AS_NEW_DATA_COMES,
    description="One page that opens offline: what was found, the differences, the curves, every trial.",
)
def study_report(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """The file ``reports/study-<study>.html``, in MLflow, too."""
    from panic_assets.reports.figures.files import png_of
    from panic_assets.reports.study.figures import figure_of_study
    from panic_assets.reports.study.render import write_study_report
    from panic_assets.studies import stage
    from panic_assets.studies.tracking.links import pages_of

    started = time.perf_counter()
    bench = Bench(laboratory.root)
    spec = bench.files.study(context.partition_key)
    mlflow = pages_of(bench.mlflow_uri) if spec.tracking.mlflow else ""
    path = write_study_report(bench.lake, spec.name, bench.report(spec.name), mlflow)
    drawn = png_of(figure_of_study, bench.lake, spec.name)
    with TemporaryDirectory() as folder:
        shared = [path]
        if drawn is not None:
            shared.append(Path(folder) / "differences.png")
            shared[-1].write_bytes(drawn)
        stage.share(bench, spec, shared)
    facts: dict[str, Any] = {
        "path": dg.MetadataValue.path(str(path)),
        "bytes": path.stat().st_size,
        "seconds": round(time.perf_counter() - started, 3),
    }
    return dg.MaterializeResult(metadata=facts | figure(drawn, "Differences from the reference"))


STUDY_ASSETS = [study_trials, trial_metrics, lipschitz, robustness, study_comparison, study_report]
_KEYS = frozenset(asset.key for asset in STUDY_ASSETS)


def is_of_study(run: dg.DagsterRun) -> bool:
    """Whether the partition of a run is a study rather than an experiment, whoever started it."""
    return run.job_name == STUDY_JOB or bool(_KEYS & (run.asset_selection or frozenset()))
