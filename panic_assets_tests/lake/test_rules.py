"""The integrity rules: no alarm where all is well, and each defect found by its rule, with the right rows."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from panic_assets.clustering.density import Parameters
from panic_assets.clustering.stage import cluster_lake
from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import TABLES, Lake, connect
from panic_assets.lake.codec_rules import CODEC_RULES
from panic_assets.lake.rules import RULES, Rule, Verdict, judge
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.planning import resolve_models
from panic_assets.topology.stage import persist_experiment
from panic_assets_tests.codec import measured
from panic_assets_tests.loop.parts import experiment, plain_pool, registry, run

NAME = "small"
JUDGED = (*RULES, *CODEC_RULES)
BOTH = ["DummyText", "DummyVision"]
Rows = list[dict[str, Any]]
Where = Mapping[str, Any]


def settings(**parameters: Any) -> dict[str, Any]:
    """Overrides for the ring of text and picture: of few states, so that seeded runs cycle."""
    few = {"states": 3}
    return {"DummyT2I": {"parameters": {"side": 8} | few | parameters}, "DummyI2T": {"parameters": few}}


def fill(lake: Lake, *asked: Experiment) -> Lake:
    """Run all stages, as the assets do."""
    for one in asked:
        run(lake, one)
        embed_experiment(lake, one, resolve_models(one, registry()), [LocalDevice(plain_pool())])
        persist_experiment(lake, one.name)
    cluster_lake(lake, Parameters(floor=2, min_samples=2))
    return lake


def verdicts(lake: Lake, name: str = NAME) -> dict[str, Verdict]:
    with connect(lake.root) as connection:
        return {rule.name: judge(connection, rule, name) for rule in JUDGED}


def alarms(lake: Lake, name: str = NAME) -> dict[str, Rows]:
    return {rule: verdict.examples for rule, verdict in verdicts(lake, name).items() if not verdict.holds}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Runs 0 and 2 end in a cycle, 1 and 3 at their length 12, 4 and 5 fail at once; six more say new texts only."""
    asked = experiment(
        networks=[["DummyT2I", "DummyI2T"], ["DummyT2T"]],
        prompts=["a boat", "a hill", "a cave"],
        seeds=[7, -1],
        models=settings(fail_on="cave"),
        embedding_models=BOTH,
    )
    lake = fill(Lake(tmp_path_factory.mktemp("healthy") / "lake"), asked)
    reasons = lake.read("outcomes", NAME).column("stop_reason").to_pylist()
    assert reasons == ["cycle", "length"] * 2 + ["failed"] * 2 + ["length"] * 6
    assert lake.read("clusters").num_rows > 0
    measured.fill(lake, NAME)
    return lake


# No false alarms ------------------------------------------------------------------------------------------------------


def test_an_empty_lake_breaks_no_rule(tmp_path: Path) -> None:
    assert alarms(Lake(tmp_path)) == {}


def test_runs_that_cycle_fail_or_go_on_break_no_rule(healthy: Lake) -> None:
    assert alarms(healthy) == {}


HEALTHY: dict[str, dict[str, Any]] = {
    "cycles gone round": {"cycle": "continue", "models": settings()},
    "stopped for quality": {"quality": "stop", "models": settings(black_on="e"), "seeds": [1, -1]},
    "quality and cycle": {"quality": "stop", "models": settings(states=1, black_on="w"), "seeds": [1, -1]},
    "texts alone": {"networks": [["DummyT2T"]], "models": {}},
    "ring of one model and another": {"networks": [["DummyT2I", "DummyI2I", "DummyI2T"], ["DummyT2T"]]},
    "pictures alone are embedded": {"embedding_models": ["DummyVision"]},
    "failed before the first picture": {
        "networks": [["DummyT2T", "DummyT2I", "DummyI2T"]],
        "embedding_models": BOTH,
        "models": {"DummyT2I": {"parameters": {"side": 8, "fail_on": " "}}},
    },
    "runs of one invocation": {"max_length": 1, "embedding_models": BOTH},
    "runs of two": {"max_length": 2, "embedding_models": BOTH},
    "a single output for ever": {"models": settings(states=1), "cycle": "continue"},
    "lossy pictures": {"image_format": "jpeg-50"},
}


