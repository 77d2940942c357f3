"""A process that carries out a plan of mending in children of its own, and kills them before their n-th step.

A number on a line of standard input is an order. The answer is ``killed``; to 0 it is how many steps there are.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from panic_assets.upkeep.mending import carry_out

_STEPS = ("fsync", "rename", "replace", "unlink", "link")


def main() -> None:
    plan = Path(sys.argv[1]).read_bytes()
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            left = [0]
            _count(left, int(line))
            carry_out(pickle.loads(plan))
            os.write(writing, str(left[0]).encode())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        os.close(writing)
        told = os.read(reading, 32).decode()
        os.close(reading)
        print("killed" if os.WIFSIGNALED(status) else told or "failed", flush=True)
    os._exit(0)


def _count(steps: list[int], last: int) -> None:
    """Count what makes something durable or takes it away; die before the step of that number."""

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            steps[0] += 1
            if steps[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return step

    for name in _STEPS:
        setattr(os, name, counted(getattr(os, name)))


if __name__ == "__main__":
    main()
