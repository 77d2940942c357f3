"""The doctor: no alarm where all is well, every malady named by its rule, mended, and made again by a run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.dynamics.stage import analyse
from panic_assets.lake import TABLES, Lake
from panic_assets.lake.locks import locked
from panic_assets.lake.manifest import MANIFEST, load_manifest
from panic_assets.lake.quarantine import NOTE, checksum_of
from panic_assets.lake.writer import LOCK
from panic_assets.upkeep.doctor import NothingToExamine, examine, mend
from panic_assets.upkeep.findings import Examination, Severity
from panic_assets.upkeep.mending import ORDER
from panic_assets.upkeep.plan import plan_mending
from panic_assets_tests.loop.parts import run
from panic_assets_tests.upkeep.ill import NAME, asked, contents, rewritten, work
from panic_assets_tests.upkeep.maladies import MALADIES, Malady

BY_NAME = {malady.what: malady for malady in MALADIES}
#: Maladies of one lake at once, each of a place of its own; True: and the run afterwards makes it as it was.
GROUPS = (
    (True, ("a bit flips in invocations", "prompts are gone", "a manifest is cut short", "clusters are gone")),
    (
        False,
        ("vectors are cut short", "a bit flips in a footer", "a wrong count of rows", "the manifest of another"),
    ),
    (True, ("pictures are gone", "the description is gone", "features are gone", "a wrong label")),
    (
        True,
        (
            *(
                "runs are gone",
                "an output is gone",
                "no picture",
                "a vector that is none",
                "an outcome that is too long",
            ),
            *("a diagram is gone", "a point is gone"),
        ),
    ),
    (
        False,
        (
            *("a manifest is gone", "rows of another experiment", "another picture", "a diagram twice"),
            *("a distance is gone", "a part that nobody lists"),
        ),
    ),
    (
        True,
        (
            *("the wrong model", "another identity", "an output twice", "an output and another", "another cycle"),
            *("a picture of the wrong size", "vectors of another space", "a bar that never was"),
            *("a distance that is none", "a cluster of none"),
        ),
    ),
    (
        False,
        (
            *("the wrong medium", "another noise", "a run of nobody", "a picture is gone", "a vector of no output"),
            *("a cycle that is not told", "a cycle that is none", "flags that are none", "a run twice"),
            *("a file of nobody", "a temporary file"),
        ),
    ),
    (False, ("a type that is not declared", "vectors of another dimension", "distances are gone")),
    (False, ("a null", "a picture that nobody names", "a clustering is gone")),
)
ANALYSED = ("an analysis is gone", "a statistic of no run")


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data directory before its analyses were made, and one with them."""
    plain, whole = tmp_path_factory.mktemp("healthy") / "plain", tmp_path_factory.mktemp("healthy") / "whole"
    for folder in (plain, whole):
        folder.mkdir()
    work(whole, asked(), analyses=False)
    shutil.copytree(whole, plain, dirs_exist_ok=True)
    for analysis in ANALYSES:
        analyse(Lake(whole / "lake"), NAME, analysis)
    return plain, whole


def copied(healthy: Path, tmp_path: Path) -> tuple[Path, Lake]:
    data = tmp_path / "data"
    shutil.copytree(healthy, data)
    return data, Lake(data / "lake")


def broken(found: Examination) -> list[tuple[str, str]]:
    return [(finding.rule, finding.table) for finding in found.of("broken")]


def in_quarantine(data: Path) -> Iterator[Path]:
    yield from (path for path in (data / "quarantine").rglob("*") if path.is_file() and path.name != NOTE)


def keys(path: Path, table: str) -> set[tuple[object, ...]]:
    rows = pq.ParquetFile(path).read(columns=list(TABLES[table].key))
    return {tuple(row.values()) for row in rows.to_pylist()}


def held(data: Path) -> dict[Path, str]:
    """Files with rows in the lake that no commit dropped, with their checksums."""
    found = {}
    for path in (data / "lake").rglob("*.parquet"):
        dropped: set[str] = set()
        try:
            manifest = load_manifest(path.parent)
            dropped = {entry.file for entry in manifest.retired} if manifest else set()
        except Exception:  # a damaged manifest drops nothing
            dropped = set()
        if path.name not in dropped:
            found[path] = checksum_of(path)
    return found