@pytest.mark.parametrize("kind", HEALTHY)
def test_healthy_lakes_break_no_rule(kind: str, tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path), experiment(**HEALTHY[kind]))
    assert lake.read("outcomes", NAME).num_rows > 0
    assert alarms(lake) == {}


def test_an_experiment_that_grew_and_lost_an_embedding_model_breaks_no_rule(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path), experiment(embedding_models=BOTH, max_length=6))
    fill(lake, experiment(embedding_models=["DummyText"], max_length=14, prompts=["a boat", "a tree"]))
    assert alarms(lake) == {}


def test_an_experiment_that_was_shortened_breaks_no_rule(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path), experiment(max_length=12))
    fill(lake, experiment(max_length=6))
    assert alarms(lake) == {}


def test_rules_judge_one_experiment_beside_others(healthy: Lake, tmp_path: Path) -> None:
    shutil.copytree(healthy.root, tmp_path / "lake")
    lake = fill(Lake(tmp_path / "lake"), experiment(name="other"))
    change(lake, "invocations", drop(run_number=1, sequence_number=2))
    assert alarms(lake, "other") == {}
    assert "sequences_are_contiguous" in alarms(lake)


def test_a_model_of_both_media_breaks_no_rule(tmp_path: Path) -> None:
    """Its texts and pictures are trajectories of their own; the registry has no such dummy, so two are joined."""
    asked = experiment(embedding_models=BOTH)
    lake = Lake(tmp_path)
    run(lake, asked)
    embed_experiment(lake, asked, resolve_models(asked, registry()), [LocalDevice(plain_pool())])
    change(lake, "embeddings", edit({}, embedding_model="Joint", space="Joint@1/64/normalised"))
    change(
        lake, "experiments", lambda rows: [r | {"config": json.dumps({"embedding_models": ["Joint"]})} for r in rows]
    )
    persist_experiment(lake, NAME)
    cluster_lake(lake)
    assert {row["modality"] for row in lake.read("persistence_diagrams", NAME).to_pylist()} == {"text", "image"}
    assert alarms(lake) == {}


# Planted defects ------------------------------------------------------------------------------------------------------

Change = Callable[[Rows], Rows]


def change(lake: Lake, table: str, how: Change) -> None:
    """Rewrite a table; the store checks types, not sense."""
    key = NAME if TABLES[table].partitioned else None
    rows = lake.read(table, key).to_pylist()
    changed = how([dict(row) for row in rows])
    assert changed != rows, "nothing was planted"
    with lake.writer(table, key) as writer:
        writer.replace(changed, {})
        writer.commit()


def meets(row: Where, where: Where) -> bool:
    return all(row[name] == value for name, value in where.items())


def edit(where: Where, **changes: Any) -> Change:
    """``changes`` may be functions of the row."""

    def changed(row: dict[str, Any]) -> dict[str, Any]:
        return row | {name: value(row) if callable(value) else value for name, value in changes.items()}

    return lambda rows: [changed(row) if meets(row, where) else row for row in rows]


def drop(**where: Any) -> Change:
    return lambda rows: [row for row in rows if not meets(row, where)]


def copy(where: Where, **changes: Any) -> Change:
    return lambda rows: rows + [row | changes for row in rows if meets(row, where)]


