"""Upkeep of studies: an experiment and a study are both called demo, and whatever befalls one spares the other."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from panic_assets.lake import TABLES, Lake, connect
from panic_assets.lake.removal import begin_deletion, deletions, tables_are_gone
from panic_assets.lake.rules import judge
from panic_assets.lake.specs import EXPERIMENT_KEY, STUDY_KEY
from panic_assets.lake.study_rules import STUDY_RULES
from panic_assets.reports.overview import experiments_of as lines_of
from panic_assets.reports.status import size_of
from panic_assets.upkeep.backup import back_up
from panic_assets.upkeep.backup_format import BackupError
from panic_assets.upkeep.backup_sources import open_source, verify
from panic_assets.upkeep.deleting import NothingToDelete, delete_experiment
from panic_assets.upkeep.deleting_studies import delete_study, plan_study_deletion
from panic_assets.upkeep.doctor import NothingToExamine, examine, mend
from panic_assets.upkeep.garbage import collect, find_garbage
from panic_assets.upkeep.restore import restore
from panic_assets.upkeep.snapshot import experiments_of, studies_of
from panic_assets_tests.studies import sound
from panic_assets_tests.upkeep.kept import broken, copied, files, laboratory

NAME = "demo"
STUDIED = tuple(name for name, spec in TABLES.items() if spec.of_study)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment and two studies, with files, trainings, events and reports."""
    data = tmp_path_factory.mktemp("whole") / "data"
    lake = laboratory(data, NAME)
    sound.write(lake, NAME)
    sound.write(lake, "other", first=50)
    for place in (
        f"studies/{NAME}.yaml",
        f"training/{NAME}/trials/abc.json",
        f"training/{NAME}/trials/abc.safetensors",
        f"training/{NAME}/outbox.db",
        f"reports/{NAME}.html",
        f"reports/study-{NAME}.html",
        f"figures/{NAME}/drift.png",
    ):
        (data / place).parent.mkdir(parents=True, exist_ok=True)
        (data / place).write_bytes(place.encode())
    for place in ("training/events.db", f"training/{NAME}/optuna.db"):
        with closing(sqlite3.connect(data / place)) as connection, connection:
            connection.execute("CREATE TABLE told (place TEXT)")
            connection.execute("INSERT INTO told VALUES (?)", [place])
    return data


