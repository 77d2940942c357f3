"""Events of training on loopback: 200 a second for a while, how late each answer comes, and whether any is lost.

Run with ``python -m benchmarks.ml_events [--quick]``. The server is a process of its own with its database on the disk,
and answers when an event is durable. Requests are sent on a schedule, whether or not earlier ones were answered, and a
delay counts from the moment at which a request was due. The result is written to ``benchmarks/results/ml_events.md``.
The exit status is 1 if any event was lost or doubled, whatever the times are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from benchmarks.common import RESULTS, machine, markdown_table, versions, write_results
from panic_assets.studies.events.signatures import HEADER, signature
from panic_assets.studies.events.store import EventStore
from panic_assets_tests.studies.events.parts import event
from panic_assets_tests.web.server import running

TARGET_MS, RATE = 100, 200
_SECRET = "a secret that both sides know"
_STUDY = "bench"


@dataclass(frozen=True)
class Load:
    """How 200 events a second are sent: so many in a request, shown a token or signed."""

    name: str
    batch: int
    is_signed: bool = False


LOADS = (
    Load("single events, by token", 1),
    Load("single events, signed", 1, is_signed=True),
    Load("batches of 10, by token", 10),
    Load("batches of 100, by token", 100),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "ml_events.md")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        return _serve(options.serve)
    rows, problems = [], []
    for load in LOADS:
        row, wrong = _measured(load, 3 if options.quick else 20)
        rows.append(row)
        problems += wrong
    head = [
        "requests",
        "events",
        "lost or doubled",
        "median ms",
        "95 % ms",
        "99 % ms",
        "longest ms",
        "events/s",
        "CPU s",
    ]
    sections = [
        f"{machine()}. {versions('fastapi', 'starlette', 'uvicorn', 'sqlalchemy', 'pydantic')}. {RATE} events a "
        "second, each with 8 metrics of a trial, from one client to a server in another process of the same machine. A "
        "request counts from the moment at which it was due to its answer, which comes when its events are synced to "
        "the disk. CPU seconds are those of the server, its start included. "
        f"Target: 95 % within {TARGET_MS} ms, nothing lost.",
        markdown_table(head, rows),
    ]
    write_results(options.output, "Two hundred events of training a second", sections)
    print(options.output.read_text(encoding="utf-8"))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _measured(load: Load, seconds: int) -> tuple[list[object], list[str]]:
    """A row of the table, and what went wrong."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        with _server(Path(folder)) as (url, token):
            delays, took = asyncio.run(_sent(url, token, load, seconds))
        store = EventStore(f"sqlite:///{folder}/training/events.db")
        kept = store.metrics(study=_STUDY)
        store.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    events = RATE * seconds
    steps = {row.step for row in kept}
    lost = events - len(steps)
    problems = [f"{load.name}: {lost} of {events} events are not there"] if lost else []
    problems += [] if len(kept) == 8 * events else [f"{load.name}: {len(kept)} values for {events} events"]
    spread = [float(np.percentile(np.array(delays) * 1e3, part)) for part in (50, 95, 99, 100)]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [load.name, events, lost, *spread, events / took, cpu], problems


async def _sent(url: str, token: str, load: Load, seconds: int) -> tuple[list[float], float]:
    """Seconds until each request was answered, and all of them."""
    address, delays = f"{url}/api/events/ml", list[float]()
    limits = httpx2.Limits(max_connections=50)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as client:

        async def send(body: Any, due: float | None) -> None:
            content = json.dumps(body).encode()
            proof = {HEADER: signature(_SECRET, content, int(time.time()))} if load.is_signed else _bearer(token)
            headers = {"Content-Type": "application/json", **proof}
            answer = await client.post(address, content=content, headers=headers)
            if due is not None:
                delays.append(time.perf_counter() - due)
            assert answer.status_code == 202, answer.text

        trial = {"model_run_id": "run", "trial_id": "trial", "spectral_norm": True}
        await send(event("ml.trial.start", 0, _STUDY, **trial), None)
        told = [_metrics(number) for number in range(RATE * seconds)]
        begin = time.perf_counter() + 0.1
        tasks = []
        for number in range(0, len(told), load.batch):
            due = begin + (number + load.batch - 1) / RATE
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            body = told[number] if load.batch == 1 else {"events": told[number : number + load.batch]}
            tasks.append(asyncio.create_task(send(body, due)))
        await asyncio.gather(*tasks)
        return delays, time.perf_counter() - begin


def _metrics(number: int) -> dict[str, Any]:
    values = {f"metric_{index}": index / (number + 1) for index in range(8)}
    return event("ml.run.metric", number + 1, _STUDY, trial_id="trial", step=number, metrics=values)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, str]]:
    """The address of a server in a process of its own, and a token for it."""
    command = [sys.executable, "-m", "benchmarks.ml_events", "--serve", str(folder)]
    environment = {**os.environ, "PANIC_ML_EVENTS_SECRET": _SECRET}
    environment.pop("PANIC_EVENTS_URL", None)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            yield told["url"], told["token"]
        finally:
            process.stdin.close()
            process.wait(60)


def _serve(folder: Path) -> int:
    with running(folder) as server:
        program = server.program(server.account("owner@example.org"), "train")
        token = program.headers["Authorization"].removeprefix("Bearer ")
        print(json.dumps({"url": server.url, "token": token}), flush=True)
        sys.stdin.read()  # until whoever started this is done
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
