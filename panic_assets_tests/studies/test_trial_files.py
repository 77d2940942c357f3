"""Trials on disk: what is written comes back, and what can't be read is told."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from panic_assets.studies.plan import plan
from panic_assets.studies.records import Epoch
from panic_assets.studies.trial_files import Checkpoint, DamagedTrial, Measurement, TrialFiles, TrialRecord
from panic_assets_tests.studies.small import small

TRIAL = plan(small(), "d" * 32)[0]
RECORD = TrialRecord(
    trial=TRIAL,
    state="completed",
    started_at="2030-01-01T00:00:00+00:00",
    finished_at="2030-01-01T00:00:01+00:00",
    seconds=1.0,
    metrics={"test_loss": 0.5},
    epochs=(Epoch(1, 0.1, {"train_loss": math.inf}, {"0": 1.5}),),
    warnings=("a",),
    checkpoint=Checkpoint("a.safetensors", "f" * 64, 12),
    measured=Measurement("e", {"ece": 0.25}, ({"layer": 0, "value": 1.0},), ({"attack": "pgd", "value": 0.5},)),
)


def test_a_record_comes_back(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path / "trials")
    assert files.read(TRIAL.trial_id) is None
    assert list(files.all()) == []
    for record in (RECORD, replace(RECORD, measured=None, checkpoint=None, state="failed", reason="why", epochs=())):
        files.write(record)
        assert files.read(TRIAL.trial_id) == record
        assert list(files.all()) == [record]
    assert [path.name for path in files.folder.iterdir()] == [f"{TRIAL.trial_id}.json"]
    assert RECORD.all_metrics == {"test_loss": 0.5, "ece": 0.25}


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"form": 9}', b"\xff"])
def test_what_is_no_record_is_told_with_the_remedy(content: bytes, tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    files.path("a" * 32).write_bytes(content)
    with pytest.raises(DamagedTrial, match=r"aaa\.json: can't be read .* Remove it"):
        files.read("a" * 32)


def test_a_record_under_another_name_is_told(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    files.write(RECORD)
    files.path(TRIAL.trial_id).rename(files.path("b" * 32))
    with pytest.raises(DamagedTrial, match=f"holds the trial {TRIAL.trial_id}"):
        list(files.all())
