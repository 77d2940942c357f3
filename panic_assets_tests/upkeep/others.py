"""Other processes for these tests: killed at a chosen step, reading without end, running experiments without end.

Run as ``python -m panic_assets_tests.upkeep.others NAME DATA``.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from panic_assets.errors import PanicError
from panic_assets.lake import Lake, build_catalog, connect

FAILED = 3
_STEPS = ("fsync", "rename", "replace", "unlink", "rmdir", "link")


@contextmanager
def started(name: str, data: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "panic_assets_tests.upkeep.others", name, str(data)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes) as process:
        try:
            yield process
        finally:
            if process.stdin and not process.stdin.closed:
                process.stdin.close()
            process.wait(60)


class Children:
    """Orders to a process that forks for each of them, so that a killed child costs milliseconds."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, work: str, data: Path, target: Path | None = None, **options: Any) -> int:
        """Exit code, or minus the signal that killed it."""
        assert self._process.stdin
        assert self._process.stdout
        order = {"work": work, "data": str(data), "target": str(target), **options}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return os.waitstatus_to_exitcode(int(self._process.stdout.readline()))


def work(work: str, data: str, target: str, die_before: int | None = None, file_bytes: int | None = None) -> None:
    from panic_assets.upkeep.backup import back_up
    from panic_assets.upkeep.deleting import delete_experiment
    from panic_assets.upkeep.garbage import collect
    from panic_assets.upkeep.restore import restore

    works: dict[str, Callable[[], object]] = {
        "delete": lambda: delete_experiment(Path(data), "one"),
        "delete now": lambda: delete_experiment(Path(data), "one", now=True),
        "gc": lambda: collect(Path(data), 0),
        "backup": lambda: back_up(Path(data), Path(target)),
        "restore": lambda: restore(Path(target), Path(data)),
        "replace": lambda: restore(Path(target), Path(data), replace_others=True),
    }
    if die_before is not None:
        _die_before(die_before)
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    try:
        works[work]()
    except PanicError as error:
        Path(data).with_name("error").write_text(str(error))
        os._exit(FAILED)
    os._exit(0)


def _die_before(count: int) -> None:
    left = [count]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return step

    for name in _STEPS:
        setattr(os, name, counted(getattr(os, name)))


def forking() -> None:
    from panic_assets.clustering.stage import cluster_lake  # imported here, once, and not in each child
    from panic_assets.models.registry import load_registry

    assert cluster_lake
    load_registry()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(**json.loads(line))
        print(os.waitpid(child, 0)[1], flush=True)


def _until_told() -> threading.Event:
    end = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
    return end


def reading(data: Path) -> None:
    """Query by an old connection, by fresh ones and by the catalog file; print the distinct counts that were seen.

    Counts are of the experiment `one`, which may go, and of `two`, which stays.
    """
    import duckdb

    end, rounds = _until_told(), 0
    query = "SELECT experiment, count(*), sum(byte_size) FROM images GROUP BY ALL ORDER BY ALL"
    seen: dict[str, set[str]] = {"old": set(), "fresh": set(), "catalog": set(), "lake": set()}
    with connect(data / "lake") as old:
        while not end.is_set():
            with connect(data / "lake", ["images"]) as fresh:
                seen["fresh"].add(str(fresh.execute(query).fetchall()))
            with duckdb.connect(str(data / "catalog.duckdb"), read_only=True) as catalog:
                seen["catalog"].add(str(catalog.execute(query).fetchall()))
            seen["old"].add(str(old.execute(query).fetchall()))
            seen["lake"].add(str(Lake(data / "lake").read("images", "two").num_rows))
            rounds += 1
            if rounds == 1:
                print("ready", flush=True)
    print(json.dumps({name: sorted(values) for name, values in seen.items()}), flush=True)


def running(data: Path) -> None:
    """Run experiments one after another, cluster them, delete old ones, remove old parts, without end."""
    from panic_assets.clustering.stage import cluster_lake
    from panic_assets_tests.upkeep.kept import grow

    end, number, lake = _until_told(), 0, Lake(data / "lake")
    while not end.is_set():
        grow(data, f"round{number}", length=8, diagrams=False)
        if number % 2:
            cluster_lake(lake)
        if number >= 3:
            lake.delete_experiment(f"round{number - 3}")
        build_catalog(lake.root)
        lake.tidy(older_than_seconds=0)
        if number == 0:
            print("ready", flush=True)
        number += 1
    print(number, flush=True)


if __name__ == "__main__":
    {"forking": lambda data: forking(), "reading": reading, "running": running}[sys.argv[1]](Path(sys.argv[2]))
