"""Many who end the same trial at once, in threads and in processes: exactly one does, and the others are told."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from panic_assets.studies.events.states import STATES, allowed_from
from panic_assets.studies.events.store import EventStore
from panic_assets.studies.records import FINAL
from panic_assets_tests.studies.events.parts import event

TRIALS, THREADS = 20, 4
#: Ends every trial in its own way from several threads, and prints the receipts.
RACER = """
import sys
from panic_assets_tests.studies.events.test_races import race

race(sys.argv[1], sys.argv[2])
"""


def race(url: str, name: str) -> None:
    store, told = EventStore(url), []
    barrier = threading.Barrier(THREADS)
    print("ready", flush=True)
    sys.stdin.readline()

    def run(thread: int) -> None:
        barrier.wait()
        for trial in range(TRIALS):
            who = f"{name}{thread}"
            key = {"trial_id": f"t{trial}"}
            ways = [
                event("ml.trial.complete", trial, who, **key, metrics={"a": 1}),
                event("ml.trial.failed", trial, who, **key, error_message=who),
                event("ml.trial.cancelled", trial, who, **key, reason=who),
                event("ml.trial.failed", trial, who, **key, error_message=who, error_type="timeout"),
            ]
            body = {**ways[thread], "event_id": f"{who}.{trial}", "study": "race"}
            told.append((f"t{trial}", body["name"], body["payload"], store.ingest([body])[0].status))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    print(json.dumps(told), flush=True)


def test_of_many_who_end_a_trial_one_does(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'events.db'}"
    store = EventStore(url)
    store.migrate()
    for trial in range(TRIALS):
        start = event("ml.trial.start", trial, model_run_id="run", trial_id=f"t{trial}", spectral_norm=False)
        store.ingest([{**start, "study": "race"}])
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("left", "right")
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [answer for racer in racers for answer in json.loads(racer.communicate(timeout=60)[0])]
    assert len(told) == 2 * THREADS * TRIALS
    states = {row.trial_id: row.state for row in store.trials("race")}
    assert set(states.values()) <= FINAL
    won = {(trial, _state(name, payload)) for trial, name, payload, status in told if status == "accepted"}
    assert won == set(states.items()), "who was accepted is what the trial became, and nobody else was"
    lost = [answer for answer in told if answer[3] == "dead"]
    assert len(lost) == store.count_dead_letters()["conflict"]
    # Each way is gone by one thread of each process: both who went the winner's way are right.
    assert Counter(status for *_, status in told) == {"accepted": 2 * TRIALS, "dead": 6 * TRIALS}
    completed = sum(state == "completed" for state in states.values())
    assert store.model_runs()[0].completed_trials == completed
    store.close()


def _state(name: str, payload: dict) -> str:
    if payload.get("error_type") == "timeout":
        return "timed_out"
    return {"ml.trial.complete": "completed", "ml.trial.failed": "failed", "ml.trial.cancelled": "cancelled"}[name]


def test_which_state_may_follow_which():
    follows = {(before, after) for after in STATES for before in allowed_from(after)}
    assert follows == {
        ("pending", "running"),
        *((before, after) for before in ("pending", "running") for after in FINAL),
    }
