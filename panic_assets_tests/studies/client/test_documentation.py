"""The trainer of the documentation, run as it is printed; the platform's own store takes all that it tells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from panic_assets import paths
from panic_assets.studies.client import Client
from panic_assets.studies.events.store import open_store
from panic_assets_tests.studies.client.platform import Platform

DOCUMENT = paths.project_dir() / "docs" / "studies-client.md"


def trainer(platform: Platform, folder: Path) -> str:
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    own = {"PANIC_URL": platform.url, "PANIC_TOKEN": "panic_abc", "PYTHONPATH": str(paths.project_dir())}
    patience = "timeout=30" if platform.is_up else "timeout=0.05"
    done = subprocess.run(
        [sys.executable, "-c", program.replace("timeout=30", patience)],
        cwd=folder,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("is_up", [True, False], ids=["up", "down at first"])
def test_the_trainer_of_the_documentation(platform: Platform, tmp_path: Path, is_up: bool) -> None:
    if not is_up:
        platform.stop()
        assert trainer(platform, tmp_path) == "46 events are left in outbox.db"
        platform.start()
        with Client(platform.transport(token="panic_abc"), tmp_path / "outbox.db") as client:
            assert client.flush() == 0
    else:
        assert trainer(platform, tmp_path) == "the platform has all"
    assert platform.requests[0][0]["Authorization"] == "Bearer panic_abc"

    store = open_store(f"sqlite:///{tmp_path / 'events.db'}")
    try:
        assert {receipt.status for receipt in store.ingest(platform.events)} == {"accepted"}
        (run,) = store.model_runs("line")
        assert (run.state, run.completed_trials, run.requested_trials) == ("completed", 2, 2)
        trials = store.trials("line")
        assert [(trial.trial_id, trial.arm, trial.state) for trial in trials] == [
            ("line-1.0", "none", "completed"),
            ("line-1.1", "weight_decay", "completed"),
        ]
        assert run.best_trial_id == "line-1.0"
        losses = [row.value for row in store.metrics("line-1.0") if row.metric == "train_loss"]
        assert len(losses) == 20
        assert losses == sorted(losses, reverse=True)
        assert {receipt.status for receipt in store.ingest(platform.events)} == {"duplicate"}
    finally:
        store.close()
