"""The outbox: order, numbers, what is set aside, files that can't be used."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from panic_assets.studies.client import Outbox, OutboxError
from panic_assets.studies.client.events import event


def put(outbox: Outbox, *steps: int, trial: str = "t", event_id: str | None = None, **more: Any) -> list[bool]:
    payloads = [{"trial_id": trial, "step": step, **more} for step in steps]
    return [outbox.add(event("ml.run.metric", one, source="me", event_id=event_id)) for one in payloads]


def steps(outbox: Outbox, most: int = 100, most_bytes: int = 2**20) -> list[int]:
    return [json.loads(one.body)["payload"]["step"] for one in outbox.first(most, most_bytes)]


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "deep" / "outbox.db")


def test_events_come_out_as_they_went_in(outbox: Outbox) -> None:
    put(outbox, 3, 1, 2)
    assert steps(outbox) == [3, 1, 2]
    outbox.remove([one.position for one in outbox.first(2, 2**20)])
    assert steps(outbox) == [2]
    assert outbox.waiting() == 1


def test_a_batch_is_bounded_in_number_and_bytes_but_never_empty(outbox: Outbox) -> None:
    put(outbox, *range(10), note="é" * 100)
    size = outbox.first(1, 1)[0].size
    assert size > 200
    assert steps(outbox, most=4) == [0, 1, 2, 3]
    assert steps(outbox, most_bytes=3 * size) == [0, 1, 2]
    assert steps(outbox, most_bytes=1) == [0]


def test_an_id_waits_once(outbox: Outbox) -> None:
    assert put(outbox, 1, event_id="t.epoch.1") == [True]
    assert put(outbox, 1, event_id="t.epoch.1") == [False]
    assert outbox.waiting() == 1


def test_numbers_of_a_trial_go_on_when_the_file_is_opened_again(outbox: Outbox) -> None:
    put(outbox, 0, 1)
    put(outbox, 0, trial="u")
    outbox.remove([one.position for one in outbox.first(10, 2**20)])
    outbox.close()
    again = Outbox(outbox.path)
    put(again, 2)
    put(again, 1, trial="u")
    again.add(event("ml.run.start", {"model_run_id": "r"}, source="me"))
    assert [json.loads(one.body).get("seq") for one in again.first(10, 2**20)] == [2, 1, None]


def test_what_is_set_aside_waits_no_more_and_comes_back_at_its_place(outbox: Outbox) -> None:
    put(outbox, 1, 2, 3)
    outbox.set_aside(outbox.first(1, 2**20)[0].position, "no such metric")
    assert steps(outbox) == [2, 3]
    refused = outbox.refused()
    assert [(one.reason, one.body["payload"]["step"]) for one in refused] == [("no such metric", 1)]
    assert outbox.put_back() == 1
    assert steps(outbox) == [1, 2, 3]
    assert outbox.refused() == []


def test_many_threads_lose_nothing_and_number_each_trial_without_gap(outbox: Outbox) -> None:
    threads = [
        threading.Thread(target=lambda name=f"t{number % 2}": put(outbox, *range(20), trial=name))
        for number in range(4)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    bodies = [json.loads(one.body) for one in outbox.first(100, 2**20)]
    for trial in ("t0", "t1"):
        assert [one["seq"] for one in bodies if one["payload"]["trial_id"] == trial] == list(range(40))


def test_another_file_is_named_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database, but long enough to be taken for one " * 10)
    with pytest.raises(OutboxError, match=r"notes\.txt.*move it away"):
        Outbox(file)
    assert file.read_text().startswith("no database")


def test_the_file_of_a_newer_version_is_left_alone(outbox: Outbox) -> None:
    put(outbox, 1)
    outbox.close()
    with sqlite3.connect(outbox.path) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(OutboxError, match="newer version"):
        Outbox(outbox.path)


def test_a_place_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match="Make room"):
        Outbox(tmp_path / "file" / "outbox.db")
