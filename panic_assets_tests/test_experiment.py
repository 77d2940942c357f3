"""The experiment file: every form that is taken, and every mistake with the words it is answered with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.experiment import Experiment, ExperimentError, Prompt
from panic_assets.models.registry import load_registry

REGISTRY = load_registry()
GOOD: dict[str, Any] = {
    "name": "tides",
    "networks": [["DummyT2I", "DummyI2T"]],
    "prompts": ["a boat"],
    "seeds": [1],
    "max_length": 10,
    "embedding_models": ["DummyText"],
}


class _Absent:
    """Stands for a field that is left out; it prints the same in every process, as names of tests must."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


def _values(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | changes).items() if value is not ABSENT}


def _problems(**changes: Any) -> list[str]:
    with pytest.raises(ExperimentError) as caught:
        Experiment.parse(_values(**changes)).check(REGISTRY)
    for problem in caught.value.problems:
        assert f"\n  - {problem}" in str(caught.value)
    return caught.value.problems


def test_a_yaml_file_is_read_and_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "my-tides_2.yaml"
    path.write_text(
        """
description: What stays of a boat?
networks:
  - [DummyT2I, DummyI2T]
  - [DummyT2T]
prompts:
  - été
  - {text: a hill, category: control, pair: "1"}
  - {text: a cave, tags: {category: control}}
seeds: [0, 5, -1, -1]
max_length: 50
embedding_models: [DummyText]
models:
  DummyT2I: {parameters: {side: 64}}
cycle: continue
quality: stop
image_format: webp-90
""",
        encoding="utf-8",
    )
    read = Experiment.load(path)
    read.check(REGISTRY)
    assert read.name == "my-tides_2"
    assert read.networks == (("DummyT2I", "DummyI2T"), ("DummyT2T",))
    assert read.prompts == (
        Prompt(text="été"),
        Prompt(text="a hill", tags={"category": "control", "pair": "1"}),
        Prompt(text="a cave", tags={"category": "control"}),
    )
    assert read.seeds == (0, 5, -1, -1)
    assert (read.cycle, read.quality, read.image_format) == ("continue", "stop", "webp-90")
    assert read.models == {"DummyT2I": {"parameters": {"side": 64}}}


def test_a_json_file_is_read_and_may_name_itself(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(GOOD))
    assert Experiment.load(path) == Experiment.parse(GOOD)
    assert Experiment.load(str(path)).name == "tides"


def test_what_is_left_out_has_defaults() -> None:
    read = Experiment.parse(_values(seeds=ABSENT))
    assert read.seeds == (-1,)
    assert (read.cycle, read.quality, read.image_format) == ("stop", "record", "webp-lossless")


@pytest.mark.parametrize("count", ["seed_count", "num_runs", "replicates"])
def test_a_number_of_runs_means_so_many_unseeded_ones(count: str) -> None:
    assert Experiment.parse(_values(seeds=ABSENT, **{count: 3})).seeds == (-1, -1, -1)


@pytest.mark.parametrize("network", [["DummyT2I", "DummyI2T"], [["DummyT2I", "DummyI2T"]]])
def test_one_network_may_be_called_network(network: object) -> None:
    read = Experiment.parse(_values(networks=ABSENT, network=network, seeds=ABSENT, num_runs=2))
    assert read.networks == (("DummyT2I", "DummyI2T"),)


