"""From a study in the lake to its report: one HTML file with everything in it, nothing fetched from anywhere.

Here belongs the page around the article and writing it.
"""

from __future__ import annotations

import math
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from panic_assets.lake import Lake
from panic_assets.lake.durable import replace_file
from panic_assets.reports.study.article import article, environment
from panic_assets.reports.study.contents import Study, Trial, study_in
from panic_assets.reports.study.words import measure_of, number
from panic_assets.studies.tracking.links import run_url

#: Trials listed in the report; the charts are always of all.
MOST_TRIALS = 500
_LISTED = (
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "validation_loss",
    "lipschitz_upper",
    "generalisation_gap",
)
_MOST_METRICS = 4


def write_study_report(lake: Lake, study: str, path: Path, mlflow_url: str = "") -> Path:
    """The report of a study as one file; an earlier one is replaced at once.

    Args:
        lake: where the study's tables are.
        study: its name.
        path: of the file.
        mlflow_url: what addresses of MLflow's pages begin with; empty: trials are told without links.

    Raises:
        NoSuchStudy: the lake holds no trials of it.
        LakeError, OSError: something can't be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page(study_in(lake, study), mlflow_url).encode())
    return path


def page(study: Study, mlflow_url: str = "") -> str:
    """The HTML of a study."""
    package = resources.files("panic_assets.reports.study")
    read = {name: (package / name).read_text(encoding="utf-8") for name in ("parts/page.css", "shared/study.css")}
    scripts = [(package / name).read_text(encoding="utf-8") for name in ("shared/study.js", "parts/page.js")]
    made = environment().overlay()
    experiments = {str(run.get("model_run_id")): run.get("mlflow_experiment_id") for run in study.runs}

    def mlflow(trial: Trial) -> str:
        experiment, run = experiments.get(str(trial.row.get("model_run_id"))), trial.row.get("mlflow_run_id")
        return run_url(mlflow_url, str(experiment), str(run)) if mlflow_url and experiment and run else ""

    made.filters = made.filters | {"of": _of, "mlflow": mlflow}
    return made.get_template("page.html.j2").render(
        study=study,
        article=article(study),
        trials=study.trials[:MOST_TRIALS],
        left_out=max(len(study.trials) - MOST_TRIALS, 0),
        metrics=listed_metrics(study),
        base=mlflow_url,
        style="\n".join(read.values()),
        script="\n".join(scripts),
        version=version("panic-assets"),
    )


def listed_metrics(study: Study) -> list[str]:
    """The metrics that a list of trials has columns for."""
    there = {name for trial in study.trials for name in trial.metrics}
    claimed = str(study.claim.get("metric") or "")
    return [name for name in dict.fromkeys((claimed, *_LISTED)) if name in there][:_MOST_METRICS]


def _of(trial: Trial, metric: str) -> str:
    value = trial.metric(metric)
    return number(measure_of(metric).factor * value) if math.isfinite(value) else ""
