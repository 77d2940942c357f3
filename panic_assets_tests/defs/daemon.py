"""A daemon of Dagster with its code server, in a folder of its own, for tests that watch what starts by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import pytest
import yaml

from panic_assets_tests.laboratory import lake_of

ROOT = Path(__file__).parents[2]
T = TypeVar("T")
_PARTITION = "dagster/partition"
# Dagster's own daemon; how often it looks at its sensors is a constant of it, and no setting.
_DAEMON = """
from dagster._daemon import sensor
from dagster._daemon.cli import main

sensor.MIN_INTERVAL_LOOP_TIME = 2
main()
"""


class Daemon:
    """``dagster-daemon run -w workspace.yaml`` that looks often; data, state and settings lie in ``folder``."""

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None, **environment: str) -> None:
        self.data, self.home = folder / "data", folder / "home"
        self.state = self.data / ".dagster"
        for made in (self.data / "experiments", self.home, self.state):
            made.mkdir(parents=True)
        values = yaml.safe_load((ROOT / "dagster.yaml").read_text()) | (settings or {})
        # A test has no time to wait for what is rightly slow.
        values["run_monitoring"] |= {"poll_interval_seconds": 1, "free_slots_after_run_end_seconds": 1}
        values["run_queue"] = {"dequeue_interval_seconds": 1}
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(values))
        self.environment = os.environ | {
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
            "PANIC_DATA": str(self.data),
            "PANIC_DAGSTER_STATE": str(self.state),
            "PANIC_SENSOR_SECONDS": "1",
            "PANIC_DEVICES": "cpu",
            **environment,
        }
        self.log = folder / "daemon.log"
        self.instance: dg.DagsterInstance
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-c", _DAEMON, "run", "-w", str(ROOT / "workspace.yaml")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        """End the daemon; its code servers follow as they miss it, and its run workers are ended here."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for number in self.processes():
            os.kill(number, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Processes of this daemon: those whose environment names its folder."""
        found = []
        mark = f"DAGSTER_HOME={self.home}\0".encode()
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (place / "environ").read_bytes() + b"\0" and int(place.name) != os.getpid():
                    found.append(int(place.name))
            except OSError:
                continue
        return found

    def kill_everything(self) -> None:
        """As when the machine goes down: nobody can report anything."""
        self._process = None
        for number in self.processes():
            os.kill(number, signal.SIGKILL)

    def until(self, what: str, ask: Callable[[], T], seconds: float = 480.0) -> T:
        """Ask until the answer is true; the answer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = ask()
            if answer:
                return answer
            time.sleep(0.2)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.log.read_text()[-4000:]}")

    def runs(self, experiment: str) -> list[dg.DagsterRun]:
        """Runs of an experiment, the first one first."""
        return list(reversed(self.instance.get_runs(dg.RunsFilter(tags={_PARTITION: experiment}))))

    def ended(self, experiment: str, count: int = 1, seconds: float = 480.0) -> dg.DagsterRun:
        """The last of so many runs of an experiment, once all are over."""

        def ask() -> bool:
            runs = self.runs(experiment)
            return len(runs) >= count and all(run.is_finished for run in runs)

        self.until(f"{count} runs of {experiment} to end", ask, seconds)
        runs = self.runs(experiment)
        assert len(runs) == count, [(run.run_id, run.status) for run in runs]
        return runs[-1]

    def write(self, name: str, **values: Any) -> Path:
        """An experiment file that appears at once and whole."""
        content = {
            "networks": [["DummyT2I", "DummyI2T"]],
            "prompts": ["a red apple"],
            "seeds": [1, -1],
            "max_length": 8,
            "embedding_models": ["DummyText"],
            "models": {"DummyT2I": {"parameters": {"side": 16}}},
        } | values
        path = self.data / "experiments" / f"{name}.yaml"
        aside = path.with_suffix(".part")
        aside.write_text(yaml.safe_dump(content))
        aside.replace(path)
        return path

    def invocations(self, experiment: str) -> dict[tuple[int, int], tuple[bytes, object]]:
        """By (run number, sequence number): the id, and when it was made."""
        columns = ["run_number", "sequence_number", "invocation_id", "completed_at"]
        rows = lake_of(self.data).read("invocations", experiment, columns=columns).to_pylist()
        return {
            (row["run_number"], row["sequence_number"]): (row["invocation_id"], row["completed_at"]) for row in rows
        }


@contextmanager
def running(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon while the block runs, and the instance that it works on."""
    with pytest.MonkeyPatch.context() as patch:
        for name in daemon.environment.keys() - os.environ.keys() | {"DAGSTER_HOME", "PANIC_DAGSTER_STATE"}:
            patch.setenv(name, daemon.environment[name])
        # Opened first: two processes that make the same new SQLite files at once spoil them.
        with dg.DagsterInstance.from_config(str(daemon.home)) as daemon.instance:
            daemon.start()
            try:
                yield daemon
            finally:
                daemon.stop()