FIELD_MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"name": "Tides"}, 'name: "Tides" must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit'),
    ({"name": "tides\n"}, r'name: "tides\n" must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit'),
    ({"name": "a" * 64}, f'name: "{"a" * 64}" must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit'),
    ({"name": ABSENT}, "name: is missing"),
    ({"networks": ABSENT}, "networks: is missing"),
    ({"networks": []}, "networks: is empty; give at least one"),
    ({"networks": [[]]}, "networks[0]: is empty; a ring has at least one model"),
    ({"networks": ABSENT, "network": []}, "networks[0]: is empty; a ring has at least one model"),
    ({"networks": ABSENT, "network": 5}, "networks[0]: 5 must be a list"),
    ({"networks": "DummyT2T"}, 'networks: "DummyT2T" must be a list'),
    ({"networks": None}, "networks: null must be a list"),
    ({"networks": [["DummyT2T", 3]]}, "networks[0][1]: 3 must be text; put it in quotes"),
    ({"network": ["DummyT2T"]}, "has both network and networks; keep networks"),
    ({"networks": [["DummyT2T"]] * 2}, "networks: 'DummyT2T' is there 2 times; remove the repeats"),
    ({"prompts": []}, "prompts: is empty; give at least one"),
    ({"prompts": "a boat"}, 'prompts: "a boat" must be a list'),
    ({"prompts": ["a", "a", "b"]}, "prompts: 'a' is there 2 times; remove the repeats"),
    ({"prompts": [""]}, 'prompts[0].text: "" must not be empty'),
    ({"prompts": [True]}, "prompts[0]: true must be a text, or a mapping with text and tags"),
    ({"prompts": ["\ud800"]}, r'prompts[0].text: "\ud800" must be Unicode; remove half characters'),
    ({"prompts": [{"text": "a", "tag": "b", "tags": {}}]}, "prompts[0].tag: is not a field; did you mean tags?"),
    ({"prompts": [{"text": "a", "tags": {"n": 1}}]}, "prompts[0].tags.n: 1 must be text; put it in quotes"),
    ({"seeds": []}, "seeds: is empty; give at least one"),
    ({"seeds": [1, -1, 1, -1]}, "seeds: 1 is there 2 times; remove the repeats"),
    ({"seeds": [-2]}, "seeds: [-2] -2 is neither -1 (unseeded) nor in 0 .. 2^63-1"),
    ({"seeds": [2**63]}, f"seeds: [{2**63}] {2**63} is neither -1 (unseeded) nor in 0 .. 2^63-1"),
    ({"seeds": [True]}, "seeds[0]: true must be a whole number"),
    ({"seeds": [1.5]}, "seeds[0]: 1.5 must be a whole number"),
    ({"seeds": 3}, "seeds: 3 must be a list"),
    ({"seed_count": 3}, "has seed_count and seeds; keep one"),
    ({"seeds": ABSENT, "num_runs": 0}, "num_runs: 0 is not a positive whole number"),
    ({"seeds": ABSENT, "num_runs": True}, "num_runs: True is not a positive whole number"),
    ({"seeds": ABSENT, "replicates": 1, "num_runs": 2}, "has replicates and num_runs; keep one"),
    ({"max_length": ABSENT}, "max_length: is missing"),
    ({"max_length": 0}, "max_length: 0 must be greater than 0"),
    ({"max_length": -4}, "max_length: -4 must be greater than 0"),
    ({"max_length": True}, "max_length: true must be a whole number"),
    ({"max_length": 1_000_001}, "max_length: 1000001 must be less than or equal to 1000000"),
    ({"embedding_models": []}, "embedding_models: is empty; give at least one"),
    ({"embedding_models": ["DummyText"] * 3}, "embedding_models: 'DummyText' is there 3 times; remove the repeats"),
    ({"models": {"DummyT2I": 5}}, "models.DummyT2I: 5 must be a mapping of names to values"),
    ({"cycle": "go"}, "cycle: \"go\" must be 'stop' or 'continue'"),
    ({"quality": "drop"}, "quality: \"drop\" must be 'record' or 'stop'"),
    (
        {"image_format": "webp-101"},
        'image_format: "webp-101" must be webp-lossless, png, latent-lossless, or webp-Q, avif-Q, jpeg-Q with a '
        "quality Q of 0 to 100, or latent-Q, vae-Q with one of 1 to 16",
    ),
    ({"embeding_models": []}, "embeding_models: is not a field; did you mean embedding_models?"),
    ({"seed_cuont": 3}, "seed_cuont: is not a field; did you mean seed_count?"),
]


@pytest.mark.parametrize(("changes", "problem"), FIELD_MISTAKES, ids=lambda value: str(value)[:50])
def test_a_wrong_field_is_named_with_its_value_and_what_would_be_right(changes: dict[str, Any], problem: str) -> None:
    assert _problems(**changes) == [problem]


MODEL_MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"networks": [["DummyT2I", "DumyI2T"]]},
        "networks[0]: there is no model 'DumyI2T'; did you mean DummyI2T or DummyI2T2 or DummyT2T?",
    ),
    ({"networks": [["Xyz"]]}, "networks[0]: there is no model 'Xyz'; `panic models` lists what exists"),
    (
        {"networks": [["DummyT2I", "DummyT2T", "DummyT2I", "DummyI2T"]]},
        "networks[0]: DummyT2I gives image, but DummyT2T takes text",
    ),
    (
        {"networks": [["DummyT2T", "DummyT2I"]]},
        "networks[0]: DummyT2I gives image, but DummyT2T takes text (the link that closes the ring)",
    ),
    ({"networks": [["DummyText"]]}, "networks[0]: DummyText is an embedding model; a ring is made of generators"),
    ({"embedding_models": ["DummyT2I"]}, "embedding_models[0]: DummyT2I is a generator; give an embedding model"),
    (
        {"embedding_models": ["DummyText", "DummyVison"]},
        "embedding_models[1]: there is no model 'DummyVison'; did you mean DummyVision or DummyVision2 or NomicVision?",
    ),
    (
        {"networks": [["DummyT2T"]], "embedding_models": ["DummyVision"]},
        "embedding_models[0]: DummyVision embeds image, but the networks give only text",
    ),
    ({"models": {"DummyT2T": {}}}, "models.DummyT2T: no network and no embedding model uses DummyT2T"),
]


@pytest.mark.parametrize(("changes", "problem"), MODEL_MISTAKES, ids=lambda value: str(value)[:50])
def test_a_model_that_does_not_fit_is_named_with_the_reason(changes: dict[str, Any], problem: str) -> None:
    assert _problems(**changes) == [problem]


