"""A study that trains in moments: scikit-learn's digits, and a process of its own that can be killed at a point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from panic_assets.paths import project_dir
from panic_assets.studies.bench import Bench
from panic_assets.studies.spec import StudySpec

#: As a study file: two arms, four searched and three compared trials of each, of some milliseconds.
SMALL: dict[str, Any] = {
    "task": "digits",
    "data": {"most_rows": 200},
    "hyperparameters": {"kind": "mlp", "layers": 1, "width": 8, "epochs": 3, "learning_rate": 0.01},
    "arms": {"none": {}, "spectral_norm": {"spectral_norm": True}},
    "comparison": {"pairs": 2},
    "evaluation": {"pgd_steps": 2, "noise_draws": 1, "most_rows": 16, "epsilons": {"l2": [0.1], "linf": [0.01]}},
    "tracking": {"mlflow": False},
}
SEARCH: dict[str, Any] = {
    "trials": 3,
    "startup_trials": 1,
    "space": {
        "learning_rate": {"low": 0.0001, "high": 0.1, "log": True},
        "width": {"low": 4, "high": 16},
        "activation": {"choices": ["relu", "tanh"]},
        "coefficient": {"low": 0.5, "high": 2.0},
    },
}
#: Of these two trainings of the same may tell different things.
TIMES = {"seconds", "step_seconds"}


def small(name: str = "small", **values: Any) -> StudySpec:
    return StudySpec.parse(SMALL | values | {"name": name})


def write(data: Path, stem: str, /, **values: Any) -> Path:
    """The study's file in a data directory."""
    path = data / "studies" / f"{stem}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(SMALL | values, sort_keys=False))
    return path


# A process that trains the study whole in one folder, which loads everything, and then lets children of it train in
# another, each from where the one before it died.
_DRIVER = """
import json, os, signal, sys
from pathlib import Path
from panic_assets.studies import search, stage, telling, trial_files
from panic_assets.studies.bench import Bench

OWNERS = {"write": trial_files.TrialFiles, "tell": search.ArmSearch, "next": search.ArmSearch}

def arm(point):
    name, when, number = point.split(":")
    owner = OWNERS.get(name, telling.Teller)
    inner, calls = getattr(owner, name), []
    def deadly(*arguments, **options):
        calls.append(1)
        if when == "before" and len(calls) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*arguments, **options)
        if when == "after" and len(calls) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, deadly)

whole = Bench(Path(sys.argv[1]))
print(json.dumps(stage.train(whole, whole.files.study(sys.argv[3])).trained), flush=True)
bench = Bench(Path(sys.argv[2]))
spec = bench.files.study(sys.argv[3])
for point in sys.argv[4:]:
    child = os.fork()
    if not child:
        arm(point)
        stage.train(bench, spec)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    files = {path.name: path.stat().st_mtime_ns for path in bench.trials(spec.name).folder.glob("*.json")}
    print(json.dumps([point, os.waitstatus_to_exitcode(status), files]), flush=True)
"""


def killed(
    whole: Path, data: Path, study: str, points: Sequence[str]
) -> tuple[int, list[tuple[str, int, dict[str, int]]]]:
    """Train a study undisturbed in ``whole``, and in ``data`` by processes that are killed one after the other.

    They are killed at points such as ``epoch:after:5``. Gives how many trials were trained undisturbed, and each point
    with the exit code and the committed files with their times of change, in nanoseconds.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _DRIVER, str(whole), str(data), study, *points],
        cwd=project_dir(),
        env={name: value for name, value in os.environ.items() if not name.startswith("PANIC_")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    undisturbed, *lines = map(json.loads, done.stdout.splitlines())
    return undisturbed, [(point, code, files) for point, code, files in lines]


def content(data: Path, study: str) -> dict[str, Any]:
    """All that the lake and the event store tell of a study's trials, but for times."""
    bench = Bench(data)
    lake = bench.lake
    told: dict[str, Any] = {}
    for table in ("trials", "trial_metrics", "artifacts", "lipschitz", "robustness", "study_comparison"):
        rows = lake.read(table, study).to_pylist()
        for row in rows:
            for column in ("started_at", "finished_at", "duration_ms", "reported_at", "created_at", "adjusted_p"):
                row.pop(column, None)  # p-values are adjusted for all measures, those of time among them
            if table == "trials":
                row["metrics"] = {k: v for k, v in yaml.safe_load(row["metrics"]).items() if k not in TIMES}
        kept = [row for row in rows if row.get("metric") not in TIMES and not row.get("sentence")]
        # Two NaN are not equal.
        told[table] = [{name: None if value != value else value for name, value in row.items()} for row in kept]
    with bench.store() as store:
        told["dead_letters"] = store.dead_letters()
        told["states"] = [(row.state, row.completed_trials, row.best_trial_id) for row in store.model_runs(study)]
    return told
