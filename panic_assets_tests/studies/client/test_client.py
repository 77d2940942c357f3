"""The client as a trainer uses it: through outages, restarts and kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from panic_assets.studies.client import Client, ClientError, LocalTransport, Outbox
from panic_assets.studies.client.delivery import Pauses
from panic_assets_tests.studies.client.platform import Platform

SWIFT = Pauses(first=0.01, longest=0.05)
FLUSH = 30.0

_TRAINER = """
import sys
from pathlib import Path
from panic_assets.studies.client import Client, HttpTransport
from panic_assets.studies.client.delivery import Pauses

client = Client(HttpTransport(sys.argv[1], timeout=5.0), Path(sys.argv[2]), pauses=Pauses(0.01, 0.05))
first = int(sys.argv[3])
client.trial_started("run", "t", True, event_id=f"t.start.{first}")
for step in range(first, first + 100_000):
    client.metrics("t", step, {"loss": 1.0})
    print(step, flush=True)  # told only once it is on disk
"""


def client_of(platform: Platform, folder: Path, **given: Any) -> Client:
    return Client(platform.transport(), folder / "outbox.db", "tests", pauses=SWIFT, **given)


def told(client: Client, *steps: int) -> None:
    for step in steps:
        client.emit("ml.run.metric", trial_id="t", step=step)


def test_events_come_with_what_the_client_was_told(platform: Platform, tmp_path: Path) -> None:
    with client_of(platform, tmp_path, study="demo") as client:
        client.run_started("r", 2, spec={"task": "digits"}, metadata={"host": "here"})
        client.trial_started("r", "t", True, parameters={"width": 8}, arm="spectral_norm", pair=0, seed=7)
        client.metrics("t", 0, {"loss": float("nan"), "accuracy": 0.5})
        client.artifact_created(
            "r", "checkpoint", "file:///x", checksum="0" * 64, size=3, media_type="a/b", trial_id="t"
        )
        client.trial_completed("t", {"test_loss": 0.25}, mlflow_run_id="f" * 32, duration_ms=12, warnings=["slow"])
        client.trial_failed("u", "no memory", error_type="OOM", model_run_id="r", spectral_norm=False)
        client.trial_cancelled("v", "pruned", model_run_id="r", spectral_norm=False)
        client.run_stopped("r", "completed", 1, best_metric=0.25, best_trial_id="t")
        assert client.flush(FLUSH) == 0
    assert {(event["source"], event["study"]) for event in platform.events} == {("tests", "demo")}
    payloads = {event["name"]: event["payload"] for event in platform.events}
    assert list(payloads) == [
        "ml.run.start",
        "ml.trial.start",
        "ml.run.metric",
        "ml.artifact.created",
        "ml.trial.complete",
        "ml.trial.failed",
        "ml.trial.cancelled",
        "ml.run.stop",
    ]
    assert payloads["ml.run.start"]["search_space_version"] == 1
    flag = {"model_run_id": "r", "spectral_norm": True, "trial_id": "t"}
    assert payloads["ml.run.metric"] == {**flag, "step": 0, "metrics": {"loss": "NaN", "accuracy": 0.5}}
    assert payloads["ml.trial.complete"] == {
        **flag,
        "metrics": {"test_loss": 0.25},
        "mlflow_run_id": "f" * 32,
        "duration_ms": 12,
        "warnings": ["slow"],
    }
    assert payloads["ml.trial.failed"]["error_type"] == "OOM"
    assert payloads["ml.trial.cancelled"]["reason"] == "pruned"
    assert payloads["ml.artifact.created"]["bytes"] == 3


def test_a_trial_of_which_nothing_is_known_is_told(platform: Platform, tmp_path: Path) -> None:
    with client_of(platform, tmp_path) as client:
        with pytest.raises(ClientError, match="model_run_id and spectral_norm unknown"):
            client.metrics("t", 0, {"loss": 1.0})
        client.metrics("t", 0, {"loss": 1.0}, model_run_id="r", spectral_norm=False)
        assert client.flush(FLUSH) == 0
    assert len(platform.events) == 1


def test_an_outage_neither_reaches_the_caller_nor_loses_doubles_or_mixes_events(
    platform: Platform, tmp_path: Path
) -> None:
    platform.manners = [500, "hang", 429, "lose", 401, 503, "drip", "lose"]
    with Client(platform.transport(timeout=0.05), tmp_path / "outbox.db", pauses=SWIFT) as client:
        told(client, *range(50))
        platform.stop()
        told(client, *range(50, 100))
        assert client.flush(0.2) > 0
        assert client.status().problem
        platform.start()
        told(client, *range(100, 150))
        assert client.flush(FLUSH) == 0
        assert client.status().problem is None
    assert platform.steps == list(range(150))


def test_a_flush_does_not_wait_for_the_end_of_a_pause(platform: Platform, tmp_path: Path) -> None:
    platform.manners = [500]
    with Client(platform.transport(), tmp_path / "outbox.db", pauses=Pauses(3600.0, 3600.0)) as client:
        told(client, 0)
        while client.status().attempts == 0:
            threading.Event().wait(0.005)
        assert client.flush(FLUSH) == 0
    assert platform.steps == [0]


def test_what_is_left_when_a_client_closes_is_delivered_by_the_next(platform: Platform, tmp_path: Path) -> None:
    platform.stop()
    client = client_of(platform, tmp_path)
    told(client, 0, 1)
    assert client.close(0.05) == 2
    with pytest.raises(ClientError, match="closed"):
        told(client, 2)
    platform.start()
    with client_of(platform, tmp_path) as client:
        told(client, 2)
        assert client.flush(FLUSH) == 0
    assert platform.steps == [0, 1, 2]


def test_refused_events_stay_and_can_be_sent_again(platform: Platform, tmp_path: Path) -> None:
    platform.refuses = lambda event: event["payload"]["step"] == 1
    with client_of(platform, tmp_path) as client:
        told(client, 0, 1, 2)
        assert client.flush(FLUSH) == 0
        assert (client.status().refused, platform.steps) == (1, [0, 2])
        platform.refuses = lambda event: False
        assert client.retry_refused() == 1
        assert client.flush(FLUSH) == 0
    assert platform.steps == [0, 2, 1]


def test_two_clients_of_one_outbox_double_nothing(platform: Platform, tmp_path: Path) -> None:
    with client_of(platform, tmp_path) as one, client_of(platform, tmp_path) as other:
        threads = [
            threading.Thread(target=told, args=(client, *range(first, first + 50)))
            for client, first in ((one, 0), (other, 50))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.flush(FLUSH) == 0
    assert sorted(platform.steps) == list(range(100))
    for half in (range(50), range(50, 100)):
        assert [step for step in platform.steps if step in half] == list(half)


def test_a_disk_that_refuses_is_told_to_the_caller(tmp_path: Path) -> None:
    client = Client(LocalTransport(lambda events: []), tmp_path / "outbox.db")
    client._outbox._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(Exception, match="outbox can't be used"):
        client.emit("ml.run.metric", note="x" * 100_000)
    client.close()


def trained_until(platform: Platform, outbox: Path, first: int, ready: Callable[[int], bool]) -> int:
    """Run a trainer and kill it once ``ready`` says so of its last event; the last one that it told."""
    process = subprocess.Popen(
        [sys.executable, "-c", _TRAINER, platform.url, str(outbox), str(first)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    last = first - 1
    for line in process.stdout:
        last = int(line)
        if ready(last):
            os.kill(process.pid, signal.SIGKILL)
            break
    rest = process.stdout.read().split("\n")
    process.wait()
    assert process.returncode == -signal.SIGKILL
    return max([last, *(int(line) for line in rest[:-1] if line)])


def test_nothing_is_lost_by_kills_of_the_trainer(platform: Platform, tmp_path: Path) -> None:
    """Killed while the platform answers, while its answers are lost, and while it is down."""
    outbox = tmp_path / "outbox.db"
    platform.manners = [202, "lose", 202, "lose"] * 1000
    lasts = [trained_until(platform, outbox, 0, lambda last: last >= 40 and len(platform.events) > 20)]
    platform.manners = []
    platform.stop()
    lasts.append(trained_until(platform, outbox, 1_000_000, lambda last: last >= 1_000_040))
    waiting = Outbox(outbox)
    assert waiting.waiting() > 40
    waiting.close()
    platform.start()
    with Client(platform.transport(), outbox, pauses=SWIFT) as client:
        assert client.flush(FLUSH) == 0
    steps = [event["payload"]["step"] for event in platform.events if event["name"] == "ml.run.metric"]
    assert steps == sorted(set(steps)), "none doubled, in order"
    for first, last in zip((0, 1_000_000), lasts, strict=True):
        of_life = [step for step in steps if first <= step < first + 100_000]
        assert of_life == list(range(first, first + len(of_life)))
        assert last - first < len(of_life) <= last - first + 2, "all that was told, and what was being told"
    assert [event["seq"] for event in platform.events] == list(range(len(platform.events)))


def test_the_client_needs_nothing_of_the_platform() -> None:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, panic_assets.studies.client\n"
            "print(*sorted(name for name in sys.modules if name.startswith('panic_assets')))\n"
            "print(*sorted({name.partition('.')[0] for name in sys.modules} & "
            "{'numpy', 'torch', 'pydantic', 'duckdb', 'polars', 'pyarrow', 'dagster', 'sqlalchemy', 'mlflow'}))",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    own = [name for name in found[0].split() if not name.startswith("panic_assets.studies.client")]
    assert own == ["panic_assets", "panic_assets.errors", "panic_assets.studies"]
    assert found[1:] in ([], [""])
