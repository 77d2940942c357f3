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
# A process that loads everything once; for each line that it reads, a child of it is a server until it is killed.
_SERVERS = """
import os, sys, threading
from pathlib import Path
from panic_assets_tests.web.server import running

for _ in sys.stdin:
    child = os.fork()
    if not child:
        with running(Path(sys.argv[1]), port=int(sys.argv[2])):
            print(os.getpid(), flush=True)
            threading.Event().wait()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
TRIALS, EPOCHS, KILLS = 3, 40, 2


class Servers:
    """Servers over one folder and at one port, each in a process of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        environment = {**os.environ, "PANIC_ML_EVENTS_SECRET": SECRET}
        environment.pop("PANIC_EVENTS_URL", None)
        command = [sys.executable, "-c", _SERVERS, str(folder), str(port)]
        self._driver = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    @contextmanager
    def one(self) -> Iterator[None]:
        """A server that is killed at the end of the block."""
        assert self._driver.stdin is not None
        self._driver.stdin.write("go\n")
        self._driver.stdin.flush()
        child = self._told()
        try:
            yield
        finally:
            os.kill(child, signal.SIGKILL)
            assert self._told() == -signal.SIGKILL

    def close(self) -> None:
        self._driver.communicate(timeout=30)

    def _told(self) -> int:
        assert self._driver.stdout is not None
        return int(self._driver.stdout.readline())


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
        with httpx.Client(timeout=5) as caller:
            self._post(caller)

    def _post(self, caller: httpx.Client) -> None:
        number = 0
        while not self.stopping.is_set():
            told = event("ml.run.start", number, "plain", model_run_id=f"r{number}")
            content = json.dumps(told).encode()
            headers = {HEADER: signature(SECRET, content, int(time.time())), "Content-Type": "application/json"}
            try:
                answer = caller.post(f"{self.url}/api/events/ml", content=content, headers=headers)
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
    servers = Servers(tmp_path / "data", port)
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
            with servers.one():
                until = time.monotonic() + 30
                while len(plain.answered) < before + 5:
                    assert plain.is_alive()
                    assert time.monotonic() < until
                    time.sleep(0.01)
        training.join()
        with servers.one():
            assert client.flush(30) == 0
            assert client.refused() == []
            plain.stopping.set()
            plain.join(10)
    servers.close()
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
