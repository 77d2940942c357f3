"""A server that is killed while trainers tell it things: what was answered is there, and nothing is there twice."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import sqlalchemy as sa

from panic_assets.studies.client import Client, HttpTransport
from panic_assets.studies.client.delivery import Pauses
from panic_assets.studies.events.signatures import HEADER, signature
from panic_assets.studies.events.store import EventStore
from panic_assets_tests.studies.events.parts import event

SECRET = "a secret that both sides know"
SERVER = """
import sys, threading
from pathlib import Path
from panic_assets_tests.web.server import running

with running(Path(sys.argv[1]), port=int(sys.argv[2])):
    print("up", flush=True)
    threading.Event().wait()
"""
TRIALS, EPOCHS, KILLS = 3, 40, 2


@contextmanager
def served(folder: Path, port: int) -> Iterator[subprocess.Popen]:
    """A server in a process of its own, that is killed at the end of the block."""
    command = [sys.executable, "-c", SERVER, str(folder), str(port)]
    environment = {**os.environ, "PANIC_ML_EVENTS_SECRET": SECRET}
    environment.pop("PANIC_EVENTS_URL", None)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "up\n"
            yield child
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


class Impatient(threading.Thread):
    """A program that posts single events by plain HTTP, each again until it is answered; it knows what was answered."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.answered, self.stopping = url, list[str](), threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            told = event("ml.run.start", number, "plain", model_run_id=f"r{number}")
            content = json.dumps(told).encode()
            headers = {HEADER: signature(SECRET, content, int(time.time())), "Content-Type": "application/json"}
            try:
                answer = httpx.post(f"{self.url}/api/events/ml", content=content, headers=headers, timeout=5)
            except httpx.HTTPError:
                time.sleep(0.02)
                continue
            assert answer.status_code == 202, answer.text
            self.answered.append(answer.json()["event_id"])
            number += 1


def test_nothing_is_lost_or_doubled_when_the_server_is_killed(tmp_path: Path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    pauses = Pauses(first=0.05, longest=0.2)
    plain = Impatient(url)
    with Client(HttpTransport(url, secret=SECRET), tmp_path / "outbox.db", study="killed", pauses=pauses) as client:

        def train() -> None:
            client.run_started("run", TRIALS)
            for trial in map(str, range(TRIALS)):
                client.trial_started("run", trial, spectral_norm=trial == "0")
                for epoch in range(EPOCHS):
                    client.metrics(trial, epoch, {"loss": 1 / (epoch + 1)})
                    time.sleep(0.01)
                client.trial_completed(trial, {"accuracy": 0.5})
            client.run_stopped("run", "completed", TRIALS)

        training = threading.Thread(target=train)
        training.start()
        plain.start()
        for _ in range(KILLS):
            before = len(plain.answered)
            with served(tmp_path / "data", port):
                until = time.monotonic() + 30
                while len(plain.answered) < before + 5:
                    assert plain.is_alive()
                    assert time.monotonic() < until
                    time.sleep(0.01)
        training.join()
        with served(tmp_path / "data", port):
            assert client.flush(30) == 0
            assert client.refused() == []
            plain.stopping.set()
            plain.join(10)
    store = EventStore(f"sqlite:///{tmp_path / 'data' / 'training' / 'events.db'}")
    trials = store.trials("killed")
    assert [(row.state, row.metrics) for row in trials] == [("completed", {"accuracy": 0.5})] * TRIALS
    assert [len(store.metrics(row.trial_id, "killed")) for row in trials] == [EPOCHS] * TRIALS
    assert [(row.state, row.completed_trials) for row in store.model_runs("killed")] == [("completed", TRIALS)]
    assert store.dead_letters() == []
    with sa.create_engine(str(store.url)).connect() as connection:
        kept = connection.execute(sa.text("SELECT study, event_id FROM events")).all()
    assert len([row for row in kept if row[0] == "killed"]) == 2 + TRIALS * (EPOCHS + 2)
    assert set(plain.answered) <= {row[1] for row in kept}
    store.close()
