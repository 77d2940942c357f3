"""An import in a process of its own, which kills itself: ``python -m ...child FILE DATA COUNT``.

COUNT: the step after which it dies, of those that make something durable; 0 lives. Commits come after every run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from panic_assets.interop.panic_tda import partition
from panic_assets.interop.panic_tda.importer import import_database


def bring_and_die(path: Path, data: Path, count: int) -> int:
    """Import; the number of durable steps that it took."""
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
    import_database(path, data)
    return steps


def in_fork(path: Path, data: Path, count: int) -> int:
    """The wait status of an import in a child of this process."""
    child = os.fork()
    if child == 0:
        bring_and_die(path, data, count)
        os._exit(0)
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(bring_and_die(Path(sys.argv[1]), Path(sys.argv[2]), 0))
    else:
        for given in sys.argv[3:]:
            folder, _, number = given.rpartition(":")
            print(in_fork(Path(sys.argv[1]), Path(sys.argv[2]) / folder, int(number)), flush=True)
