"""Tables of studies beside those of experiments: one name, two things that never meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets.lake import TABLES, Lake, LakeError, PartitionLocked, connect, removal
from panic_assets.lake.errors import CorruptPart
from panic_assets.lake.specs import EXPERIMENT_KEY, STUDY_KEY
from panic_assets.upkeep.compaction import compact_lake
from panic_assets_tests.lake.make import rows

NAME = "demo"
OF_EXPERIMENTS = ("runs", "invocations", "outcomes")
OF_STUDIES = tuple(name for name, spec in TABLES.items() if spec.of_study)


def put(lake: Lake, table: str, key: str = NAME, count: int = 3) -> None:
    with lake.writer(table, key) as writer:
        writer.append(rows(table, range(1, count + 1), key))
        writer.commit()


@pytest.fixture
def both(tmp_path: Path) -> Lake:
    """A lake with an experiment and a study of one name, in every table of studies."""
    lake = Lake(tmp_path / "lake")
    for table in (*OF_EXPERIMENTS, *OF_STUDIES):
        put(lake, table)
    return lake


def held(lake: Lake) -> dict[str, int]:
    found = {table: lake.read(table).num_rows for table in (*OF_EXPERIMENTS, *OF_STUDIES)}
    return {table: count for table, count in found.items() if count}


def test_partitions_lie_in_folders_of_their_kind(both: Lake) -> None:
    assert both.folder("runs", NAME) == both.root / "runs" / "experiment=demo"
    assert both.folder("trials", NAME) == both.root / "trials" / "study=demo"
    assert (both.experiments("runs"), both.studies("trials")) == ([NAME], [NAME])
    assert both.keys("trials") == both.keys("runs") == [NAME]
    assert set(both.places()) == {(table, NAME) for table in (*OF_EXPERIMENTS, *OF_STUDIES)}
    assert both.read("trials", where={"study": NAME}).num_rows == 3
    assert both.read("trials", where={"study": "another"}).num_rows == 0


@pytest.mark.parametrize("table", ["trials", "clusters"])
def test_tables_of_no_experiment_have_none(both: Lake, table: str) -> None:
    with pytest.raises(LakeError, match=f"table {table} is not partitioned by experiment"):
        both.experiments(table)


def test_tables_of_no_study_have_none(both: Lake) -> None:
    with pytest.raises(LakeError, match="table runs is not partitioned by study"):
        both.studies("runs")
    with pytest.raises(LakeError, match="table trials is partitioned; name the study"):
        both.folder("trials")


@pytest.mark.parametrize("now", [False, True])
def test_deleting_one_leaves_the_other(both: Lake, now: bool) -> None:
    both.delete_experiment(NAME, now)
    assert held(both) == dict.fromkeys(OF_STUDIES, 3)
    assert removal.deletions(both.root) == {NAME: False}
    assert removal.deletions(both.root, STUDY_KEY) == {}
    put(both, "runs")
    both.delete_study(NAME, now)
    assert held(both) == {"runs": 3}
    assert removal.deletions(both.root, STUDY_KEY) == {NAME: False}
    removal.end_deletion(both.root, NAME)
    assert removal.deletions(both.root, STUDY_KEY) == {NAME: False}
    removal.end_deletion(both.root, NAME, STUDY_KEY)
    assert not (both.root / removal.DELETING).exists()


@pytest.mark.parametrize(
    ("going", "gone", "stays", "command"),
    [
        (EXPERIMENT_KEY, OF_EXPERIMENTS, OF_STUDIES, "`panic delete demo`"),
        (STUDY_KEY, OF_STUDIES, OF_EXPERIMENTS, "`panic study delete demo`"),
    ],
)
def test_a_deletion_that_died_hides_its_own_tables_alone(
    both: Lake, going: str, gone: tuple[str, ...], stays: tuple[str, ...], command: str
) -> None:
    removal.begin_deletion(both.root, NAME, going)
    assert held(both) == dict.fromkeys(stays, 3)
    assert all(both.manifest(table, NAME) is None for table in gone)
    with pytest.raises(LakeError, match=f"{going} demo: its deletion has begun and not ended.*{command}"):
        put(both, gone[0])
    for table in stays:
        put(both, table, "second")
    with connect(both.root) as connection:
        assert connection.execute(f"SELECT count(*) FROM {gone[-1]}").fetchall() == [(0,)]
        assert connection.execute(f"SELECT count(*) FROM {stays[-1]}").fetchall() == [(6,)]


def test_a_writer_of_a_study_keeps_the_study_and_not_the_experiment(both: Lake) -> None:
    with both.writer("trials", NAME):
        with pytest.raises(PartitionLocked):
            both.delete_study(NAME)
        both.delete_experiment(NAME)
    assert held(both) == dict.fromkeys(OF_STUDIES, 3)


def test_compaction_takes_partitions_of_both_kinds(both: Lake) -> None:
    for _ in range(2):
        for table in ("runs", "trial_metrics"):
            with both.writer(table, NAME) as writer:
                count = both.read(table, NAME).num_rows
                writer.append(rows(table, range(count + 1, count + 3), NAME))
                writer.commit()
    before = both.read("trial_metrics")
    done = compact_lake(both, many=2)
    assert (done.compacted, done.skipped, done.damaged) == (2, (), ())
    assert done.partitions == len(OF_EXPERIMENTS) + len(OF_STUDIES)
    assert both.read("trial_metrics").equals(before)
    assert len(both.manifest("trial_metrics", NAME).parts) == 1  # type: ignore[union-attr]


def test_damage_tells_how_the_study_is_made_again(both: Lake) -> None:
    manifest = both.manifest("trials", NAME)
    assert manifest is not None
    (both.folder("trials", NAME) / manifest.parts[0].file).write_bytes(b"no part")
    with pytest.raises(CorruptPart, match="`panic study delete demo` and run the study again"):
        both.read("trials")
    assert both.read("runs").num_rows == 3


def test_rows_of_another_study_are_refused(both: Lake) -> None:
    with (
        pytest.raises(LakeError, match="column study: expected 'demo' in every row; found 'other'"),
        both.writer("trials", NAME) as writer,
    ):
        writer.append(rows("trials", [9], "other"))
