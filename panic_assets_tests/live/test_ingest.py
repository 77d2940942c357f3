"""Live runs in the lake: each once and whole, whatever happens to the one who brings them."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from panic_assets.files import ExperimentFiles
from panic_assets.lake import connect, images
from panic_assets.lake.rules import judge
from panic_assets.live.ingest import Ingested, ingest
from panic_assets.live.records import Invocation
from panic_assets.live.to_lake import partition
from panic_assets.live.to_lake.names import Held, UnknownZone, day_of, experiment_key, slug, source_id, zone_of
from panic_assets.upkeep.deleting import delete_experiment
from panic_assets.upkeep.truths import OWN_RULES
from panic_assets_tests.interop.panic_tda.imports import broken_rules, everything, generations, lake_of
from panic_assets_tests.live.night import (
    PICTURES,
    WORDS,
    House,
    Moody,
    catalog,
    open_archive,
    open_store,
    pass_a_night,
    rows_of,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def slept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after a night, before anything of it is in the lake. Not to be changed."""
    data = tmp_path_factory.mktemp("night")
    asyncio.run(pass_a_night(data))
    return data


@pytest.fixture
def data(slept: Path, tmp_path: Path) -> Path:
    shutil.copytree(slept, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def morning(slept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with all of it in the lake. Not to be changed."""
    data = tmp_path_factory.mktemp("morning")
    shutil.copytree(slept, data, dirs_exist_ok=True)
    bring(data, include_running=True)
    return data


def bring(data: Path, **options: Any) -> Ingested:
    store = open_store(data)
    try:
        return ingest(store, open_archive(data, store), data, **{"zone": UTC, "catalog": catalog(), **options})
    finally:
        store.close()


def own_broken_rules(data: Path) -> list[str]:
    with connect(data / "lake") as connection:
        keys = lake_of(data).experiments("runs")
        verdicts = [judge(connection, rule, key) for key in keys for rule in OWN_RULES]
    return [verdict.sentence for verdict in verdicts if not verdict.holds]


def play(data: Path, scene: Callable[[House], Any], **parts: Any) -> None:
    async def whole() -> None:
        house = House(data, **parts)
        try:
            await scene(house)
        finally:
            await house.close()

    asyncio.run(whole())


# Once and whole ------------------------------------------------------------------------------------------------------


def test_every_output_of_a_night_is_in_the_lake_once(morning: Path) -> None:
    store, lake = open_store(morning), lake_of(morning)
    live = {row.id: (run, row) for run, rows in rows_of(store) for row in rows}
    completed = {name: row for name, (_, row) in live.items() if row.state == "completed"}
    assert len(completed) >= 500
    sources = {
        (r["experiment"], r["run_number"], r["sequence_number"]): r["source_id"]
        for r in lake.read("imported_invocations").to_pylist()
    }
    by_source = {source_id(name): name for name in live}
    assert Counter(by_source[source] for source in sources.values()) == Counter(completed.keys())
    hashes = {"image": {r["image_hash"]: r["image"] for r in lake.read("images").to_pylist()}}
    hashes["audio"] = {r["audio_hash"]: r["sound"] for r in lake.read("sounds").to_pylist()}
    archive = open_archive(morning, store)
    for row in lake.read("invocations").to_pylist():
        one = completed[by_source[sources[row["experiment"], row["run_number"], row["sequence_number"]]]]
        assert (row["model"], row["type"], row["text"]) == (one.model, one.output_medium, one.output_text)
        assert (row["seed"], row["retries"], row["device"]) == (one.seed, one.attempts - 1, "dummy")
        assert (row["model_seconds"], row["batch_size"]) == (one.latency_seconds, None)
        assert (row["started_at"], row["completed_at"]) == (one.started_at, one.completed_at)
        if one.output_key is not None:
            content = asyncio.run(archive.read(one.output_key))
            name = row["image_hash"] or row["audio_hash"]
            assert hashes[one.output_medium][name] == content
            if one.output_medium == "image":
                assert images.pixel_hash(images.decode(content)) == name
    failed = [row for _, row in live.values() if row.state == "failed"]
    events = lake.read("events").to_pylist()
    assert Counter(event["message"].split("(")[1].split(")")[0] for event in events) == Counter(r.id for r in failed)
    assert {event["kind"] for event in events} == {"error"}
    store.close()


def test_the_rules_of_the_lake_hold(morning: Path) -> None:
    assert broken_rules(morning) == []
    assert own_broken_rules(morning) == []


def test_a_network_and_a_day_are_an_experiment_with_a_file(morning: Path) -> None:
    lake = lake_of(morning)
    keys = lake.experiments("runs")
    second = next(key for key in keys if key.endswith("-2026-03-01") and key.count("-") == 6)
    assert second.startswith("live-night-ring-")
    assert sorted(set(keys) - {second, second.replace("03-01", "03-02")}) == [
        "live-network-2026-03-01",
        "live-night-ring-2026-03-01",
        "live-night-ring-2026-03-02",
        "live-reveil-2026-03-01",
    ]
    files, broken = ExperimentFiles(morning / "experiments").read()
    assert not broken
    assert sorted(files) == keys
    night = files["live-night-ring-2026-03-01"][1]
    assert night.imported_from == "panic-live"
    assert night.networks == (PICTURES,)
    assert [prompt.text for prompt in night.prompts] == ["a fox", "a boat", "until its end"]
    assert set(night.seeds) == {-1}
    assert night.description.startswith("Live network Night Ring, 2026-03-01 (")


def test_a_step_that_failed_begins_another_run_of_the_same_prompt(morning: Path) -> None:
    with connect(morning / "lake") as connection:
        rows = connection.execute(
            """SELECT i.source_stop_reason, o.stop_reason, r.replicate, o.error, r.run_number, o.length, r.max_length
               FROM runs_only r JOIN outcomes o USING (experiment, run_number)
               JOIN imported_runs i USING (experiment, run_number)
               WHERE r.experiment = 'live-night-ring-2026-03-01' ORDER BY r.run_number"""
        ).fetchall()
        repeats = connection.execute(
            """SELECT count(*) FROM (SELECT experiment, network, prompt FROM runs_only
               GROUP BY ALL HAVING list_sort(list(replicate)) != range(count(*)))"""
        ).fetchone()
    assert repeats == (0,)
    skipped = [row for row in rows if row[0] == "skipped"]
    assert skipped
    assert all(row[1] == "failed" and row[3].startswith("moderation: ") for row in skipped)
    assert {row[0] for row in rows} >= {"skipped", "pre_empted", "length"}
    assert all(row[5] == row[6] for row in rows if row[1] == "length")


def test_the_same_again_writes_nothing(morning: Path, tmp_path: Path) -> None:
    shutil.copytree(morning, tmp_path, dirs_exist_ok=True)
    before, files = generations(tmp_path), {p: p.stat().st_mtime_ns for p in (tmp_path / "experiments").iterdir()}
    for include_running in (True, False, True):
        assert bring(tmp_path, include_running=include_running) == Ingested((), 0, 0, ())
    assert generations(tmp_path) == before
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "experiments").iterdir()} == files


def test_two_at_once_bring_everything_once(data: Path, morning: Path) -> None:
    command = [sys.executable, "-m", "panic_assets_tests.live.ingest_child", f"{data}:0"]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0].split() for process in both]
    assert [output[-2:] for output in outputs] == [["status", "0"]] * 2
    assert everything(data) == everything(morning)


def test_one_that_is_killed_at_any_moment_is_gone_on_with(slept: Path, morning: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(slept, tmp_path / name))

    def children(*orders: str) -> list[list[str]]:
        command = [sys.executable, "-m", "panic_assets_tests.live.ingest_child", *orders]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        return [line.split() for line in done.stdout.splitlines()]

    (_, told), status = children(f"{copy('whole')}:0")
    assert status == ["status", "0"]
    steps = int(told)
    assert everything(tmp_path / "whole") == everything(morning)
    places = sorted(random.Random(5).sample(range(1, steps + 1), 4))
    folders = [copy(f"killed-{place}") for place in places]
    # Each is killed, killed again a little later, then let go to its end.
    orders = [
        (folder, count) for place, folder in zip(places, folders, strict=True) for count in (place, steps // 4, 0)
    ]
    lines = children(*(f"{folder}:{count}" for folder, count in orders))
    statuses = [int(number) for word, number in lines if word == "status"]
    assert statuses[0::3] == [-signal.SIGKILL] * len(places)
    assert statuses[2::3] == [0] * len(places)
    for folder in folders:
        assert everything(folder) == everything(morning), folder.name


def test_a_night_that_was_deleted_comes_back_under_its_name(morning: Path, tmp_path: Path) -> None:
    shutil.copytree(morning, tmp_path, dirs_exist_ok=True)
    key = "live-night-ring-2026-03-01"
    delete_experiment(tmp_path, key)
    assert key not in lake_of(tmp_path).experiments("runs")
    assert bring(tmp_path, include_running=True).experiments == (key,)
    assert everything(tmp_path) == everything(morning)


# Growing --------------------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_is_extended(tmp_path: Path) -> None:
    seen: list[Ingested] = []

    async def scene(house: House) -> None:
        network = house.network("Slow", PICTURES)
        await house.prompt(network, "a hat", 8)
        seen.append(await asyncio.to_thread(bring, tmp_path, include_running=False))
        seen.append(await asyncio.to_thread(bring, tmp_path, include_running=True))
        await house.rounds(8)
        seen.append(await asyncio.to_thread(bring, tmp_path, include_running=True))
        seen.append(await asyncio.to_thread(bring, tmp_path, include_running=False))
        await house.runners.stop(network)
        seen.append(await asyncio.to_thread(bring, tmp_path))

    play(tmp_path, scene)
    key = "live-slow-2026-03-01"
    assert [(done.experiments, done.runs) for done in seen] == [((), 0), ((key,), 1), ((key,), 0), ((), 0), ((key,), 0)]
    assert seen[1].invocations > 0
    assert seen[2].invocations > 0
    assert broken_rules(tmp_path) == []
    (outcome,) = lake_of(tmp_path).read("outcomes", key).to_pylist()
    assert outcome["length"] == sum(done.invocations for done in seen)
    (source,) = lake_of(tmp_path).read("imported_runs", key).to_pylist()
    assert source["source_stop_reason"] == "stopped"
    text = yaml.safe_load((tmp_path / "experiments" / f"{key}.yaml").read_text())
    assert text["description"] == f"Live network Slow, 2026-03-01 (1 run, {outcome['length']} invocations)."


def test_what_a_person_wrote_into_the_file_stays(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        network = house.network("Kept", WORDS)
        await house.prompt(network, "one", 6)
        await house.runners.stop(network)
        await asyncio.to_thread(bring, tmp_path, embedding_models=["DummyText"])
        path = tmp_path / "experiments" / "live-kept-2026-03-01.yaml"
        values = yaml.safe_load(path.read_text())
        values |= {
            "embedding_models": [],
            "description": "Our opening night.",
            "prompts": [{"text": "one", "mood": "calm"}],
        }
        path.write_text(yaml.safe_dump(values))
        await house.prompt(network, "two", 6)
        await house.runners.stop(network)
        await asyncio.to_thread(bring, tmp_path, embedding_models=["DummyText"])

    play(tmp_path, scene)
    values = yaml.safe_load((tmp_path / "experiments" / "live-kept-2026-03-01.yaml").read_text())
    assert values["embedding_models"] == []
    assert values["description"].startswith("Our opening night. (2 runs, ")
    assert values["prompts"] == [{"text": "one", "tags": {"mood": "calm"}}, "two"]
    tags = [row["tags"] for row in lake_of(tmp_path).read("prompts", "live-kept-2026-03-01").to_pylist()]
    assert tags == ['{"mood": "calm"}', None]


def test_a_run_of_which_nothing_came_is_there_with_its_reason(tmp_path: Path) -> None:
    async def scene(house: House) -> None:
        await house.prompt(house.network("Refused", PICTURES), "a hat", 3)

    play(tmp_path, scene, platform=Moody({("dummy-t2i", 1): "auth"}))
    assert bring(tmp_path).runs == 1
    assert broken_rules(tmp_path) == []
    (outcome,) = lake_of(tmp_path).read("outcomes").to_pylist()
    assert (outcome["stop_reason"], outcome["length"], outcome["error"]) == (
        "failed",
        0,
        "auth: call 1 of dummy-t2i fails",
    )


# What can't be read ---------------------------------------------------------------------------------------------------


def test_a_run_is_cut_where_its_media_are_gone_and_mended_when_they_are_back(tmp_path: Path) -> None:
    rows: list[Invocation] = []

    async def scene(house: House) -> None:
        network = house.network("Torn", PICTURES)
        run = await house.prompt(network, "a hat", 14)
        await house.runners.stop(network)
        rows.extend(house.store.invocations(run.id))

    play(tmp_path, scene)
    key = next(row.output_key for row in rows if row.sequence_number == 4)
    assert key is not None
    (path,) = (tmp_path / "live" / "media").rglob(Path(key).name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    done = bring(tmp_path)
    assert len(done.skipped) == 1
    assert done.skipped[0].startswith("Torn, run 1: cut at step 4: ")
    assert done.invocations == 4
    assert broken_rules(tmp_path) == []
    (source,) = lake_of(tmp_path).read("imported_runs").to_pylist()
    completed = sum(row.state == "completed" for row in rows)
    assert source["rejected"] == completed - 4
    before = generations(tmp_path)
    assert bring(tmp_path) == Ingested((), 0, 0, done.skipped)
    assert generations(tmp_path) == before
    path.write_bytes(content)
    mended = bring(tmp_path)
    assert (mended.skipped, mended.invocations) == ((), completed - 4)
    assert broken_rules(tmp_path) == []
    assert lake_of(tmp_path).read("invocations").num_rows == completed


def test_memory_holds_no_more_than_some_media(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows wait in memory until there are enough of them, whatever a night has."""
    most = 0
    add = partition.Partition._add

    def watched(self: partition.Partition, table: str, row: dict[str, Any], size: int = 0) -> None:
        nonlocal most
        add(self, table, row, size)
        most = max(most, sum(self._sizes.values()), len(self._waiting[table]))

    monkeypatch.setattr(partition.Partition, "_add", watched)
    monkeypatch.setattr(partition, "_APPEND_BYTES", 4096)
    monkeypatch.setattr(partition, "_APPEND_ROWS", 20)
    assert bring(data).invocations > 400
    assert 0 < most < 40_000


# Names and days -------------------------------------------------------------------------------------------------------


def test_names_of_partitions() -> None:
    day = date(2026, 3, 1)
    assert slug("  Réveil / Nacht!  ") == "reveil-nacht"
    assert slug("深夜") == "network"
    assert experiment_key("Night ring", "x", day, False, lambda key: False) == "live-night-ring-2026-03-01"
    second = experiment_key("Night ring", "x", day, True, lambda key: False)
    assert second != experiment_key("Night ring", "y", day, True, lambda key: False)
    assert len(second) == len("live-night-ring-0000-2026-03-01")
    taken = experiment_key("n" * 100, "x", day, True, {second}.__contains__)
    assert len(taken) == 63
    longer = experiment_key("n" * 100, "x", day, True, {taken}.__contains__)
    assert longer != taken
    assert len(longer) == 63


def test_a_day_ends_where_the_zone_says_and_no_run_moves_when_it_changes() -> None:
    late = datetime(2026, 3, 1, 20, tzinfo=UTC)
    assert day_of(1, late, UTC, []) == date(2026, 3, 1)
    assert day_of(1, late, ZoneInfo("Australia/Sydney"), []) == date(2026, 3, 2)
    held = [Held("a", date(2026, 3, 2), 1, 4), Held("b", date(2026, 3, 3), 5, 9)]
    assert day_of(3, late, UTC, held) == date(2026, 3, 2)
    assert day_of(10, late, UTC, held) == date(2026, 3, 3)
    with pytest.raises(UnknownZone, match="Mars/Base"):
        zone_of("Mars/Base")
    assert zone_of("") is None
