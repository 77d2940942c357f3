"""Other processes for the tests: killed while writing, holding a lock, writing without end.

Run as ``python -m panic_assets_tests.lake.processes NAME ROOT``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from panic_assets.lake import Lake, build_catalog
from panic_assets_tests.lake.make import rows

BATCH = 25
KILLED_TABLES = ("images", "invocations")
WRITTEN_TABLES = ("runs", "images", "invocations", "outcomes", "embeddings")
GRACE = 4.0


def start(name: str, root: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "panic_assets_tests.lake.processes", name, str(root)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_checkout())


def _checkout() -> Path:
    return Path(__file__).parents[2]


def write_until_killed(root: Path) -> None:
    """Commit batch after batch in the engine's order, compacting now and then; log what was committed."""
    lake = Lake(root)
    log = os.open(root / "log", os.O_WRONLY | os.O_APPEND)
    step = 0
    while True:
        for table in KILLED_TABLES:
            with lake.writer(table, "first") as writer:
                done = lake.read(table, "first", columns=["run_number"]).num_rows
                for first in range(done, done + 2 * BATCH, BATCH):
                    new = rows(table, range(first, first + BATCH))
                    for image in new if table == "images" else ():
                        image["image"] = random.Random(image["run_number"]).randbytes(5000)
                    writer.append(new)
                    writer.set_property("rows", first + BATCH)
                    writer.commit()
                    os.write(log, f"{table} {first + BATCH}\n".encode())
                if step % 3 == 0:
                    writer.compact()
            if step % 4 == 0:
                lake.remove_old(table, "first", older_than_seconds=0)
        step += 1


def nursery(root: Path) -> None:
    """For each line of input, a number of commits and one of seconds: start a writer, let it do both, kill it, say so.

    It forks, so that a kill costs no start of an interpreter; before the fork it has started no thread.
    """
    log = root / "log"
    log.touch()
    for line in sys.stdin:
        commits, seconds = line.split()
        enough = len(log.read_text().splitlines()) + int(commits)
        child = os.fork()
        if child == 0:
            write_until_killed(root)
        while len(log.read_text().splitlines()) < enough:
            time.sleep(0.002)
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print("killed", flush=True)


def hold(root: Path) -> None:
    """Open a writer with pending rows and keep it."""
    with Lake(root).writer("runs", "first") as writer:
        writer.append(rows("runs", [100]))
        print("held", flush=True)
        time.sleep(600)


def write_for_readers(root: Path) -> None:
    """Commit, compact, rebuild the catalog and remove old parts until the input ends; then say how many."""
    import threading

    lake, end, number, removed = Lake(root), threading.Event(), 0, 0
    threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
    while not end.is_set():
        for table in WRITTEN_TABLES:
            with lake.writer(table, "first") as writer:
                values = {"embedding_model": "small"} if table == "embeddings" else {}
                writer.append(rows(table, range(number, number + 7), **values))
                writer.commit()
                if number % 2 == 0:
                    writer.compact()
        build_catalog(root)
        removed += sum(lake.remove_old(table, "first", older_than_seconds=GRACE) for table in WRITTEN_TABLES)
        if number == 0:
            print("ready", flush=True)
        number += 7
    print(removed, flush=True)


if __name__ == "__main__":
    {"nursery": nursery, "hold": hold, "write": write_for_readers}[sys.argv[1]](Path(sys.argv[2]))
