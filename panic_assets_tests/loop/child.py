"""A process that materialises experiments in children of its own, which the tests kill.

It imports once and forks for each order, so that a killed child costs milliseconds. An order is a line of JSON on
standard input; the answers are two lines: the child's process id, and how it ended (as `os.waitpid` gives it).
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from panic_assets.devices.local import LocalDevice
from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets.loop import embedding
from panic_assets.loop.engine import run_experiment
from panic_assets.loop.planning import register, resolve_models
from panic_assets.models.base import Output
from panic_assets.models.entry import ModelEntry
from panic_assets_tests.loop.parts import WatchedPool, experiment, registry

ALL_DONE = 2**62  # progress of a process that lingers
FAILED, HEAVY = 3, 4  # exit codes: an error that was described (in the file `error`); torch was imported


def materialise(
    folder: str,
    values: dict[str, Any],
    commit_seconds: float = 0.05,
    call_seconds: float = 0.0,
    die_before: int | None = None,
    file_bytes: int | None = None,
    linger: bool = False,
    textured: bool = False,
) -> None:
    """All stages of an experiment into ``folder``/lake; the number of points done stands in ``folder``/progress.

    ``die_before`` kills the process before its n-th step that makes something durable;
    ``linger`` lets it wait to be killed when all is done; ``file_bytes`` is the largest file that it may write.
    ``textured`` makes of the dummies' plain pictures such as a lossy format can't keep.
    """
    if die_before is not None:
        _die_before(die_before)
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    progress = os.open(Path(folder) / "progress", os.O_CREAT | os.O_WRONLY)

    def tell(done: int) -> None:
        os.pwrite(progress, done.to_bytes(8, "little"), 0)

    def slow(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        time.sleep(call_seconds)

    lake, asked = Lake(Path(folder) / "lake"), experiment(**values)
    entries = resolve_models(asked, registry())
    embedding.CHUNK.update(text=16, image=16)  # several commits even of this little
    devices = [LocalDevice(WatchedPool(watch=slow, change=_textured if textured else lambda entry, output: output))]
    try:
        plans = register(lake, asked, entries)
        summary = run_experiment(
            lake, asked, plans, entries, devices, lambda news: tell(news.done), commit_seconds=commit_seconds
        )
        tell(summary.invocations + 1)
        embedding.embed_experiment(
            lake, asked, entries, devices, lambda name, done, total: tell(summary.invocations + 2 + done)
        )
    except PanicError as error:
        (Path(folder) / "error").write_text(str(error))
        sys.stdout.flush()
        os._exit(FAILED)
    while linger:
        tell(ALL_DONE)
        signal.pause()
    os._exit(HEAVY if "torch" in sys.modules else 0)


def _textured(entry: ModelEntry, output: Output) -> Output:
    if isinstance(output.value, str):
        return output
    height, width, _ = output.value.shape
    waves = 30 * np.sin(np.arange(height)[:, None] / 3) * np.cos(np.arange(width) / 5)
    return replace(output, value=(output.value + waves[:, :, None]).clip(0, 255).astype(np.uint8))


def _die_before(count: int) -> None:
    left = [count]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments)

        return step

    for name in ("fsync", "rename", "replace", "unlink"):
        setattr(os, name, counted(getattr(os, name)))


def main() -> None:
    registry()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            materialise(**json.loads(line))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
    os._exit(0)  # what is frozen is not to be taken apart


if __name__ == "__main__":
    main()
