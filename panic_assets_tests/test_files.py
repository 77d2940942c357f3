"""The folder of experiment files: finding, adopting, and what is said of files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from panic_assets.experiment import Experiment, ExperimentError
from panic_assets.files import ExperimentFiles, UnknownExperiment

ASKED: dict[str, Any] = {
    "networks": [["DummyT2I", "DummyI2T"]],
    "prompts": ["a cat"],
    "seeds": [1],
    "max_length": 4,
    "embedding_models": ["DummyText"],
}


def put(path: Path, **values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(ASKED | values, indent="\t") if path.suffix == ".json" else yaml.safe_dump(ASKED | values)
    path.write_text(text)
    return path


@pytest.fixture
def files(tmp_path: Path) -> ExperimentFiles:
    return ExperimentFiles(tmp_path / "experiments")


def names(files: ExperimentFiles) -> dict[str, str]:
    """Experiment to the name of its file; nothing may be broken."""
    found, broken = files.read()
    assert broken == {}
    return {name: path.name for name, (path, _) in found.items()}


# Finding --------------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_holds_nothing(files: ExperimentFiles) -> None:
    assert files.paths() == []
    assert files.read() == ({}, {})


def test_experiments_by_name_whatever_the_format(files: ExperimentFiles) -> None:
    put(files.folder / "a.yaml")
    put(files.folder / "b.yml", name="bee")
    put(files.folder / "c.json")
    for other in (".hidden.yaml", "notes.txt", "d.yaml~"):
        put(files.folder / other)
    assert names(files) == {"a": "a.yaml", "bee": "b.yml", "c": "c.json"}
    assert files.experiment("bee").max_length == 4


def test_broken_files_are_told_beside_the_others(files: ExperimentFiles) -> None:
    put(files.folder / "good.yaml")
    bad = put(files.folder / "bad.yaml", max_length=0)
    (files.folder / "folder.yaml").mkdir()
    found, broken = files.read()
    assert list(found) == ["good"]
    assert {path.name for path in broken} == {"bad.yaml", "folder.yaml"}
    assert str(bad) in str(broken[bad])


def test_the_second_of_two_with_one_name_is_told(files: ExperimentFiles) -> None:
    put(files.folder / "a.yaml", name="same", max_length=5)
    put(files.folder / "b.yaml", name="same", max_length=6)
    found, broken = files.read()
    assert found["same"][1].max_length == 5
    (error,) = broken.values()
    assert "'same' is taken by" in str(error)


def test_asking_for_a_broken_one_tells_what_is_wrong_with_it(files: ExperimentFiles) -> None:
    put(files.folder / "bad.yaml", max_length=0)
    with pytest.raises(ExperimentError, match="max_length"):
        files.experiment("bad")


def test_asking_for_an_unknown_one_tells_which_there_are(files: ExperimentFiles) -> None:
    with pytest.raises(UnknownExperiment, match="there are: none"):
        files.experiment("absent")
    put(files.folder / "b.yaml")
    put(files.folder / "a.yaml")
    with pytest.raises(UnknownExperiment, match=r"'absent'; there are: a, b"):
        files.experiment("absent")


# Adopting -------------------------------------------------------------------------------------------------------------


def test_a_file_from_elsewhere_is_copied_under_its_name(files: ExperimentFiles, tmp_path: Path) -> None:
    outside = put(tmp_path / "study.yaml", name="pilot")
    assert files.adopt(outside).name == "pilot"
    assert names(files) == {"pilot": "pilot.yaml"}
    assert (files.folder / "pilot.yaml").read_text() == outside.read_text()
    assert [path.name for path in files.folder.iterdir()] == ["pilot.yaml"]


def test_a_file_of_the_folder_stays_where_it_is(files: ExperimentFiles) -> None:
    inside = put(files.folder / "study.yaml", name="pilot")
    files.adopt(inside)
    assert names(files) == {"pilot": "study.yaml"}


def test_a_grown_file_from_elsewhere_takes_the_place_of_the_former(files: ExperimentFiles, tmp_path: Path) -> None:
    files.adopt(put(tmp_path / "pilot.yaml"))
    files.adopt(put(tmp_path / "pilot.yaml", max_length=9))
    assert files.experiment("pilot").max_length == 9
    assert names(files) == {"pilot": "pilot.yaml"}


def test_an_equal_experiment_changes_nothing(files: ExperimentFiles, tmp_path: Path) -> None:
    """Not even its file's name: the text from elsewhere takes its name from its own file."""
    put(files.folder / "other.yaml", name="pilot")
    before = (files.folder / "other.yaml").read_text()
    files.adopt(put(tmp_path / "pilot.yaml"))
    assert names(files) == {"pilot": "other.yaml"}
    assert (files.folder / "other.yaml").read_text() == before


@pytest.mark.parametrize(("former", "later"), [("pilot.json", "pilot.yaml"), ("pilot.yaml", "pilot.json")])
def test_a_change_of_format_changes_the_suffix(former: str, later: str, files: ExperimentFiles, tmp_path: Path) -> None:
    files.adopt(put(tmp_path / former))
    files.adopt(put(tmp_path / later, max_length=9))
    assert names(files) == {"pilot": later}
    assert files.experiment("pilot").max_length == 9


def test_a_file_of_another_suffix_is_found_again(files: ExperimentFiles, tmp_path: Path) -> None:
    assert files.adopt(put(tmp_path / "pilot.txt")).name == "pilot"
    assert names(files) == {"pilot": "pilot.yaml"}


def test_another_experiment_of_a_taken_name_is_refused(files: ExperimentFiles, tmp_path: Path) -> None:
    put(files.folder / "mine.yaml", name="pilot", max_length=7)
    with pytest.raises(
        ExperimentError, match=r"'pilot' is taken by .*mine\.yaml; change that file and run it, or give"
    ):
        files.adopt(put(tmp_path / "pilot.yaml"))
    assert files.experiment("pilot").max_length == 7


def test_a_broken_file_is_not_overwritten_by_another_experiment(files: ExperimentFiles, tmp_path: Path) -> None:
    broken = put(files.folder / "pilot.yaml", max_length=0)
    before = broken.read_text()
    with pytest.raises(ExperimentError, match="is there already and holds something else"):
        files.adopt(put(tmp_path / "study.yaml", name="pilot"))
    assert broken.read_text() == before


@pytest.mark.parametrize("inside", [True, False])
def test_a_broken_file_is_not_adopted(inside: bool, files: ExperimentFiles, tmp_path: Path) -> None:
    path = put((files.folder if inside else tmp_path) / "bad.yaml", seeds=[-5])
    with pytest.raises(ExperimentError, match="seeds"):
        files.adopt(path)
    assert files.read()[0] == {}


def test_an_adopted_file_is_the_same_experiment(files: ExperimentFiles, tmp_path: Path) -> None:
    outside = put(tmp_path / "pilot.json", prompts=[{"text": "ein Hügel 🜁", "category": "x"}])
    assert files.adopt(outside) == files.experiment("pilot") == Experiment.load(outside)
