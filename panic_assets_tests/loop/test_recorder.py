"""The recorder: order of commits, bounds on memory, errors that are heard."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.lake import Lake
from panic_assets.lake.errors import PartitionLocked, SchemaViolation
from panic_assets.loop.pictures import settle
from panic_assets.loop.recorder import Entry, Picture, Recorder


def _entry(number: int, side: int = 16, **changes: Any) -> Entry:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
    settled, now = settle(pixels, "webp-lossless"), datetime.now(UTC)
    row = {
        "experiment": "small",
        "run_number": 0,
        "sequence_number": number,
        "invocation_id": number.to_bytes(16, "little"),
        "model": "DummyT2I",
        "type": "image",
        "seed": 1,
        "batch_size": 1,
        "image_hash": settled.image_hash,
        "flags": [],
        "model_seconds": 0.0,
        "retries": 0,
        "started_at": now,
        "completed_at": now,
    }
    return Entry([row | changes], [Picture(settled, 0, number)])


def test_all_that_was_recorded_is_there_afterwards_in_one_part_each(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with Recorder(lake, "small", "webp-lossless", commit_seconds=0) as recorder:
        for number in range(8):
            recorder.record(_entry(number))
    assert lake.read("invocations", "small")["sequence_number"].to_pylist() == list(range(8))
    for table in ("invocations", "images"):
        manifest = lake.manifest(table, "small")
        assert manifest is not None
        assert [(part.rows, part.compacted) for part in manifest.parts] == [(8, True)]


def test_a_checkpoint_comes_while_the_engine_is_at_work_and_pictures_come_first(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with Recorder(lake, "small", "webp-lossless", commit_seconds=0.02) as recorder:
        for number in range(30):
            recorder.record(_entry(number))
            time.sleep(0.004)
            rows = lake.read("invocations", "small", columns=["image_hash"])["image_hash"].to_pylist()
            stored = lake.read("images", "small", columns=["image_hash"])["image_hash"].to_pylist()
            assert set(rows) <= set(stored)
        deadline = time.monotonic() + 20
        while lake.read("invocations", "small").num_rows < 30 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lake.read("invocations", "small").num_rows == 30  # without any further entry
        assert lake.generation("invocations", "small") > 2


def test_pictures_wait_for_room_but_one_always_has_it(tmp_path: Path) -> None:
    with Recorder(Lake(tmp_path), "small", "webp-lossless", waiting_bytes=10) as recorder:
        for number in range(5):
            recorder.record(_entry(number, side=256))
            assert recorder._queue.qsize() <= 1
    assert recorder.waited_seconds > 0
    assert Lake(tmp_path).read("images", "small").num_rows == 5


def test_an_engine_that_breaks_off_keeps_what_it_recorded(tmp_path: Path) -> None:
    lake = Lake(tmp_path)

    def break_off() -> None:
        with Recorder(lake, "small", "webp-lossless") as recorder:
            recorder.record(_entry(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert lake.read("invocations", "small").num_rows == 1
    with Recorder(lake, "small", "webp-lossless") as recorder:
        recorder.record(_entry(1))
    assert lake.read("invocations", "small").num_rows == 2


def test_an_error_in_the_background_is_raised_at_the_next_entry(tmp_path: Path) -> None:
    lake = Lake(tmp_path)

    def record_until_it_is_heard() -> None:
        with Recorder(lake, "small", "webp-lossless", commit_seconds=0) as recorder:
            recorder.record(_entry(0))
            recorder.record(_entry(1, seed="no number"))
            for number in range(2, 10_000):
                recorder.record(_entry(number))
                time.sleep(0.002)

    with pytest.raises(SchemaViolation, match="table invocations, column seed"):
        record_until_it_is_heard()
    assert lake.read("invocations", "small")["sequence_number"].to_pylist() == [0]


def test_an_error_at_the_very_end_is_raised_too(tmp_path: Path) -> None:
    recorder = Recorder(Lake(tmp_path), "small", "webp-lossless")
    with pytest.raises(SchemaViolation, match="table invocations, column seed"), recorder:
        recorder.record(_entry(0, seed="no number"))


def test_a_lock_that_is_taken_leaves_no_other_behind(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with lake.writer("invocations", "small"):
        with pytest.raises(PartitionLocked):
            Recorder(lake, "small", "webp-lossless").__enter__()
        with lake.writer("images", "small"):
            pass