def test_a_ring_must_begin_with_text_and_close() -> None:
    assert _problems(networks=[["DummyI2T", "DummyT2T"]]) == [
        "networks[0]: starts with DummyI2T, which takes image; a run starts with a prompt (text)",
        "networks[0]: DummyT2T gives text, but DummyI2T takes image (the link that closes the ring)",
    ]


def test_all_violations_come_in_one_message() -> None:
    problems = _problems(
        networks=[["DummyT2I", "DummyT2T"], ["Nothing", "DummyText"], ["DummyI2T"]],
        embedding_models=["DummyVison", "DummyT2T"],
        models={"DummyI2I": {}},
    )
    assert [problem.split(":")[0] for problem in problems] == [
        "networks[0]",
        "networks[1]",
        "networks[1]",
        "networks[2]",
        "networks[2]",
        "embedding_models[0]",
        "embedding_models[1]",
        "models.DummyI2I",
    ]
    assert len(_problems(name="A", seeds=[1.5, "x"], max_length=0, extra=1)) == 5
    assert len(_problems(prompts=["a", "a"], seeds=[], embedding_models=[])) == 3


def test_the_count_of_problems_and_the_origin_are_told(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"^a\.yaml: 2 problems\n  - "):
        Experiment.parse(_values(max_length=0, seeds=3), where="a.yaml")
    with pytest.raises(ExperimentError, match=r"^experiment tides: 1 problem\n"):
        Experiment.parse(_values(networks=[["Xyz"]])).check(REGISTRY)
    with pytest.raises(ExperimentError, match=r"^b\.yaml: 1 problem\n"):
        Experiment.parse(_values(networks=[["Xyz"]])).check(REGISTRY, where="b.yaml")


def test_an_embedding_model_is_not_judged_by_a_ring_with_an_unknown_model() -> None:
    changes = {"networks": [["DummyT2T"], ["Xyz", "DummyI2T"]], "embedding_models": ["DummyVision"]}
    assert [problem.split(":")[0] for problem in _problems(**changes)] == ["networks[1]"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("broken.yaml", "networks: [a\nprompts: b", "broken.yaml: 1 problem\n  - is not YAML: "),
        ("broken.yml", "a: b: c", "is not YAML: "),
        ("broken.json", "{", "broken.json: 1 problem\n  - is not JSON: "),
        ("empty.yaml", "", "an experiment is a mapping of fields such as networks, prompts, seeds"),
        ("list.json", "[1]", "an experiment is a mapping of fields such as networks, prompts, seeds"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ExperimentError) as caught:
        Experiment.load(path)
    assert message in str(caught.value)


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"absent\.yaml: 1 problem\n  - can't be read: .*No such file"):
        Experiment.load(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes("prompts: [été]".encode("latin-1"))
    with pytest.raises(ExperimentError, match="can't be read: 'utf-8' codec"):
        Experiment.load(tmp_path / "latin.yaml")


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


NEEDED: dict[str, st.SearchStrategy[Any]] = {
    "name": st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True),
    "networks": st.lists(
        st.lists(st.sampled_from(["DummyT2T", "DummyT2I", "DummyI2T"]), min_size=1, max_size=4),
        min_size=1,
        max_size=3,
        unique_by=tuple,
    ),
    "prompts": st.lists(
        TEXTS | st.fixed_dictionaries({"text": TEXTS, "tags": st.dictionaries(TEXTS, TEXTS, max_size=2)}),
        min_size=1,
        max_size=4,
        unique_by=lambda prompt: prompt if isinstance(prompt, str) else prompt["text"],
    ),
    "seeds": st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True).map(lambda s: [*s, -1, -1]),
    "max_length": st.integers(1, 1_000_000),
    "embedding_models": st.just(["DummyText", "DummyVision"]),
}
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "description": st.text(st.characters(codec="utf-8"), max_size=20),
    "cycle": st.sampled_from(["stop", "continue"]),
    "quality": st.sampled_from(["record", "stop"]),
    "image_format": st.sampled_from(["png", "webp-lossless"])
    | st.builds("{}-{}".format, st.sampled_from(["webp", "avif", "jpeg"]), st.integers(0, 100)),
    "models": st.dictionaries(
        st.sampled_from(["DummyT2T", "DummyText"]), st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=2)
    ),
}


@settings(max_examples=60, deadline=None)
@given(values=st.fixed_dictionaries(NEEDED, optional=OPTIONAL))
def test_the_config_of_an_experiment_is_the_experiment(values: dict[str, Any]) -> None:
    read = Experiment.parse(values)
    assert Experiment.parse(read.config) == read
    assert Experiment.parse(json.loads(json.dumps(read.config))) == read
    assert Experiment.parse(yaml.safe_load(yaml.safe_dump(read.config))) == read
    assert read.config == Experiment.parse(read.config).config
