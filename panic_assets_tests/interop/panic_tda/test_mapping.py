"""What things of a source are called here."""

from __future__ import annotations

from typing import Any

import pytest

from panic_assets.experiment import ExperimentError
from panic_assets.interop.panic_tda.mapping import (
    experiment_key,
    experiment_of,
    number_runs,
    run_identity,
    space_name,
)
from panic_assets.interop.panic_tda.records import SourceExperiment, SourceRun

RINGS = [["Flux", "BLIP"], ["SDXL", "Moondream"]]
ID = "06b00af6c0ffee00" * 2


def source(**values: Any) -> SourceExperiment:
    given = {
        "networks": RINGS,
        "prompts": ["b", "a"],
        "embedding_models": ["Nomic"],
        "max_length": 10,
        "seeds": [7, -1],
    }
    return SourceExperiment(ID, **given | values)  # type: ignore[arg-type]


def run(name: str, ring: int = 0, prompt: str = "b", seed: int | None = 7, number: int | None = None) -> SourceRun:
    return SourceRun(name, ID, RINGS[ring], prompt, 10, seed, number)


def as_held(numbered: list[Any]) -> list[dict[str, Any]]:
    """Rows of the table ``runs``."""
    return [vars(plan) for plan, _ in numbered]


def names(numbered: list[Any]) -> list[str]:
    return [run.source_id for _, run in numbered]


def test_a_name_has_as_many_digits_as_it_needs() -> None:
    assert experiment_key(ID, {"demo"}.__contains__) == "tda-06b00af6"
    assert experiment_key(ID, {"tda-06b00af6", "tda-06b00af6c"}.__contains__) == "tda-06b00af6c0"
    assert experiment_key(ID, lambda name: True) == f"tda-{ID}"


def test_runs_are_numbered_as_the_experiment_lists_them() -> None:
    runs = [run("4", 1, "b", 7), run("3", 0, "a", -1), run("2", 0, "b", -1), run("1", 0, "a", 7), run("0", 0, "b", 7)]
    numbered = number_runs(source(), runs, [])
    assert names(numbered) == ["0", "1", "2", "3", "4"]
    assert [plan.run_number for plan, _ in numbered] == [0, 1, 2, 3, 4]
    assert [plan.prompt_number for plan, _ in numbered] == [0, 1, 0, 1, 0]
    assert [plan.run_id for plan, _ in numbered] == [run_identity(name) for name in "01234"]


def test_replicates_are_ranks_of_identifiers_among_equal_runs() -> None:
    runs = [run("c", seed=-1), run("a", seed=-1), run("b", seed=-1), run("x", seed=7), run("y", prompt="a", seed=-1)]
    numbered = number_runs(source(), runs, [])
    assert {r.source_id: plan.replicate for plan, r in numbered} == {"a": 0, "b": 1, "c": 2, "x": 0, "y": 0}


def test_replicates_of_the_elixir_era_are_its_run_numbers() -> None:
    runs = [run("a", seed=None, number=3), run("b", seed=None, number=1)]
    numbered = number_runs(source(seeds=None, num_runs=4), runs, [])
    assert [(r.source_id, plan.replicate, plan.seed) for plan, r in numbered] == [("b", 1, -1), ("a", 3, -1)]


def test_runs_that_are_there_keep_number_replicate_and_prompt() -> None:
    first = number_runs(source(), [run("m", seed=-1), run("n", prompt="a")], [])
    held = as_held(first)
    # Earlier in every order: by identifier, and by its prompt, which the experiment does not list.
    more = [run("a", seed=-1), run("k", prompt="0"), run("m", seed=-1), run("n", prompt="a")]
    again = number_runs(source(), more, held)
    assert again[:2] == first
    assert [(r.source_id, plan.run_number, plan.replicate) for plan, r in again[2:]] == [("k", 2, 0), ("a", 3, 1)]
    assert again[2][0].prompt_number == 2


def test_the_experiment_asks_for_what_the_source_asked_for_once() -> None:
    made = experiment_of(
        "tda-1", source(networks=[*RINGS, RINGS[0]], prompts=["b", "a", "b"], seeds=[7, -1, -1, 7]), "f"
    )
    assert made.networks == tuple(map(tuple, RINGS))
    assert [prompt.text for prompt in made.prompts] == ["b", "a"]
    assert made.seeds == (7, -1, -1)
    assert (made.imported_from, made.embedding_models, made.max_length) == ("panic-tda", (), 10)
    assert experiment_of("tda-1", source(seeds=None, num_runs=3), "f").seeds == (-1, -1, -1)


def test_what_a_person_put_into_the_file_stays() -> None:
    made = experiment_of("tda-1", source(), "f").config
    made |= {"embedding_models": ["DummyText"], "description": "mine"}
    made["prompts"][0]["tags"] = {"category": "animals"}
    grown = experiment_of("tda-1", source(prompts=["b", "a", "c"]), "f", made)
    assert grown.embedding_models == ("DummyText",)
    assert grown.description == "mine"
    assert [(prompt.text, prompt.tags) for prompt in grown.prompts] == [
        ("b", {"category": "animals"}),
        ("a", {}),
        ("c", {}),
    ]


def test_an_experiment_that_asks_for_nothing_is_none() -> None:
    with pytest.raises(ExperimentError, match="networks: is empty"):
        experiment_of("tda-1", source(networks=[[]]), "f")


def test_a_space_says_where_its_vectors_come_from() -> None:
    assert space_name("Nomic", 768, True) == "imported/Nomic@unknown/768/normalised"
    assert space_name("JinaClip", 256, False) == "imported/JinaClip@unknown/256/raw"
