"""Ingestions in processes of their own, which kill themselves: ``python -m ...ingest_child DATA:COUNT ...``.

COUNT: the step after which one dies, of those that make something durable; 0 lives. Commits come after every live run.
Prints the status of each, and before it, if it came to its end, the number of its steps.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

from panic_assets.live.ingest import ingest
from panic_assets.live.to_lake import partition
from panic_assets_tests.live.night import catalog, open_archive, open_store


def ingest_and_die(data: Path, count: int) -> int:
    """Ingest; the number of durable steps that it took."""
    steps = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments)

        return step

    for name in ("replace", "rename", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    os.fsync = lambda descriptor: None  # a killed process loses nothing that it wrote; only power loss would
    partition._COMMIT_ROWS = 1
    store = open_store(data)
    ingest(store, open_archive(data, store), data, include_running=True, zone=UTC, catalog=catalog())
    store.close()
    return steps


def main() -> None:
    for order in sys.argv[1:]:
        folder, _, count = order.rpartition(":")
        child = os.fork()
        if child == 0:
            steps = ingest_and_die(Path(folder), int(count))
            print("steps", steps, flush=True)
            os._exit(0)
        print("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