def first_only(how: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    return lambda rows: [how(rows[0]), *rows[1:]]


@dataclass(frozen=True)
class Plant:
    """A defect in one table, and rows that its rule must name: each is part of one of the examples."""

    what: str
    table: str
    how: Change
    named: tuple[dict[str, Any], ...]
    count: int | None = None


PICTURE = {"run_number": 1, "sequence_number": 0}
TEXT = {"run_number": 1, "sequence_number": 1}
VECTOR = {"embedding_model": "DummyText", **TEXT}
DIAGRAM = {"run_number": 1, "embedding_model": "DummyText", "homology_dimension": 0}
TRAJECTORY = {"run_number": 1, "embedding_model": "DummyText", "modality": "text"}
HASH = bytes(range(16))
AVIF = {"setting": "AVIF 3"}
VERDICT = {"against": "AVIF", "measure": "ms_ssim"}

PLANTS: dict[str, tuple[Plant, ...]] = {
    "every_run_has_its_prompt": (
        Plant("no prompt", "prompts", drop(prompt_number=1), ({"run_number": 2}, {"run_number": 3}), 4),
        Plant("another text", "prompts", edit({"prompt_number": 0}, prompt="a ship"), ({"run_number": 0},), 4),
    ),
    "runs_are_distinct": (
        Plant(
            "number twice", "runs", copy({"run_number": 1}, run_id=HASH), ({"run_number": 1, "run_id": HASH.hex()},), 2
        ),
        Plant(
            "identity twice", "runs", copy({"run_number": 1}, run_number=99), ({"run_number": 1}, {"run_number": 99}), 2
        ),
    ),
    "every_run_has_an_outcome": (
        Plant("no outcome", "outcomes", drop(run_number=1), ({"run_number": 1},), 1),
        Plant("an unknown run", "runs", copy({"run_number": 1}, run_number=99), ({"run_number": 99},), 1),
    ),
    "outcomes_agree_with_invocations": (
        Plant("too long", "outcomes", edit({"run_number": 1}, length=13), ({"run_number": 1, "invocations": 12},), 1),
        Plant("rows lost", "invocations", drop(run_number=1), ({"run_number": 1, "invocations": 0},), 1),
        Plant("no reason", "outcomes", edit({"run_number": 1}, stop_reason="tired"), ({"stop_reason": "tired"},), 1),
        Plant("no cycle", "outcomes", edit({"run_number": 1}, stop_reason="cycle"), ({"run_number": 1},), 1),
        Plant("cycle of nothing", "outcomes", edit({"run_number": 0}, cycle_length=0), ({"cycle_length": 0},), 1),
        Plant("cycle outside", "outcomes", edit({"run_number": 0}, transient_length=99), ({"run_number": 0},), 1),
        Plant("half a cycle", "outcomes", edit({"run_number": 0}, transient_length=None), ({"run_number": 0},), 1),
        Plant("before time", "runs", edit({"run_number": 1}, max_length=50), ({"run_number": 1, "length": 12},), 1),
        Plant("no error", "outcomes", edit({"run_number": 4}, error=None), ({"stop_reason": "failed"},), 1),
        Plant("of no run", "runs", drop(run_number=5), ({"run_number": 5},), 1),
    ),
    "sequences_are_contiguous": (
        Plant("a gap", "invocations", drop(run_number=1, sequence_number=5), ({"run_number": 1, "rows": 11},), 1),
        Plant("no start", "invocations", drop(**PICTURE), ({"run_number": 1, "first": 1},), 1),
        Plant("twice", "invocations", copy(TEXT), ({"run_number": 1, "rows": 13, "last": 11},), 1),
        Plant("gap and repeat", "invocations", edit(TEXT, sequence_number=0), ({"run_number": 1, "rows": 12},), 1),
    ),
    "models_follow_the_ring": (
        Plant("another model", "invocations", edit(TEXT, model="DummyI2T2"), (TEXT | {"model": "DummyI2T2"},), 1),
        Plant("of no run", "runs", drop(run_number=1), (PICTURE, TEXT), 12),
    ),
    "outputs_are_there": (
        Plant("no text", "invocations", edit(TEXT, text=None), (TEXT,), 1),
        Plant("no picture", "invocations", edit(PICTURE, image_hash=None), (PICTURE,), 1),
        Plant("both", "invocations", edit(TEXT, image_hash=HASH), (TEXT,), 1),
        Plant("a third medium", "invocations", edit(TEXT, type="sound"), (TEXT | {"type": "sound"},)),
        Plant("two media", "invocations", edit(PICTURE, type="text", text="a", image_hash=None), (PICTURE,)),
    ),
    "every_image_is_stored": (
        Plant(
            "never stored", "invocations", edit(PICTURE, image_hash=HASH), (PICTURE | {"image_hash": HASH.hex()},), 1
        ),
        Plant("all lost", "images", lambda rows: rows[:0], ({"run_number": 0, "sequence_number": 0},)),
    ),
    "every_sound_is_stored": (
        Plant(
            "never stored",
            "invocations",
            edit(TEXT, type="audio", text=None, audio_hash=HASH),
            ({k: TEXT[k] for k in ("run_number", "sequence_number")} | {"audio_hash": HASH.hex().upper()},),
            1,
        ),
    ),
    "embeddings_have_their_invocation": (
        Plant("of nothing", "embeddings", copy(VECTOR, sequence_number=99), (VECTOR | {"sequence_number": 99},), 1),
        Plant(
            "before the prompt", "embeddings", copy(VECTOR, sequence_number=-2), (VECTOR | {"sequence_number": -2},), 1
        ),
        Plant(
            "prompt of no run",
            "embeddings",
            copy(VECTOR, run_number=99, sequence_number=-1),
            ({"run_number": 99, "sequence_number": -1},),
            1,
        ),
        Plant("of another medium", "embeddings", edit(VECTOR, modality="image"), (VECTOR,), 1),
        Plant(
            "prompt as a picture",
            "embeddings",
            edit({"run_number": 1, "sequence_number": -1}, modality="image"),
            ({"run_number": 1, "sequence_number": -1},),
            1,
        ),
    ),
    "embeddings_are_complete": (
        Plant("an output left out", "embeddings", drop(**VECTOR), (VECTOR | {"vectors": 0},), 1),
        Plant("a prompt left out", "embeddings", drop(run_number=1, sequence_number=-1), ({"sequence_number": -1},), 1),
        Plant("outputs left out", "embeddings", lambda rows: [r for r in rows if r["sequence_number"] < 0], (VECTOR,)),
        Plant("twice", "embeddings", copy(VECTOR), (VECTOR | {"vectors": 2},), 1),
        Plant("a whole model", "embeddings", drop(embedding_model="DummyText"), ({"embedding_model": "DummyText"},), 1),
        Plant("all", "embeddings", lambda rows: rows[:0], tuple({"embedding_model": name} for name in BOTH), 2),
    ),
    "vectors_are_sound": (
        Plant("not a number", "embeddings", edit(VECTOR, vector=lambda r: [math.nan, *r["vector"][1:]]), (VECTOR,), 1),
        Plant("infinite", "embeddings", edit(VECTOR, vector=lambda r: [math.inf, *r["vector"][1:]]), (VECTOR,), 1),
        Plant("too long", "embeddings", edit(VECTOR, vector=lambda r: [1.01 * x for x in r["vector"]]), (VECTOR,), 1),
        Plant("nothing", "embeddings", edit(VECTOR, vector=[0.0] * 64), (VECTOR,), 1),
        Plant("another size", "embeddings", edit(VECTOR, space="DummyText@1/63/normalised"), (VECTOR,), 1),
    ),
    "every_trajectory_has_its_diagrams": (
        Plant("none", "persistence_diagrams", drop(**TRAJECTORY), (TRAJECTORY | {"rows": None},), 1),
        Plant("two of three", "persistence_diagrams", drop(**DIAGRAM), (TRAJECTORY | {"rows": 2},), 1),
        Plant("one twice", "persistence_diagrams", copy(DIAGRAM), (TRAJECTORY | {"rows": 4},), 1),
        Plant("out of date", "persistence_diagrams", edit(TRAJECTORY, points=5), ({"points_of_diagrams": 5},), 1),
        Plant("of no trajectory", "persistence_diagrams", copy(TRAJECTORY, run_number=99), ({"run_number": 99},), 1),
    ),
    "features_agree_with_diagrams": (
        Plant("none", "persistence_features", drop(**DIAGRAM), (DIAGRAM | {"bars_of_features": None},), 1),
        Plant(
            "of another diagram",
            "persistence_features",
            edit(DIAGRAM, bars=99),
            (DIAGRAM | {"bars_of_features": 99},),
            1,
        ),
        Plant("twice", "persistence_features", copy(DIAGRAM), (DIAGRAM,), 1),
        Plant(
            "of no diagram", "persistence_features", copy(DIAGRAM, run_number=99), (DIAGRAM | {"run_number": 99},), 1
        ),
    ),
    "one_component_lives_for_ever": (
        Plant(
            "all die", "persistence_diagrams", edit(DIAGRAM, deaths=lambda r: [1.0] * len(r["deaths"])), (DIAGRAM,), 1
        ),
        Plant(
            "two live",
            "persistence_diagrams",
            edit(DIAGRAM, deaths=lambda r: [math.inf] * 2 + r["deaths"][2:]),
            (DIAGRAM,),
            1,
        ),
        Plant(
            "a loop lives",
            "persistence_diagrams",
            edit(DIAGRAM | {"homology_dimension": 1}, births=[0.5], deaths=[math.inf]),
            (DIAGRAM | {"homology_dimension": 1},),
            1,
        ),
    ),
    "bars_die_after_their_birth": (
        Plant(
            "at once", "persistence_diagrams", edit(DIAGRAM, births=[0.0, 0.5], deaths=[math.inf, 0.5]), (DIAGRAM,), 1
        ),
        Plant("before", "persistence_diagrams", edit(DIAGRAM, births=[1.0], deaths=[0.5]), (DIAGRAM,), 1),
        Plant("no number", "persistence_diagrams", edit(DIAGRAM, births=[1.0], deaths=[math.nan]), (DIAGRAM,), 1),
        Plant("no birth", "persistence_diagrams", edit(DIAGRAM, births=[math.nan], deaths=[1.0]), (DIAGRAM,), 1),
        Plant("no deaths", "persistence_diagrams", edit(DIAGRAM, deaths=lambda r: r["deaths"][1:]), (DIAGRAM,), 1),
    ),
    "assignments_have_their_cluster": (
        Plant(
            "a cluster too many",
            "cluster_assignments",
            first_only(lambda row: row | {"cluster": 77}),
            ({"cluster": 77},),
            1,
        ),
        Plant("no clusters", "clusters", lambda rows: rows[1:], ()),
        Plant("no clustering", "clusterings", lambda rows: rows[1:], ()),
        Plant(
            "of no output",
            "cluster_assignments",
            first_only(lambda row: row | {"sequence_number": 99}),
            ({"sequence_number": 99, "experiment": NAME},),
            1,
        ),
        Plant("vectors are gone", "embeddings", lambda rows: rows[:0], ()),
    ),
    "medoids_are_members": (
        Plant(
            "elsewhere", "clusters", first_only(lambda row: row | {"medoid_sequence_number": 99}), ({"cluster": 0},), 1
        ),
        Plant("another run", "clusters", first_only(lambda row: row | {"medoid_run_number": 99}), ({"cluster": 0},), 1),
        Plant(
            "another experiment",
            "clusters",
            first_only(lambda row: row | {"medoid_experiment": "x"}),
            ({"cluster": 0},),
            1,
        ),
    ),
    "cluster_sizes_add_up": (
        Plant("a size", "clusters", first_only(lambda row: row | {"size": 999}), ({"points": 999},), 1),
        Plant("a point left out", "cluster_assignments", lambda rows: rows[1:], ()),
        Plant("a sum", "clusterings", first_only(lambda row: row | {"points": 999}), ({"points": 999},), 1),
    ),
    "rates_are_sound": (
        Plant("of more pictures", "codec_rates", edit(AVIF, pictures=1), (AVIF | {"pictures": 1},), 1),
        Plant("of all too many", "codec_rates", edit({}, pictures=10**6), (AVIF,)),
        Plant("of none", "codec_rates", edit({}, pictures=0), (AVIF,)),
        Plant("all container", "codec_rates", edit(AVIF, container_bytes=lambda r: r["bytes"]), (AVIF,), 1),
        Plant("no bytes", "codec_rates", edit(AVIF, bytes=0.0, bpp=0.0), (AVIF,), 1),
        Plant("other bits", "codec_rates", edit(AVIF, bpp=lambda r: 1.01 * r["bpp"]), (AVIF,), 1),
        Plant("better than equal", "codec_rates", edit(AVIF, ms_ssim=1.1), (AVIF | {"ms_ssim": 1.1},), 1),
        Plant("no number", "codec_rates", edit(AVIF, psnr=math.nan), (AVIF,), 1),
        Plant("beyond opposite", "codec_rates", edit(AVIF, drift=2.5), (AVIF | {"drift": 2.5},), 1),
        Plant("lost without loss", "codec_rates", edit({"quality": None, "codec": "WebP"}, psnr=50.0), (), 1),
        Plant("before its time", "codec_rates", edit(AVIF, decode_seconds=-1.0), (AVIF,), 1),
        Plant("pictures are gone", "images", lambda rows: rows[:1], (AVIF,)),
    ),
    "comparisons_are_of_measured_codecs": (
        Plant("never measured", "codec_rates", lambda rows: [r for r in rows if r["codec"] != "AVIF"], (VERDICT,), 8),
        Plant("half of it", "codec_comparisons", drop(**VERDICT, counted="payload"), (VERDICT,), 1),
        Plant("by nothing known", "codec_comparisons", edit(VERDICT, measure="taste"), ({"measure": "taste"},), 2),
        Plant("less than nothing", "codec_comparisons", edit(VERDICT, change=-1.0), (VERDICT | {"change": -1.0},), 2),
        Plant("a share of two", "codec_comparisons", edit(VERDICT, lost_share=2.0), (VERDICT,), 2),
        Plant("no range", "codec_comparisons", edit(VERDICT, worst=None), (VERDICT,), 2),
        Plant("ends exchanged", "codec_comparisons", edit(VERDICT, best=0.0), (VERDICT,), 2),
        Plant("without a word", "codec_comparisons", edit(VERDICT, sentence=""), (VERDICT,), 2),
    ),
}


def test_every_rule_has_planted_defects() -> None:
    assert sorted(PLANTS) == sorted(rule.name for rule in JUDGED)
    assert all(PLANTS.values())


@pytest.mark.parametrize(
    ("rule", "plant"),
    [
        pytest.param(rule, plant, id=f"{rule.name}-{plant.what}")
        for rule in JUDGED
        for plant in PLANTS.get(rule.name, ())
    ],
)
def test_a_planted_defect_is_found(rule: Rule, plant: Plant, healthy: Lake, tmp_path: Path) -> None:
    shutil.copytree(healthy.root, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    change(lake, plant.table, plant.how)
    with connect(lake.root, rule.tables) as connection:
        verdict = judge(connection, rule, NAME)
    assert not verdict.holds
    if plant.count is not None:
        assert verdict.count == plant.count
    assert len(verdict.examples) == min(verdict.count, 5)
    for expected in plant.named:
        assert any(meets(example, expected) for example in verdict.examples), verdict.examples
    json.dumps(verdict.examples, allow_nan=False)


# What is told ---------------------------------------------------------------------------------------------------------


def test_rules_are_named_once_and_belong_to_tables() -> None:
    assert len({rule.name for rule in JUDGED}) == len(JUDGED)
    for rule in JUDGED:
        assert rule.name.isidentifier()
        assert rule.meaning
        assert rule.of_experiment == TABLES[rule.asset].partitioned


def test_the_sentence_names_rows_and_how_many_more(healthy: Lake, tmp_path: Path) -> None:
    shutil.copytree(healthy.root, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    change(lake, "runs", drop(run_number=1))
    verdict = verdicts(lake)["models_follow_the_ring"]
    assert verdict.sentence.startswith("12 rows of invocations break the rule that the model at a place is")
    assert "run_number 1, sequence_number 0, model DummyT2I" in verdict.sentence
    assert verdict.sentence.endswith("; and 7 more")


def test_the_sentence_of_one_row(healthy: Lake, tmp_path: Path) -> None:
    shutil.copytree(healthy.root, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    change(lake, "outcomes", drop(run_number=1))
    sentence = verdicts(lake)["every_run_has_an_outcome"].sentence
    assert sentence.startswith("1 row of outcomes breaks the rule that each run")
    assert sentence.endswith(": run_number 1")