@pytest.fixture(scope="module")
def copies(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A copy that stays as it is, and where the copy of each test lies: a catalog holds paths, and is slow to make."""
    folder = tmp_path_factory.mktemp("copies")
    copied(whole, folder / "data")
    shutil.copytree(folder / "data", folder / "untouched")
    return folder / "untouched", folder / "data"


@pytest.fixture
def data(copies: tuple[Path, Path]) -> Path:
    untouched, data = copies
    shutil.rmtree(data)
    shutil.copytree(untouched, data)
    return data


def study_rows(lake: Lake, study: str = NAME) -> dict[str, pa.Table]:
    read = {table: lake.read(table, study) for table in STUDIED}
    return {table: rows for table, rows in read.items() if rows.num_rows}


def experiment_rows(lake: Lake) -> dict[str, pa.Table]:
    read = {name: lake.read(name) for name, spec in TABLES.items() if not spec.of_study}
    return {table: rows for table, rows in read.items() if rows.num_rows}


def study_alarms(lake: Lake, study: str = NAME) -> list[str]:
    with connect(lake.root) as connection:
        return [rule.name for rule in STUDY_RULES if not judge(connection, rule, study).holds]


# Deleting -------------------------------------------------------------------------------------------------------------


def test_deleting_the_experiment_spares_the_study(data: Path) -> None:
    lake = Lake(data / "lake")
    before, trained = study_rows(lake), files(data / "training")
    delete_experiment(data, NAME, now=True, with_file=True)
    collect(data, 0)
    assert (study_rows(lake), files(data / "training")) == (before, trained)
    assert (experiments_of(lake), studies_of(lake)) == ([], [NAME, "other"])
    assert experiment_rows(lake) == {}
    assert not (data / "reports" / f"{NAME}.html").exists()
    assert (data / "reports" / f"study-{NAME}.html").exists()
    assert (data / "studies" / f"{NAME}.yaml").exists()
    assert deletions(lake.root) == deletions(lake.root, STUDY_KEY) == {}


def test_deleting_the_study_spares_the_experiment(data: Path) -> None:
    lake = Lake(data / "lake")
    before, other = experiment_rows(lake), study_rows(lake, "other")
    plan = plan_study_deletion(data, NAME)
    assert [share.table for share in plan.tables] == list(STUDIED)
    assert {left.path.relative_to(data).as_posix(): left.files for left in plan.leftovers} == {
        f"reports/study-{NAME}.html": 1,
        f"training/{NAME}": 4,
    }
    assert (plan.file, plan.is_begun) == (data / "studies" / f"{NAME}.yaml", False)
    done = delete_study(data, NAME)
    assert 0 < done.freed < plan.bytes == done.freed + done.later
    assert study_rows(lake) == {}
    assert (experiment_rows(lake), study_rows(lake, "other")) == (before, other)
    assert (data / "reports" / f"{NAME}.html").exists()
    assert (data / "figures" / NAME).exists()
    assert (data / "training" / "events.db").exists()
    assert not (data / "training" / NAME).exists()
    assert (data / "studies" / f"{NAME}.yaml").exists()
    collect(data, 0)
    assert not list((data / "lake").glob(f"*/study={NAME}"))
    assert (experiment_rows(lake), broken(lake)) == (before, [])
    with pytest.raises(NothingToDelete, match="but the file that asks for it"):
        delete_study(data, NAME)
    with pytest.raises(NothingToDelete, match="holds nothing of a study 'othr'; did you mean other"):
        delete_study(data, "othr")


def test_what_was_trained_can_be_kept_and_the_file_taken(data: Path) -> None:
    done = delete_study(data, NAME, now=True, with_file=True, keep_training=True)
    assert (done.later, done.moved is not None) == (0, True)
    assert not (data / "studies" / f"{NAME}.yaml").exists()
    assert len(files(data / "training" / NAME)) == 4


@pytest.mark.parametrize("died", ["before the tables", "before the catalog"])
def test_gc_ends_the_deletion_of_a_study_that_died(data: Path, died: str) -> None:
    lake = Lake(data / "lake")
    before = experiment_rows(lake)
    begin_deletion(lake.root, NAME, STUDY_KEY)
    if died == "before the catalog":
        lake.delete_study(NAME)
        begin_deletion(lake.root, NAME, STUDY_KEY)
        tables_are_gone(lake.root, NAME, STUDY_KEY)
    found = examine(data, quick=True)
    (finding,) = [finding for finding in found.findings if finding.rule == "deletions_end"]
    assert (finding.study, finding.experiment) == (NAME, None)
    assert finding.remedy == f"panic study delete {NAME}, or panic gc"
    (item,) = find_garbage(data, 0).of("deletions")
    assert item.path.name.startswith(f"study={NAME}")
    collect(data, 0)
    assert deletions(lake.root, STUDY_KEY) == {}
    assert (study_rows(lake), experiment_rows(lake)) == ({}, before)


# Garbage --------------------------------------------------------------------------------------------------------------


def test_reports_of_studies_go_with_the_last_of_them(data: Path) -> None:
    report = data / "reports" / "study-gone.html"
    report.write_text("gone")
    assert [item.path for item in find_garbage(data, 0).of("leftovers")] == [report]
    (data / "training" / "gone").mkdir()
    assert find_garbage(data, 0).of("leftovers") == [], "what was trained is somebody's"


def test_an_experiment_may_be_called_like_the_report_of_a_study(data: Path) -> None:
    """The report of either is kept as long as one of them is there."""
    (data / "experiments" / f"study-{NAME}.yaml").write_text((data / "experiments" / f"{NAME}.yaml").read_text())
    assert plan_study_deletion(data, NAME).leftovers[0].path == data / "training" / NAME
    delete_study(data, NAME, now=True)
    assert (data / "reports" / f"study-{NAME}.html").exists()
    assert find_garbage(data, 0).of("leftovers") == []


def test_dropped_parts_of_studies_are_collected(data: Path) -> None:
    lake = Lake(data / "lake")
    sound.write(lake, NAME)
    items = {item.path for item in find_garbage(data, 0).of("old parts")}
    assert {lake.folder(table, NAME) for table in STUDIED} <= items
    collect(data, 0)
    assert study_alarms(lake) == []
    assert find_garbage(data, 0).of("old parts") == []


# Lists ----------------------------------------------------------------------------------------------------------------


def test_lists_of_experiments_hold_no_study(data: Path) -> None:
    lake = Lake(data / "lake")
    assert [line.experiment for line in lines_of(data)] == [NAME]
    of_experiment = size_of(lake, NAME)
    delete_study(data, NAME, now=True)
    assert size_of(lake, NAME) == of_experiment > 0


# Backup and restore ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["backup", "backup.tar.zst"])
def test_a_whole_backup_brings_both_back(whole: Path, tmp_path: Path, target: str) -> None:
    done = back_up(whole, tmp_path / target)
    assert (done.experiments, done.studies, done.notes, done.damaged) == ((NAME,), (NAME, "other"), (), {})
    with open_source(tmp_path / target) as source:
        assert source.backup.is_whole
        assert verify(source).damaged == {}
    data = tmp_path / "data"
    back = restore(tmp_path / target, data)
    assert (back.experiments, back.studies, back.clusters) == ((NAME,), (NAME, "other"), "restored")
    lake, was = Lake(data / "lake"), Lake(whole / "lake")
    assert (study_rows(lake), study_rows(lake, "other")) == (study_rows(was), study_rows(was, "other"))
    assert experiment_rows(lake) == experiment_rows(was)
    assert {place for place in files(data) if place.startswith(("studies/", "training/"))} == {
        f"studies/{NAME}.yaml",
        f"training/{NAME}/trials/abc.json",
        f"training/{NAME}/trials/abc.safetensors",
        f"training/{NAME}/optuna.db",
        "training/events.db",
    }
    with closing(sqlite3.connect(data / "training" / "events.db")) as connection:
        assert connection.execute("SELECT place FROM told").fetchall() == [("training/events.db",)]
    assert broken(lake) == study_alarms(lake) == []
    again = restore(tmp_path / target, data)
    assert (again.written, again.documents, again.differing) == (0, (), again.differing)
    assert set(again.differing) <= {"training/events.db", f"training/{NAME}/optuna.db"}


def test_one_of_two_of_the_same_name_is_backed_up_and_restored(whole: Path, tmp_path: Path) -> None:
    done = back_up(whole, tmp_path / "study", studies=[NAME])
    assert (done.experiments, done.studies) == ((), (NAME,))
    done = back_up(whole, tmp_path / "experiment", [NAME])
    assert (done.experiments, done.studies) == ((NAME,), ())
    back = restore(tmp_path / "study", tmp_path / "data", studies=[NAME])
    lake = Lake(tmp_path / "data" / "lake")
    assert (back.experiments, back.studies, back.clusters) == ((), (NAME,), "untouched")
    assert (experiments_of(lake), studies_of(lake)) == ([], [NAME])
    assert {path.split("/")[0] for path in files(tmp_path / "data")} == {
        "lake",
        "studies",
        "training",
        "catalog.duckdb",
    }
    with pytest.raises(BackupError, match="holds nothing of an experiment 'demo'"):
        restore(tmp_path / "study", tmp_path / "data", [NAME])
    with pytest.raises(BackupError, match="holds nothing of a study 'demo'"):
        restore(tmp_path / "experiment", tmp_path / "data", studies=[NAME])
    with pytest.raises(BackupError, match="holds nothing of a study 'demmo'; did you mean demo"):
        back_up(whole, tmp_path / "none", studies=["demmo"])


def test_a_later_backup_keeps_the_study_that_went_and_not_that_of_the_experiment(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    back_up(data, target)
    delete_study(data, NAME, now=True)
    done = back_up(data, target)
    assert (done.kept, done.studies) == ((f"study={NAME}",), (NAME, "other"))
    restore(target, data)
    assert study_alarms(Lake(data / "lake")) == []
    assert len(study_rows(Lake(data / "lake"))) == len(STUDIED)
    delete_study(data, NAME, now=True)
    assert back_up(data, target, prune=True).studies == ("other",)


def test_the_store_of_events_in_use_is_not_replaced(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup")
    database = data / "training" / "events.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO told VALUES ('later')")
    before = database.read_bytes()
    (data / "studies" / f"{NAME}.yaml").write_text("other")
    done = restore(tmp_path / "backup", data, replace_others=True)
    assert "training/events.db" in done.differing
    assert f"studies/{NAME}.yaml" in done.documents
    assert database.read_bytes() == before


def test_a_study_that_differs_is_refused_and_replaced_when_asked(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup")
    lake = Lake(data / "lake")
    before, experiments = study_rows(lake), experiment_rows(lake)
    with lake.writer("robustness", NAME) as writer:
        writer.replace([], {})
        writer.commit()
    with pytest.raises(BackupError, match=f"robustness/{NAME}"):
        restore(tmp_path / "backup", data)
    done = restore(tmp_path / "backup", data, replace_others=True)
    assert done.replaced == (f"robustness/{NAME}",)
    assert (study_rows(lake), experiment_rows(lake)) == (before, experiments)


def test_a_damaged_study_leaves_the_clusters_in_the_backup(data: Path, tmp_path: Path) -> None:
    lake = Lake(data / "lake")
    _part(lake, "trials").write_bytes(b"damaged")
    done = back_up(data, tmp_path / "backup")
    assert set(done.damaged) == {f"study={NAME}"}
    assert (done.experiments, done.studies, done.notes) == ((NAME,), ("other",), ())


# Doctor ---------------------------------------------------------------------------------------------------------------


def test_a_sound_lake_of_both_is_sound(data: Path) -> None:
    found = examine(data)
    assert found.of("broken") == []
    assert (found.examined.experiments, found.examined.studies) == (1, 2)
    assert [finding for finding in found.findings if finding.study] == []
    assert "every_file_was_run" not in {finding.rule for finding in found.findings}
    assert mend(data, found).done == []


def test_one_of_two_of_the_same_name_is_examined(data: Path) -> None:
    lake = Lake(data / "lake")
    _part(lake, "trials").write_bytes(b"damaged")
    assert examine(data, NAME).is_sound
    found = examine(data, study=NAME)
    assert not found.is_sound
    assert {(finding.study, finding.experiment) for finding in found.of("broken")} == {(NAME, None)}
    assert json.loads(found.as_json())["study"] == NAME
    assert examine(data, study="other").is_sound
    with pytest.raises(NothingToExamine, match="has no study 'none'; there are: demo, other"):
        examine(data, study="none")
    with pytest.raises(NothingToExamine, match="not both"):
        examine(data, NAME, study=NAME)


@pytest.mark.parametrize("table", ["model_runs", "robustness"])
def test_a_damaged_part_of_a_study_goes_and_the_experiment_stays(data: Path, table: str) -> None:
    lake = Lake(data / "lake")
    experiments, other = experiment_rows(lake), study_rows(lake, "other")
    part = _part(lake, table)
    content = part.read_bytes()
    part.write_bytes(content[:-1] + b"x")
    found = examine(data, study=NAME)
    assert ("parts_are_as_committed", table) in [(f.rule, f.table) for f in found.of("broken")]
    mended = mend(data, found)
    assert examine(data, study=NAME).of("broken") == []
    assert set(mended.rows) == {f"study={NAME}"}
    (aside,) = (data / "quarantine" / f"study={NAME}").iterdir()
    assert (aside / table / part.name).read_bytes() == content[:-1] + b"x"
    assert (experiment_rows(lake), study_rows(lake, "other")) == (experiments, other)
    assert [path.name for path in (data / "quarantine").iterdir()] == [f"study={NAME}"]
    sound.write(lake, NAME)  # as running it does
    assert study_alarms(lake) == []
    assert examine(data, quick=True).of("broken") == []


def test_damage_of_the_experiment_spares_the_study(data: Path) -> None:
    lake = Lake(data / "lake")
    before = study_rows(lake)
    _part(lake, "outcomes").write_bytes(b"damaged")
    found = examine(data)
    assert {finding.owner for finding in found.of("broken")} == {NAME}
    mend(data, found)
    assert study_rows(lake) == before
    assert [path.name for path in (data / "quarantine").iterdir()] == [NAME]


def test_a_manifest_of_a_study_is_made_again_of_its_parts(data: Path) -> None:
    lake = Lake(data / "lake")
    before = study_rows(lake)
    (lake.folder("trials", NAME) / "_manifest.json").unlink()
    (lake.folder("trial_metrics", NAME) / "_manifest.json").write_bytes(b"{")
    mend(data, examine(data, study=NAME))
    assert (study_rows(lake), study_alarms(lake)) == (before, [])
    assert examine(data, study=NAME).is_sound


def test_rows_that_come_twice_or_are_of_nothing_go(data: Path) -> None:
    lake = Lake(data / "lake")
    rows = lake.read("robustness", NAME).to_pylist()
    with lake.writer("robustness", NAME) as writer:
        writer.append([rows[0] | {"value": 0.1}, rows[1] | {"trial_id": "none"}])
        writer.commit()
    found = examine(data, study=NAME)
    assert {finding.rule for finding in found.of("broken")} == {"keys_are_unique", "every_robustness_has_its_trial"}
    assert {finding.remedy for finding in found.of("broken")} == {
        f"panic doctor --fix puts the rows aside, then `panic study run {NAME}` writes them again"
    }
    mend(data, found)
    assert examine(data, study=NAME).is_sound
    assert lake.read("robustness", NAME).num_rows == len(rows) - 1


def test_doubts_are_hints(data: Path) -> None:
    lake = Lake(data / "lake")
    rows = lake.read("lipschitz", NAME).to_pylist()
    with lake.writer("lipschitz", NAME) as writer:
        writer.replace([row | {"value": 9.0} if row["quantity"] == "reshaped_sigma" else row for row in rows], {})
        writer.commit()
    found = examine(data, study=NAME)
    assert found.is_sound
    (finding,) = [finding for finding in found.findings if finding.study == NAME]
    assert (finding.rule, finding.severity) == ("spectral_norms_keep_to_their_coefficient", "hint")


def test_a_study_that_is_being_written_is_named_and_left_alone(data: Path) -> None:
    lake = Lake(data / "lake")
    part = _part(lake, "trials")
    part.write_bytes(b"damaged")
    with lake.writer("lipschitz", NAME):
        found = examine(data, quick=True)
        assert set(found.being_written) == {f"study={NAME}"}
        told = [finding for finding in found.findings if finding.rule == "is_being_written"]
        assert [(finding.study, finding.experiment) for finding in told] == [(NAME, None)]
        assert mend(data, found).done == []
    assert part.exists()
    mend(data, examine(data, study=NAME))
    assert examine(data, study=NAME).is_sound


def test_deletions_of_the_experiment_hide_nothing_of_the_study(data: Path) -> None:
    lake = Lake(data / "lake")
    begin_deletion(lake.root, NAME, EXPERIMENT_KEY)
    _part(lake, "trials").write_bytes(b"damaged")
    found = examine(data)
    assert {finding.owner for finding in found.of("broken")} == {f"study={NAME}"}
    assert found.examined.experiments == 0


def test_a_folder_of_the_wrong_kind_is_of_no_table(data: Path) -> None:
    lake = Lake(data / "lake")
    shutil.copytree(lake.folder("trials", NAME), lake.root / "trials" / f"experiment={NAME}")
    found = examine(data, quick=True)
    (finding,) = [finding for finding in found.findings if finding.rule == "every_folder_is_known"]
    assert finding.path == lake.root / "trials" / f"experiment={NAME}"
    assert lake.read("trials", NAME).num_rows == 6


def _part(lake: Lake, table: str) -> Path:
    manifest = lake.manifest(table, NAME)
    assert manifest is not None
    return lake.folder(table, NAME) / manifest.parts[0].file