def missing_rows(data: Path, before: dict[Path, str]) -> list[tuple[object, ...]]:
    """Rows of files that were there, and are neither in the lake nor in the quarantine."""
    aside = list(in_quarantine(data))
    files = {checksum_of(path) for path in aside}
    lost: list[tuple[object, ...]] = []
    now: dict[str, set[tuple[object, ...]]] = {}
    for path, checksum in before.items():
        table = path.relative_to(data / "lake").parts[0]
        if checksum in files:
            continue
        if table not in now:
            now[table] = set().union(
                *(keys(p, table) for p in held(data) if p.relative_to(data / "lake").parts[0] == table),
                *(keys(p, table) for p in aside if p.parent.name == table and p.name.startswith("rows-of-")),
            )
        lost += keys(path, table) - now[table]
    return lost


def check(data: Path, maladies: list[Malady]) -> None:
    """Afflict, examine, mend, examine."""
    lake = Lake(data / "lake")
    for malady in maladies:
        malady.afflict(lake)
    before = held(data)
    found = examine(data)
    for malady in maladies:
        severity: Severity = "hint" if malady.is_hint else "broken"
        assert malady.rule in {finding.rule for finding in found.of(severity)}, malady.what
    json.loads(found.as_json())
    mended = mend(data, found)
    assert mended.done or all(malady.is_hint for malady in maladies)
    assert broken(examine(data)) == []
    assert missing_rows(data, before) == []
    for folder in {path.parent for path in in_quarantine(data)}:
        notes = json.loads((folder / NOTE).read_text())
        assert {note["file"]: note["checksum"] for note in notes} == {
            path.name: checksum_of(path) for path in folder.iterdir() if path.name != NOTE
        }
        assert all(note["why"] and note["from"] for note in notes)


# Healthy lakes --------------------------------------------------------------------------------------------------------


def test_a_healthy_lake_has_no_finding(lakes: tuple[Path, Path]) -> None:
    found = examine(lakes[1])
    assert found.findings == ()
    assert found.is_sound
    assert found.examined.experiments == 1
    assert found.examined.rows == sum(
        Lake(lakes[1] / "lake").read(table, columns=list(spec.key)).num_rows for table, spec in TABLES.items()
    )
    assert examine(lakes[1], NAME, quick=True).findings == ()


def test_an_empty_lake_is_sound(tmp_path: Path) -> None:
    assert examine(tmp_path).findings == ()
    with pytest.raises(NothingToExamine, match="no experiment 'other'"):
        examine(tmp_path, "other")
    with pytest.raises(NothingToExamine, match="no data directory"):
        examine(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "values",
    [
        {"cycle": "continue"},
        {"image_format": "jpeg-50", "networks": [["DummyT2I", "DummyI2T"]]},
        {"quality": "stop", "models": {"DummyT2I": {"parameters": {"side": 8, "black_on": "e"}}}},
    ],
    ids=["cycles gone round", "lossy pictures", "stopped for quality"],
)
def test_what_is_not_done_is_to_do_and_nothing_is_broken(values: dict[str, object], tmp_path: Path) -> None:
    run(Lake(tmp_path / "lake"), asked(**values))
    found = examine(tmp_path)
    assert broken(found) == []
    assert "embeddings_are_complete" in {finding.rule for finding in found.of("to_do")}
    assert [finding.rule for finding in found.of("hint")] == ["every_experiment_has_its_file"]
    assert plan_mending(found).is_empty


