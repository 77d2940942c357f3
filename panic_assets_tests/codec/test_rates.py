"""Rates of an experiment in a real lake: which pictures, which rows, and when nothing is measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from panic_assets.codec import rates
from panic_assets.codec.comparing import OURS, RIVALS, settings
from panic_assets.codec.rates import (
    NotMeasured,
    RatesSummary,
    compare_experiment,
    measure_experiment,
    rows_of,
    sample_of,
    told_of,
)
from panic_assets.codec.verdicts import MEASURES, verdicts
from panic_assets.lake import Lake, connect
from panic_assets.lake.codec_rules import CODEC_RULES
from panic_assets.lake.rules import judge
from panic_assets_tests.loop.parts import experiment, registry, run

FEW = ((2, 9, 16), (20, 60, 90))


def _lake(folder: Path, **values: Any) -> Lake:
    """Pictures of 24 pixels, which only seeds of -1 make ever new."""
    given = {
        "seeds": [-1],
        "models": {"DummyT2I": {"parameters": {"side": 24}}},
        "embedding_models": ["DummyText", "DummyVision"],
    }
    lake = Lake(folder / "lake")
    run(lake, experiment(**(given | values)))
    return lake


def _measure(lake: Lake, **options: Any) -> RatesSummary:
    return measure_experiment(lake, "small", registry(), **({"count": 3, "qualities": FEW} | options))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return _lake(tmp_path_factory.mktemp("rates"))


def test_the_sample_is_the_same_each_time_and_spread_over_all(lake: Lake) -> None:
    every = sample_of(lake, "small", 1000)
    assert len(every.hashes) == every.of == 12
    assert set(every.hashes) == set(lake.read("images", "small").column("image_hash").to_pylist())
    three = sample_of(lake, "small", 3)
    assert three.hashes == every.hashes[::4] == sample_of(lake, "small", 3).hashes
    assert (three.of, three.why_not) == (12, "")


def test_rates_are_measured_once_kept_and_compared(lake: Lake) -> None:
    with pytest.raises(NotMeasured, match="`panic codec report small` does it"):
        told_of(lake, "small")
    heard: list[tuple[int, int]] = []
    summary = _measure(lake, on_progress=lambda done, total: heard.append((done, total)))
    count = len(settings(qualities=FEW))
    assert summary == RatesSummary(count, count, 3, 12, "DummyVision", "")
    assert heard[-1] == (count, count)
    rows = lake.read("codec_rates", "small").to_pylist()
    assert {row["embedding_model"] for row in rows} == {"DummyVision"}
    assert {row["setting"] for row in rows} == {one.name for one in settings(qualities=FEW)}
    assert {row["pictures"] for row in rows} == {3}
    for row in rows:
        assert 0 <= row["container_bytes"] < row["bytes"]
        if row["quality"] is None:
            assert row["psnr"] == float("inf")
            assert row["drift"] < 1e-12
    assert (len(told_of(lake, "small").hashes), told_of(lake, "small").of) == (3, 12)

    generation = lake.generation("codec_rates", "small")
    assert _measure(lake).computed == 0
    assert lake.generation("codec_rates", "small") == generation
    found = compare_experiment(lake, "small")
    assert found == verdicts(rows_of(lake, "small"))
    kept = lake.read("codec_comparisons", "small").to_pylist()
    assert {(row["against"], row["measure"], row["counted"]) for row in kept} == {
        (rival, measure.name, counted) for rival in RIVALS for measure in MEASURES for counted in ("files", "payload")
    }
    assert {row["sentence"] for row in kept} == {one.sentence for one in found}
    with connect(lake.root) as connection:
        assert [rule.name for rule in CODEC_RULES if not judge(connection, rule, "small").holds] == []


def test_another_sample_lost_rows_and_a_wish_are_reasons_to_measure_again(lake: Lake) -> None:
    _measure(lake)
    only = ((16,), (90,))
    assert _measure(lake, count=2, qualities=only).computed == len(settings(qualities=only))
    assert {row["pictures"] for row in lake.read("codec_rates", "small").to_pylist()} == {2}
    with lake.writer("codec_rates", "small") as writer:
        writer.replace([row for row in lake.read("codec_rates", "small").to_pylist() if row["codec"] != OURS], {})
        writer.commit()
    assert _measure(lake, count=2, qualities=only).computed > 0
    assert _measure(lake, count=2, qualities=only).computed == 0
    assert _measure(lake, count=2, qualities=only, anew=True).computed > 0


def test_pictures_that_have_lost_something_are_no_originals(tmp_path: Path) -> None:
    lake = _lake(tmp_path, image_format="jpeg-90")
    summary = _measure(lake)
    assert (summary.settings, summary.computed, summary.pictures) == (0, 0, 0)
    assert summary.why_not == (
        "experiment small has no originals: its pictures are stored as jpeg-90, which has lost something already; "
        "image_format: webp-lossless keeps them"
    )
    assert lake.read("codec_rates", "small").num_rows == 0
    assert told_of(lake, "small").why_not == summary.why_not
    assert compare_experiment(lake, "small") == []
    with connect(lake.root) as connection:
        assert all(judge(connection, rule, "small").holds for rule in CODEC_RULES)


def test_an_experiment_of_texts_has_no_pictures(tmp_path: Path) -> None:
    lake = _lake(tmp_path, networks=[["DummyT2T"]], models={}, embedding_models=["DummyText"])
    assert "has no originals: it has no pictures" in _measure(lake).why_not


def test_of_lossy_and_lossless_pictures_only_the_lossless_are_sampled(lake: Lake, tmp_path: Path) -> None:
    other = Lake(tmp_path / "lake")
    rows = lake.read("images", "small").to_pylist()
    for row in rows[:5]:
        row["format"] = "jpeg-80"
    rows[4]["format"] = "webp"  # as imported pictures are labelled
    with other.writer("images", "small") as writer:
        writer.append(rows)
        writer.commit()
    assert sample_of(other, "small", 99).hashes == tuple(row["image_hash"] for row in rows[5:])


def test_a_change_of_libraries_is_a_reason_too(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    only = ((16,), (90,))
    _measure(lake, count=1, qualities=only)
    monkeypatch.setattr(rates, "version", lambda name: "0")
    assert _measure(lake, count=1, qualities=only).computed > 0
