"""Compaction of a lake: which partitions, what stays, and who is left in peace."""

from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets.lake import Lake
from panic_assets.upkeep.compaction import compact_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Partition `loose` of six parts, `few` of two, and a table of all experiments of five."""
    made = Lake(tmp_path / "lake")
    for experiment, count in (("loose", 6), ("few", 2)):
        for number in reversed(range(count)):
            add_prompt(made, experiment, number)
    return made


def add_prompt(lake: Lake, experiment: str, number: int) -> None:
    row = {"experiment": experiment, "prompt_number": number, "prompt": f"prompt {number}", "tags": None}
    with lake.writer("prompts", experiment) as writer:
        writer.append([row])
        writer.commit()


def parts(lake: Lake, experiment: str) -> int:
    manifest = lake.manifest("prompts", experiment)
    return len(manifest.parts) if manifest else 0


def test_many_parts_become_one_and_rows_stay(lake: Lake) -> None:
    before = lake.read("prompts").to_pylist()
    done = compact_lake(lake)
    assert (done.partitions, done.compacted, done.parts_before, done.parts_after) == (2, 1, 8, 3)
    assert (parts(lake, "loose"), parts(lake, "few")) == (1, 2)
    assert lake.read("prompts").to_pylist() == before
    assert lake.verify("prompts", "loose") == []


def test_again_there_is_nothing_to_do(lake: Lake) -> None:
    compact_lake(lake)
    generation = lake.generation("prompts", "loose")
    done = compact_lake(lake)
    assert (done.compacted, done.parts_before, done.parts_after) == (0, 3, 3)
    assert lake.generation("prompts", "loose") == generation


def test_how_many_are_many_is_said_by_the_caller(lake: Lake) -> None:
    assert compact_lake(lake, many=7).compacted == 0
    assert compact_lake(lake, many=2).compacted == 2
    add_prompt(lake, "loose", 6)
    assert compact_lake(lake, many=2).compacted == 0  # one new part beside a compacted one
    assert compact_lake(lake, many=1).compacted == 1
    assert parts(lake, "loose") == 1


def test_what_is_being_written_is_left_for_the_next_time(lake: Lake) -> None:
    with lake.writer("prompts", "loose"):
        done = compact_lake(lake)
    assert (done.compacted, done.skipped) == (0, ("prompts/loose",))
    assert compact_lake(lake).skipped == ()


def test_a_damaged_partition_holds_up_no_other(lake: Lake) -> None:
    for number in range(2, 6):
        add_prompt(lake, "few", number)
    manifest = lake.manifest("prompts", "few")
    assert manifest is not None
    (lake.folder("prompts", "few") / manifest.parts[0].file).write_bytes(b"no Parquet")
    lake.folder("prompts", "gone").mkdir()
    (lake.folder("prompts", "gone") / "_manifest.json").write_text("{")
    done = compact_lake(lake)
    assert done.damaged == ("prompts/few", "prompts/gone")
    assert done.compacted == 1
    assert done.as_json()["damaged"] == ["prompts/few", "prompts/gone"]
    assert lake.manifest("prompts", "few") == manifest


def test_old_parts_stay_for_readers_until_they_are_collected(lake: Lake) -> None:
    manifest = lake.manifest("prompts", "loose")
    assert manifest is not None
    compact_lake(lake)
    assert all((lake.folder("prompts", "loose") / part.file).exists() for part in manifest.parts)
    assert lake.tidy(older_than_seconds=0) == 6


def test_progress_and_an_empty_lake(lake: Lake, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    compact_lake(lake, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert compact_lake(Lake(tmp_path / "none")).partitions == 0
