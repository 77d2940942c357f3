"""The live room before an audience: 200 screens of 20 networks on one server, what is lost and how late it comes.

Run with ``python -m benchmarks.live [--quick]``. The server is a process of its own, with its database and its archive
on the disk; models are dummies. The result is written to ``benchmarks/results/live.md``. The exit status is 1 if any
event was lost or told twice, whatever the times are.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, markdown_table, versions, write_results
from panic_assets_tests.web.crowd import gather, perform
from panic_assets_tests.web.listening import Audience
from panic_assets_tests.web.server import Person, running

NETWORKS, LISTENERS = 20, 10
TARGET_MS = 200
_OWNER = "owner@example.org"


@dataclass(frozen=True)
class Piece:
    """What is played: the ring, the rest after each invocation, and how many there are."""

    name: str
    models: tuple[str, ...]
    rest_seconds: float
    invocations: int


PIECES = (
    Piece("texts, a rest of 1 s", ("dummy-t2t",), 1.0, 20),
    Piece("pictures and texts in turn, a rest of 1 s", ("dummy-t2i", "dummy-i2t"), 1.0, 20),
    Piece("texts, no rest", ("dummy-t2t",), 0.0, 30),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few invocations, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "live.md")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        return _serve()
    rows, lost = [], []
    for piece in PIECES:
        row, problems = _played(piece, 4 if options.quick else piece.invocations)
        rows.append(row)
        lost += problems
    head = [
        "ring", "events heard", "lost or twice", "median ms", "95 % ms", "99 % ms", "longest ms", "events/s", "CPU s",
    ]  # fmt: skip
    sections = [
        f"{machine()}. {versions('fastapi', 'starlette', 'uvicorn', 'sse-starlette', 'sqlalchemy')}. "
        f"{NETWORKS} networks, each with {LISTENERS} listeners at its stream of events, all in another process of the "
        "same machine. Times are from `completed_at` of an invocation, which is taken before its row is committed, to "
        "the moment at which a listener has the event: the disk's sync is within. CPU seconds are those of the server, "
        f"its start included. Target: a median below {TARGET_MS} ms, and nothing lost.",
        markdown_table(head, rows),
    ]
    write_results(options.output, "Two hundred screens", sections)
    print(options.output.read_text(encoding="utf-8"))
    for problem in lost:
        print(problem, file=sys.stderr)
    return 1 if lost else 0


def _played(piece: Piece, invocations: int) -> tuple[list[object], list[str]]:
    """A row of the table, and what went wrong."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with _server() as url, Audience(url) as audience, closing(Person(url, _OWNER)) as owner:
        crowd = gather(owner, audience, NETWORKS, LISTENERS, invocations, piece.rest_seconds, piece.models)
        seconds = perform(owner, crowd, 120 + 4 * invocations * (1 + piece.rest_seconds))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    delays = np.array(crowd.delays()) * 1e3
    heard = sum(len(one.heard) for group in crowd.listeners.values() for one in group)
    problems = crowd.problems()
    spread = [float(np.percentile(delays, part)) for part in (50, 95, 99, 100)]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [piece.name, heard, len(problems), *spread, heard / seconds, cpu], problems


@contextmanager
def _server() -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.live", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.stdin.close()
            process.wait(60)


def _serve() -> int:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), prompts_per_minute=1000) as server:
        server.account(_OWNER)
        print(json.dumps({"url": server.url}), flush=True)
        sys.stdin.read()  # until whoever started this is done
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