def test_an_experiment_that_grows_and_was_killed_is_not_broken(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    data, lake = copied(lakes[0], tmp_path)
    rewritten(lake, "runs", lambda rows: [row | {"max_length": 20} for row in rows])
    rewritten(lake, "outcomes", lambda rows: rows[:-2])
    rewritten(lake, "embeddings", lambda rows: rows[:-7])
    rules = {finding.rule for finding in examine(data).of("to_do")}
    assert {"outcomes_agree_with_invocations", "every_run_has_an_outcome", "embeddings_are_complete"} <= rules


def test_what_is_being_written_is_told_and_left_alone(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    data, lake = copied(lakes[0], tmp_path)
    BY_NAME["an output is gone"].afflict(lake)
    folder = lake.folder("invocations", NAME)
    before = held(data)
    with locked(folder / LOCK):
        (folder / "part-9.parquet.tmp-1").write_bytes(b"half")
        found = examine(data)
        assert broken(found) == []
        assert found.being_written == {NAME: os.getpid()}
        assert "is_being_written" in {finding.rule for finding in found.of("hint")}
        mend(data, found)
    assert held(data) == before
    found = examine(data)
    with locked(folder / LOCK):  # a writer came after the examination
        mended = mend(data, found)
    assert any("is being written" in words for words in mended.left_alone)
    assert held(data) == before


# Maladies -------------------------------------------------------------------------------------------------------------


def test_every_malady_is_tried() -> None:
    tried = [name for _, names in GROUPS for name in names] + list(ANALYSED)
    assert sorted(tried) == sorted(BY_NAME)
    assert set(ORDER) == set(TABLES)


@pytest.mark.parametrize(("again", "names"), GROUPS, ids=[names[0] for _, names in GROUPS])
def test_maladies_are_named_and_mended(
    again: bool, names: tuple[str, ...], lakes: tuple[Path, Path], tmp_path: Path
) -> None:
    data, _ = copied(lakes[0], tmp_path)
    check(data, [BY_NAME[name] for name in names])
    if again:
        lake = work(data, asked(), analyses=False)
        assert contents(lake) == contents(Lake(lakes[0] / "lake"))


def test_analyses_are_made_again(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    data, lake = copied(lakes[1], tmp_path)
    for name in reversed(ANALYSED):
        BY_NAME[name].afflict(lake)
    found = examine(data)
    assert {"every_part_is_there", "regimes_is_sound"} & {rule for rule, _ in broken(found)}
    mend(data, found)
    assert broken(examine(data)) == []
    for analysis in ANALYSES[:2]:
        analyse(lake, NAME, analysis)
    healthy = Lake(lakes[1] / "lake").read("run_statistics", NAME, where={"analysis": "regimes"})
    assert lake.read("run_statistics", NAME, where={"analysis": "regimes"}) == healthy


def test_what_is_newer_is_left_alone(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    data, lake = copied(lakes[0], tmp_path)
    path = lake.folder("outcomes", NAME) / MANIFEST
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 9'))
    before = path.read_bytes()
    found = examine(data)
    assert ("manifest_is_of_this_version", "outcomes") in broken(found)
    mend(data, found)
    assert path.read_bytes() == before


def test_a_catalog_of_files_that_are_gone_is_made_anew(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    data, lake = copied(lakes[0], tmp_path)
    work(data, asked(), analyses=False)
    with lake.writer("outcomes", NAME) as writer:
        writer.replace(lake.read("outcomes", NAME), {})
        writer.commit()
    lake.remove_old("outcomes", NAME, older_than_seconds=0)
    found = examine(data)
    assert broken(found) == [("catalog_is_current", "")]
    mend(data, found)
    assert broken(examine(data)) == []
    (data / "catalog.duckdb").write_bytes(b"no database")
    assert broken(examine(data)) == [("catalog_is_current", "")]


def test_bytes_that_flip_anywhere_are_found(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    for trial in range(5):
        data, lake = copied(lakes[0], tmp_path / str(trial))
        files = sorted((data / "lake").rglob("*.parquet"))
        chosen = [path for path in random.choice(np.array(files), 4, replace=False) if path in _current(lake)]
        for path in chosen:
            content = bytearray(path.read_bytes())
            content[random.integers(len(content))] ^= 1 << random.integers(8)
            path.write_bytes(content)
        manifest = random.choice(np.array(sorted((data / "lake").rglob(MANIFEST))))
        if not any(path.parent == manifest.parent for path in chosen):
            content = bytearray(manifest.read_bytes())
            content[random.integers(len(content))] ^= 1 << random.integers(8)
            manifest.write_bytes(content)
        found = examine(data)
        named = {finding.path for finding in found.of("broken") if finding.rule == "parts_are_as_committed"}
        assert set(chosen) <= named


def _current(lake: Lake) -> set[Path]:
    pairs = [pair for table in TABLES for pair in lake.manifests(table)]
    return {folder / part.file for folder, manifest in pairs for part in manifest.parts}


# Death ----------------------------------------------------------------------------------------------------------------


def test_mending_that_is_killed_is_begun_again(lakes: tuple[Path, Path], tmp_path: Path) -> None:
    data, lake = copied(lakes[0], tmp_path)
    names = ("runs are gone", "an output is gone", "a manifest is cut short", "no picture", "a vector that is none")
    for name in names:
        BY_NAME[name].afflict(lake)
    before = held(data)
    ill = tmp_path / "ill"
    shutil.copytree(data, ill)
    plan = tmp_path / "plan"
    plan.write_bytes(pickle.dumps(plan_mending(examine(data))))
    with subprocess.Popen(
        [sys.executable, "-m", "panic_assets_tests.upkeep.child", str(plan)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin
        steps = int(_order(child, 0))
        assert steps > 40
        for number in np.linspace(2, steps - 1, 3).astype(int):
            shutil.rmtree(data)
            shutil.copytree(ill, data)
            assert _order(child, int(number)) == "killed"
            mend(data, examine(data))
            assert broken(examine(data)) == []
            assert missing_rows(data, before) == []
        child.stdin.close()


def _order(child: subprocess.Popen[str], number: int) -> str:
    assert child.stdin
    assert child.stdout
    child.stdin.write(f"{number}\n")
    child.stdin.flush()
    return child.stdout.readline().strip()
