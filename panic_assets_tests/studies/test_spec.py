"""Study files: what they may say, what is said of those that are wrong, and the folder of them."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from panic_assets.studies.records import Hyperparameters
from panic_assets.studies.spec import SpecError, StudyFiles, StudySpec, UnknownStudy
from panic_assets.studies.spec_sections import HyperValues

ASKED: dict[str, Any] = {"task": "next_step", "data": {"experiments": ["demo"], "embedding_model": "MiniLM"}}
SPACE = {
    "learning_rate": {"low": "1e-5", "high": 1e-2, "log": True},  # YAML takes 1e-5 for a text
    "width": {"low": 16, "high": 64},
    "dropout": {"choices": [0, 0.1]},
    "coefficient": {"low": 0.5, "high": 1},
}


def spec(**values: Any) -> StudySpec:
    return StudySpec.parse({"name": "small"} | ASKED | values)


def problems(**values: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec(**values)
    return caught.value.problems


def put(path: Path, **values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(ASKED | values) if path.suffix == ".json" else yaml.safe_dump(ASKED | values))
    return path


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_short_file_is_a_whole_study(tmp_path: Path, suffix: str) -> None:
    read = StudySpec.load(put(tmp_path / f"first{suffix}"))
    assert read.name == "first"
    assert read.hyperparameters == Hyperparameters()
    assert list(read.arms) == ["none", "spectral_norm", "weight_decay", "gradient_clipping", "dropout"]
    assert read.comparison is not None
    assert read.comparison.pair_seeds == tuple(range(10))
    assert read.search is None
    assert (read.data.split.train, read.data.split.seed) == (0.6, 0)


def test_the_canonical_form_is_plain_json_and_reads_as_the_same_study() -> None:
    made = spec(search={"space": SPACE}, comparison={"seeds": [5, 3]})
    plain = json.loads(json.dumps(made.canonical(), allow_nan=False))
    again = StudySpec.parse(plain)
    assert again == made
    assert again.spec_id == made.spec_id
    assert plain["arms"]["spectral_norm"] == {"spectral_norm": True}
    assert set(plain["hyperparameters"]) == {field.name for field in fields(Hyperparameters)}


def test_what_is_a_default_and_what_is_written_make_one_study_and_anything_else_another() -> None:
    assert spec(hyperparameters={"width": 64}).spec_id == spec().spec_id
    assert spec(hyperparameters={"width": 65}).spec_id != spec().spec_id
    assert spec(arms={"none": None, "a": {"dropout": 0.5}}, claim=None).arms == {"none": {}, "a": {"dropout": 0.5}}


def test_every_hyperparameter_can_be_written_and_is_limited() -> None:
    assert set(HyperValues.model_fields) == {field.name for field in fields(Hyperparameters)}
    assert HyperValues().model_dump() == HyperValues(**vars(Hyperparameters())).model_dump() == vars(Hyperparameters())


def test_arms_change_what_is_theirs_alone() -> None:
    made = spec(hyperparameters={"width": 16, "epochs": 3})
    assert made.hyperparameters_of("none") == Hyperparameters(width=16, epochs=3)
    assert made.hyperparameters_of("dropout") == Hyperparameters(width=16, epochs=3, dropout=0.2)
    assert made.hyperparameters_of("dropout", Hyperparameters(dropout=0.4, layers=1)).dropout == 0.2


def test_a_space_has_whole_numbers_where_the_field_has_and_leaves_out_what_an_arm_sets() -> None:
    made = spec(search={"space": SPACE})
    assert made.search is not None
    ends = {name: dimension.ends for name, dimension in made.search.space.items()}
    assert ends == {"learning_rate": (1e-5, 1e-2), "width": (16, 64), "dropout": None, "coefficient": (0.5, 1.0)}
    assert ends["width"] is not None
    assert isinstance(ends["width"][0], int)
    assert set(made.space_of("none")) == {"learning_rate", "width", "dropout"}
    assert set(made.space_of("dropout")) == {"learning_rate", "width"}
    assert set(made.space_of("spectral_norm")) == set(SPACE)
    assert spec().space_of("none") == {}


def test_all_problems_of_a_file_are_told_at_once_with_field_value_and_remedy() -> None:
    told = problems(
        task="next_steps",
        dta={},
        data={"experimens": ["demo"], "split": {"tst": 0.3}, "horizon": "two"},
        hyperparameters={"widht": 3, "learning_rate": "fast", "layers": 2.5, "coefficient": 0, "spectral_norm": "yes"},
        arms={"a": {"weight": 1}},
        evaluation={"epsilons": {"l2": [2, 1]}},
        budget={"seconds": float("inf")},
    )
    for words in (
        "task: \"next_steps\" must be 'next_step'",
        "dta: is not a field; did you mean data?",
        "data.experimens: is not a field; did you mean experiments?",
        "data.split.tst: is not a field; did you mean test?",
        'data.horizon: "two" must be a whole number',
        "hyperparameters.widht: is not a field; did you mean width?",
        'hyperparameters.learning_rate: "fast" must be a number',
        "hyperparameters.layers: 2.5 must be a whole number",
        "hyperparameters.coefficient: 0 must be greater than 0",
        'hyperparameters.spectral_norm: "yes" must be true or false',
        "arms.a.weight: is not a field; did you mean weight_decay?",
        "epsilons.l2: must be rising",
        "budget.seconds: Infinity must be a finite number",
    ):
        assert any(words in problem for problem in told), words
    assert len(told) == 13


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data": {}}, "data.experiments: is empty"),
        ({"data": {"experiments": ["demo", "demo"], "embedding_model": "m"}}, "'demo' is there more than once"),
        ({"task": "digits"}, "digits come with scikit-learn"),
        ({"hyperparameters": {"kind": "cnn"}}, "hyperparameters.kind: cnn takes pictures"),
        ({"arms": {"none": {}, "spectral_norm": {"kind": "cnn"}}}, "arms.spectral_norm.kind: cnn takes pictures"),
        ({"search": {"space": {"kind": {"choices": ["mlp", "cnn"]}}}}, "search.space.kind: cnn takes pictures"),
        ({"arms": {"none": {}, "same": {"layers": 2}}, "claim": None}, "arms.same: is the same as arms.none"),
        ({"arms": {"none": {}, "A": {"layers": 1}}, "claim": None}, "'A' must be 1 to 63 of a-z"),
        ({"arms": {"none": {}}, "claim": None}, "none alone can't be compared"),
        ({"arms": {}}, "arms: {} must not be empty"),
        ({"comparison": {"reference": "x"}}, "there is no arm 'x'; the arms are none"),
        ({"comparison": {"hyperparameters": "searched"}}, "searched needs a search section"),
        ({"comparison": {"seeds": [1, 1]}}, "seeds: has repeats"),
        ({"comparison": {"seeds": [1, 2], "pairs": 3}}, "2 seeds but 3 pairs"),
        ({"comparison": None}, "nothing would be trained"),
        ({"claim": {"arm": "none"}}, "none is the reference itself"),
        ({"claim": {"arm": "b"}}, "claim.arm: there is no arm 'b'"),
        ({"claim": {"metric": "test_acuracy"}}, "did you mean test_accuracy?"),
        ({"claim": {"metric": "ece"}}, "next_step has no measure 'ece'"),
        ({"search": {"space": {"spectral_norm": {"choices": [True, False]}}}}, "spectral_norm can't be searched"),
        ({"search": {"space": {"speed": {"low": 0, "high": 1}}}}, "speed is no hyperparameter"),
        ({"search": {"space": {"width": {"low": 0, "high": 9}}}}, "width: 0: must be greater than or equal to 1"),
        ({"search": {"space": {"width": {"low": 1.5, "high": 9}}}}, "width: 1.5: must be a valid integer"),
        ({"search": {"space": {"width": {"low": 9, "high": 3}}}}, "low 9 is not below high 3"),
        ({"search": {"space": {"dropout": {"low": 0, "high": 0.5, "log": True}}}}, "log: needs a low above 0"),
        ({"search": {"space": {"width": {"low": 9}}}}, "needs low and high, or choices"),
        ({"search": {"space": {"width": {"low": 9, "choices": [1]}}}}, "keep one of the two forms"),
        ({"search": {"space": {"width": {"choices": []}}}}, "choices: is empty"),
        ({"search": {"space": {"activation": {"choices": ["relu", "sine"]}}}}, "activation: 'sine': must be 'relu'"),
        ({"search": {"space": {}}}, "search.space: {} must not be empty"),
        ({"search": {"space": SPACE, "metric": "validation_accuracy"}}, "write maximize"),
        ({"data": {"split": {"train": 0.9}}}, "add up to 1.3; they must add up to 1"),
        ({"name": "No"}, "name: must be 1 to 63 of a-z"),
    ],
)
def test_what_sections_must_agree_on_is_told(values: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in problems(**values))


def test_files_that_are_no_studies_are_named(tmp_path: Path) -> None:
    for text, words in ((":\n- a: [", "is not YAML"), ("- a", "a study is a mapping"), ("", "a study is a mapping")):
        path = tmp_path / "bad.yaml"
        path.write_text(text)
        with pytest.raises(SpecError, match=words) as caught:
            StudySpec.load(path)
        assert str(path) in str(caught.value)
    with pytest.raises(SpecError, match="can't be read"):
        StudySpec.load(tmp_path / "none.yaml")


def test_a_folder_tells_its_studies_and_what_is_wrong_with_the_others(tmp_path: Path) -> None:
    put(tmp_path / "a.yaml")
    put(tmp_path / "b.yaml", name="a")
    put(tmp_path / "c.yaml", task="nothing")
    put(tmp_path / ".hidden.yaml")
    files = StudyFiles(tmp_path)
    studies, broken = files.read()
    assert list(studies) == ["a"]
    assert {path.name for path in broken} == {"b.yaml", "c.yaml"}
    assert "is taken by" in str(broken[tmp_path / "b.yaml"])
    assert files.study("a").name == "a"
    with pytest.raises(SpecError, match="nothing"):
        files.study("c")
    with pytest.raises(UnknownStudy, match="there are: a"):
        files.study("d")
    assert StudyFiles(tmp_path / "none").read() == ({}, {})


def test_a_file_is_taken_into_the_folder_and_a_changed_one_takes_its_place(tmp_path: Path) -> None:
    files = StudyFiles(tmp_path / "studies")
    adopted = files.adopt(put(tmp_path / "new.yaml"))
    assert adopted == files.study("new")
    changed = files.adopt(put(tmp_path / "new.json", description="again"))
    assert [path.name for path in files.paths()] == ["new.json"]
    assert changed == files.study("new") != adopted
    assert files.adopt(tmp_path / "studies" / "new.json") == changed


def test_a_file_never_takes_the_place_of_another_study(tmp_path: Path) -> None:
    files = StudyFiles(tmp_path / "studies")
    files.adopt(put(tmp_path / "a.yaml"))
    with pytest.raises(SpecError, match="is taken by"):
        files.adopt(put(tmp_path / "b.yaml", name="a", description="other"))
    put(tmp_path / "studies" / "c.yaml", task="nothing")
    with pytest.raises(SpecError, match="is there already"):
        files.adopt(put(tmp_path / "c.yaml"))
    assert files.study("a").description == ""
