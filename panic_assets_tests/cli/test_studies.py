"""``panic study``: run, list, show, report, reconcile, replay, delete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from panic_assets.cli.names import UnknownName, complete_study
from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets.paths import project_dir
from panic_assets.upkeep.deleting import NothingToDelete
from panic_assets_tests.cli.parts import Shell, document, typed
from panic_assets_tests.studies.small import write

WIDE = 80


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    place = tmp_path_factory.mktemp("studies")
    (place / "files").mkdir()
    write(place / "files", "small").rename(place / "small.yaml")
    return Shell(place)


def settings(place: Shell) -> dict[str, str]:
    return place.variables | {
        "PANIC_DAGSTER_STATE": str(place.data / ".dagster"),
        "DAGSTER_HOME": str(project_dir()),
    }


@pytest.fixture(scope="module")
def first(place: Shell) -> str:
    """What `panic study run` prints for the first time, on 80 columns."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (settings(place) | {"COLUMNS": str(WIDE)}).items():
            patch.setenv(name, value)
        return typed("study", "run", str(place.place / "small.yaml"))


@pytest.fixture
def data(first: str, place: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in settings(place).items():
        monkeypatch.setenv(name, value)
    return place.data


def test_run_prints_the_comparison_and_its_sentence(first: str, data: Path) -> None:
    assert first.startswith("Trained: 4 trials, in ")
    assert "Trials of small: 4 completed." in first
    assert "Each arm against none, 2 pairs" in first
    words = " ".join(first.split())
    assert "With spectral normalisation, test accuracy is " in words
    assert "the claim that it is higher is inconclusive, as so few pairs give no interval." in words
    before = first.split("Where to look")[0]
    assert max(map(len, before.splitlines())) <= WIDE
    assert (data / "reports" / "study-small.html").is_file()
    assert (data / "studies" / "small.yaml").is_file()


def test_a_second_run_says_that_nothing_was_trained(data: Path) -> None:
    assert typed("study", "run", "small").startswith("Nothing was trained: all trials of this study are over.\n")
    told = document("study", "run", "small")
    assert (told["trained_now"], told["states"], told["doubts"]) == (0, {"completed": 4}, [])


def test_list_and_show(data: Path) -> None:
    write(data, "later")
    (data / "studies" / "broken.yaml").write_text("task: cooking\n")
    try:
        lines = {line["study"]: line for line in document("study", "list")}
        shown = typed("study", "list")
    finally:
        (data / "studies" / "broken.yaml").unlink()
        (data / "studies" / "later.yaml").unlink()
    assert (lines["small"]["state"], lines["small"]["over"], lines["small"]["requested"]) == ("completed", 4, 4)
    assert (lines["later"]["state"], lines["later"]["over"]) == ("not trained", 0)
    assert lines["broken"]["state"] == "broken"
    assert "broken: " in shown
    assert "Each arm against none" in typed("study", "show", "sma")
    told = document("study", "show", "small")
    assert told["sentence"].startswith("With spectral normalisation")
    assert len(told["comparison"]) > 10


def test_a_changed_file_is_seen(data: Path) -> None:
    file = data / "studies" / "small.yaml"
    text = file.read_text()
    write(data, "small", comparison={"pairs": 5})
    try:
        (line,) = document("study", "list")
    finally:
        file.write_text(text)
    assert (line["state"], line["over"], line["requested"]) == ("changed", 4, 10)


def test_report(data: Path, tmp_path: Path) -> None:
    told = document("study", "report", "small", "-o", str(tmp_path / "page.html"))
    assert told == {"path": str(tmp_path / "page.html"), "bytes": (tmp_path / "page.html").stat().st_size}


def test_reconcile_makes_runs_that_mlflow_lacks(data: Path) -> None:
    told = document("study", "reconcile", "small")
    assert (told["trials"], told["created"], told["share_before"], told["share"]) == (4, 4, 0.0, 1.0)
    assert typed("study", "reconcile", "small").startswith(
        "4 trials: MLflow agreed about 4, and agrees about 4\n  0 runs created"
    )


def test_replay_of_what_came_too_early(data: Path) -> None:
    from panic_assets.studies.bench import Bench

    payload = {"trial_id": "t1", "step": 1, "metrics": {"loss": 1.0}}
    start = {"trial_id": "t1", "model_run_id": "r1", "spectral_norm": True}
    with Bench(data).store() as store:
        store.deliver([{"schema_version": 1, "event_id": "e1", "name": "ml.run.metric", "payload": payload}])
    assert "1 dead letters; 1 are left\n" in typed("study", "replay")
    assert "unknown_trial" in typed("study", "replay", "--look")
    assert document("study", "replay", "small") == {"letters": 0, "replayed": 0, "left": []}
    with Bench(data).store() as store:
        store.deliver(
            [
                {"schema_version": 1, "name": "ml.run.start", "payload": {"model_run_id": "r1"}},
                {"schema_version": 1, "name": "ml.trial.start", "payload": start},
            ]
        )
    assert document("study", "replay")["left"] == []


def test_names(data: Path) -> None:
    assert complete_study("sm") == ["small"]
    with pytest.raises(UnknownName, match="no study 'smal-l'; did you mean small"):
        typed("study", "show", "smal-l")
    with pytest.raises(PanicError, match=r"absent\.yaml: 1 problem"):
        typed("study", "run", "absent.yaml")


def test_delete_takes_all_of_it_and_a_later_run_trains_anew(data: Path) -> None:
    with pytest.raises(NothingToDelete):
        typed("study", "delete", "smal")
    assert "training/small" in typed("study", "delete", "small", "--dry-run")
    told = document("study", "delete", "small", "--yes")
    assert told["done"]["study"] == "small"
    assert not (data / "training" / "small").exists()
    assert Lake(data / "lake").studies("trials") == []
    assert document("study", "run", "small")["trained_now"] == 4
    assert json.loads(typed("study", "replay", "--json"))["left"] == []
